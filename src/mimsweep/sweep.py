"""A sweep and its runs, for Python: each method does what the command of its name does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mimsweep.calls import call, say
from mimsweep.orchestrator import defaults
from mimsweep.orchestrator.defaults import Device, Engine, Order
from mimsweep.orchestrator.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from mimsweep.orchestrator.files.spec import RunSpec
    from mimsweep.orchestrator.files.sweep import Sweep as SweepFile
    from mimsweep.trained import Model


class Sweep:
    """A sweep file, expanded to its runs, and what the tracking store has of it.

    What goes wrong is a `MimsweepError`, with the sentence that the command ends with. Ctrl-C, or a
    notebook's stop button, closes what is open, then raises KeyboardInterrupt.

    Attributes:
        name: the sweep's, which is also that of its experiment in MLflow.
        description: what it is about.
        runs: all different, in the order of the file; the last field of the grid varies fastest.
        tracking_uri: of the store; None: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db in the
            folder that is the current one at each call.
    """

    def __init__(self, file: SweepFile, tracking_uri: str | None) -> None:
        """`mimsweep.load` makes it."""
        self.name = file.name
        self.description = file.description
        self.tracking_uri = tracking_uri
        self.runs: Sequence[Run] = tuple(Run(self, spec) for spec in file.runs)
        self._file = file

    def __repr__(self) -> str:
        return f"<Sweep {self.name}: {self._file.size}>"

    def plan(
        self,
        *,
        cohort_size: int | Literal["auto"] = defaults.COHORT_SIZE,
        device: Device = defaults.DEVICE,
        order: Order = defaults.ORDER,
    ) -> dict[str, Any]:
        """Returns what `run` would train, and in which cohorts, as `plan --json` has it."""
        with call():
            from mimsweep.orchestrator.running.policy import training_options
            from mimsweep.orchestrator.showing.listing import open_list, planned

            options = training_options(
                self.tracking_uri, cohort_size=cohort_size, device=device, order=order
            )
            states = open_list(options.tracking_uri).statuses(self.name)
            size, order = options.cohort_size, options.order
            made = planned(self._file, states, size, options.device, order)
            say([*made.lines, *made.stale.lines])
            return made.to_json()

    def run(
        self,
        *,
        engine: Engine = defaults.ENGINE,
        device: Device = defaults.DEVICE,
        workers: int | None = None,
        gpus_per_worker: float = defaults.GPUS_PER_WORKER,
        slurm: Sequence[str] = (),
        cohort_size: int | Literal["auto"] = defaults.COHORT_SIZE,
        fail_fast: bool = False,
        max_failures: int | None = None,
        timeout: float | None = None,
        retries: int = defaults.RETRIES,
        order: Order = defaults.ORDER,
        fresh: bool = False,
        fresh_stale: bool = False,
        seeds_until_decided: int | None = None,
        notify: str | None = None,
    ) -> None:
        """Trains the runs that are not complete yet.

        What a module of yours has registered reaches the workers if that was imported here. What a
        cell of a notebook, or the script itself, has registered is for `engine="inline"` alone.

        Args:
            engine: where workers are: processes of this machine, actors of the Ray cluster at
                RAY_ADDRESS (else of a Ray started here), jobs of a Slurm cluster, or this process,
                for debugging.
            device: where to train; auto: GPUs or CPU cores, what a short measurement finds faster.
            workers: by default one per GPU or, on a CPU, per core; with Slurm most jobs at once,
                which must be said.
            gpus_per_worker: on a cluster's GPUs; with Ray a fraction lets workers share one.
            slurm: options of Slurm's jobs, by sbatch's long names: ["partition=gpu"].
            cohort_size: most runs trained as one stack.
            fail_fast: stop everything when a run fails.
            max_failures: stop everything when so many runs have failed.
            timeout: seconds without a sign of life after which a cohort is lost, and tried again;
                by default four times what it takes by estimate, at least 1800.
            retries: how often a lost cohort is tried again before it is split to find the guilty
                run.
            order: what trains first: the longest (cost), or one seed of every cell (overview).
            fresh: train complete runs anew too.
            fresh_stale: train those complete runs anew of which your code has changed since.
            seeds_until_decided: add seeds until all claims are decided, so many in all at most.
            notify: a webhook that gets JSON when the first run fails, and when all has ended.

        Raises:
            MimsweepError: an argument or the data are wrong, the store can't be used, or runs
                failed; the rest is complete then.
            KeyboardInterrupt: it was told to stop; called again, it completes what is missing.
        """
        with call():
            from mimsweep.orchestrator.running.policy import training_options
            from mimsweep.orchestrator.running.progress import view
            from mimsweep.orchestrator.running.run import run_sweep

            options = training_options(
                self.tracking_uri,
                engine=engine,
                device=device,
                workers=workers,
                gpus_per_worker=gpus_per_worker,
                slurm=slurm,
                cohort_size=cohort_size,
                fail_fast=fail_fast,
                max_failures=max_failures,
                timeout=timeout,
                retries=retries,
                order=order,
                fresh=fresh,
                fresh_stale=fresh_stale,
                notify=notify,
            )
            if engine != "inline":
                self._require_modules("; or run with engine='inline', in this process")
            if seeds_until_decided is not None:
                from mimsweep.orchestrator.showing.looks import run_until_decided

                _, outcome = run_until_decided(
                    self._file, seeds_until_decided, options, lambda line: say([line])
                )
            else:
                with view() as shown:
                    outcome = run_sweep(self._file, options, shown)
            outcome.require_all()

    def status(self) -> dict[str, Any]:
        """Returns how many runs are finished, failed, running, killed and missing."""
        with call():
            from mimsweep.orchestrator.showing.listing import standing
            from mimsweep.orchestrator.tracking.uri import resolve_uri

            found = standing(self._file, resolve_uri(self.tracking_uri))
            say([*found.lines, *found.stale.lines])
            return found.to_json()

    def results(self) -> pd.DataFrame:
        """Returns a row per complete run, in the order of `runs`.

        Columns are `run_key`, `run_id` (MLflow's), `run_name`, `status`, the fields of a run, and
        its metrics (docs/measures.md). Once all are complete, row i is of `runs[i]`.
        """
        with call():
            from mimsweep.orchestrator.showing.listing import results
            from mimsweep.orchestrator.tracking.uri import resolve_uri

            found = results(self._file, resolve_uri(self.tracking_uri))
            say(found.lines)
            return found.table

    def figures(
        self, output: str | PathLike[str] = defaults.FIGURES, *, latent: bool = False
    ) -> dict[str, Path]:
        """Draws the sweep from its complete runs, and stores the figures on its parent run too.

        Args:
            output: gets a folder of the sweep's name.
            latent: draw also, from stored weights, what runs of two dimensions, or of images,
                learned.

        Returns:
            the PNG of each figure that was drawn, by its name; the SVG is beside it.
        """
        with call():
            from mimsweep.orchestrator.showing.output import draw_sweeps
            from mimsweep.orchestrator.tracking.artifacts import files_in
            from mimsweep.orchestrator.tracking.uri import resolve_uri

            self._require_modules()
            folder = Path(output, self.name)
            before = files_in(folder)
            uri, data_dir = resolve_uri(self.tracking_uri), defaults.data_dir()
            say(draw_sweeps([self._file], uri, Path(output), latent, data_dir))
            drawn = sorted(folder / name for name, *_ in files_in(folder) - before)
            return {path.stem: path for path in drawn if path.suffix == ".png"}

    def report(self, output: str | PathLike[str] = defaults.REPORT) -> Path:
        """Writes one HTML file to send to a colleague, and returns its path."""
        with call():
            from mimsweep.orchestrator.showing.output import report_on
            from mimsweep.orchestrator.tracking.uri import resolve_uri

            self._require_modules()
            uri, data_dir = resolve_uri(self.tracking_uri), defaults.data_dir()
            say(report_on([self._file], uri, Path(output), data_dir))
            return Path(output)

    def verify(self, *, seeds_until_decided: int | None = None) -> dict[str, Any]:
        """Returns the verdict on each claim of the file, as `verify --json` has it.

        `all_hold` says whether all hold; `claims` has of each its `verdict`: holds, fails or
        undecided.

        Args:
            seeds_until_decided: as it was said to `run`.
        """
        with call():
            from mimsweep.orchestrator.showing import looks
            from mimsweep.orchestrator.tracking.uri import resolve_uri

            found = looks.verify(self._file, resolve_uri(self.tracking_uri), seeds_until_decided)
            say(found.lines)
            return found.to_json()

    def _require_modules(self, instead: str = "") -> None:
        """Refuses what other processes can't import."""
        from mimsweep.models.registry import of_main

        values = {value for run in self._file.runs for value in run.own_fields().values()}
        if found := of_main(values):
            raise SpecError(
                f"{self.name}: {', '.join(found)}: registered in a cell or in the script itself, "
                "which other processes can't import; put it into a module, a file of its own, and "
                f"import that here{instead}"
            )


@dataclass(frozen=True, repr=False)
class Run:
    """A run of a sweep: one model, trained with one seed."""

    _sweep: Sweep
    _spec: RunSpec

    def __repr__(self) -> str:
        return f"<Run {self.run_name}>"

    @property
    def run_key(self) -> str:
        """16 hexadecimal digits that stand for all that its numbers depend on."""
        return self._spec.run_key

    @property
    def run_name(self) -> str:
        """A name for people, such as `mim-toy4_20-z2-m50-s1`."""
        return self._spec.run_name

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that its model has, and their values: `dataset`, `model`, `seed` and so on."""
        return self._spec.own_fields()

    def data(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Returns the test items that its metrics are of, and their labels.

        Returns:
            items with shape (N, D), in the model's units, and labels with shape (N,).
        """
        with call():
            from mimsweep.orchestrator.showing.learned.model import final_items

            x, labels = final_items(self._spec, defaults.data_dir())
            return x.contiguous().numpy(), labels.numpy()

    def model(self) -> Model:
        """Returns what it has learned, by the weights of its best epoch, from the store.

        Raises:
            MimsweepError: it is not complete, or its weights or data set are missing.
        """
        with call():
            from mimsweep.orchestrator.showing.learned.model import stored_model
            from mimsweep.orchestrator.tracking.uri import resolve_uri
            from mimsweep.trained import Model

            spec, uri = self._spec, resolve_uri(self._sweep.tracking_uri)
            learned = stored_model(self._sweep.name, spec, uri, defaults.data_dir())
            return Model(spec.run_name, learned, spec.data_dim, spec.z_dim)
