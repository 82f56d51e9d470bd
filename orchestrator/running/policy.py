"""What an invocation is told, what it bears, and what it came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mimsweep.orchestrator import defaults
from mimsweep.orchestrator.errors import SpecError, TrainingError
from mimsweep.orchestrator.files.spec import RunSpec, explain
from mimsweep.orchestrator.tracking.uri import resolve_uri


@dataclass(frozen=True)
class Policy:
    """What to do about faults.

    Attributes:
        retries: how often a lost cohort is tried again as it is, before it is split or, of a
            single run, fails.
        timeout: seconds that a cohort may go without ending an epoch or measuring a run, before
            it counts as lost; None: what it takes at most by `PlannedCohort.longest_silence`.
        max_failures: so many failed runs stop everything; None: any number is borne.
    """

    retries: int = defaults.RETRIES
    timeout: float | None = None
    max_failures: int | None = None


_Count = Annotated[int, Field(ge=1)]


def _limit(cohort_size: object) -> object:
    return None if cohort_size == "auto" else cohort_size


class Options(BaseModel):
    """How to run a sweep.

    Attributes:
        tracking_uri: of the store, from `tracking.uri.resolve_uri`.
        data_dir: where data sets are.
        engine: where workers are: processes here, actors of a Ray cluster, jobs of a Slurm cluster,
            or this process.
        device: where they train; "auto" decides between GPUs and CPU cores.
        workers: their number; None: one per GPU or, on a CPU, per core.
        gpus_per_worker: on the GPUs of a cluster.
        slurm: options of Slurm's jobs, by sbatch's long names: `partition=gpu`.
        cohort_size: most runs in a cohort; None, given as "auto": chosen from the device.
        order: "cost", the longest first, or "overview", a seed of every cell first.
        fail_fast: whether a failed run stops everything.
        max_failures: so many failed runs stop everything; None: any number is borne.
        timeout: as `Policy` has it.
        retries: likewise.
        fresh: whether to train complete runs anew too.
        fresh_stale: whether to do so with those of which something has changed since.
        notify: the address of a webhook that is told how it goes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tracking_uri: str
    data_dir: Path
    engine: defaults.Engine = defaults.ENGINE
    device: defaults.Device = defaults.DEVICE
    workers: _Count | None = None
    gpus_per_worker: Annotated[float, Field(gt=0)] = defaults.GPUS_PER_WORKER
    slurm: Sequence[str] = ()
    cohort_size: Annotated[_Count | None, BeforeValidator(_limit)] = None
    order: defaults.Order = defaults.ORDER
    fail_fast: bool = False
    max_failures: _Count | None = None
    timeout: Annotated[float, Field(gt=0)] | None = None
    retries: Annotated[int, Field(ge=0)] = defaults.RETRIES
    fresh: bool = False
    fresh_stale: bool = False
    notify: str | None = None

    @property
    def policy(self) -> Policy:
        """What to do about faults."""
        most = 1 if self.fail_fast else self.max_failures
        return Policy(self.retries, self.timeout, most)


def training_options(tracking_uri: str | None, **said: object) -> Options:
    """Returns how to train.

    Args:
        tracking_uri: of the store; None: what the environment says, else that of this folder.
        said: what was said of the other fields of `Options`; of the rest the defaults hold.

    Raises:
        SpecError: a value that its field can't have.
    """
    where = {"tracking_uri": resolve_uri(tracking_uri), "data_dir": defaults.data_dir()}
    try:
        return Options.model_validate({**where, **said})
    except ValidationError as invalid:
        error = invalid.errors()[0]
        raise SpecError(f"{error['loc'][0]}: {explain(error)}") from None


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to.

    Attributes:
        failed: the failed runs, with their reasons.
        interrupted: whether it was asked to stop.
        gave_up: whether it stopped because too many runs failed.
        left: of one that was asked to stop, what the store did not take, in a clause.
    """

    failed: dict[RunSpec, str]
    interrupted: bool = False
    gave_up: bool = False
    left: str = ""

    def require_all(self) -> None:
        """Sees to it that all went well.

        Raises:
            KeyboardInterrupt: it was asked to stop; it says what is left.
            TrainingError: runs failed.
        """
        if self.interrupted:
            left = f"{self.left}; " if self.left else ""
            raise KeyboardInterrupt(f"{left}the same command completes what is missing")
        if self.failed:
            lines = [f"{run.run_name}: {reason}" for run, reason in self.failed.items()]
            raise TrainingError("\n  ".join([f"{len(lines)} runs failed:", *lines]))
