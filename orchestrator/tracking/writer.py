"""MLflow as the one truth about runs. The only importer of mlflow, and its only writer."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from mimsweep.orchestrator.tracking import runs as tracking_runs
from mimsweep.orchestrator.tracking.artifacts import upload
from mimsweep.orchestrator.tracking.claim import Claim, SweepBusyError
from mimsweep.orchestrator.tracking.owner import Owner
from mimsweep.orchestrator.tracking.reader import RUNNING, SCHEDULED, Reader, as_tracking_errors
from mimsweep.orchestrator.tracking.runs import (
    ASKS,
    CANCEL,
    CLAIM,
    COMPLETE,
    PARENT,
    REASON,
    ROLE,
    SWEEP,
    Spec,
    Status,
)
from mimsweep.orchestrator.tracking.store import open_store
from mimsweep.orchestrator.tracking.uri import artifact_location, artifact_root, resolve_uri

# Read by mlflow as it is imported: it must work offline and leave the terminal to the live view.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# urllib3 has no handler, so its warnings (one a retry) would be printed.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from mimsweep.orchestrator.tracking.inputs import as_input  # noqa: E402

_NOTE = "mlflow.note.content"
_POINTS_PER_CALL = 1000
_REASON_CHARACTERS = 4000


class Tracking(Reader):
    """The store of the sweeps' runs.

    A sweep is an MLflow experiment of its name. Each invocation of `run` is a parent run in it,
    tagged with the process that owns it; each model trained is a child run.

    States of a child: `create_runs` stores it RUNNING, with its spec as params. It leaves that
    state once: by `finish` to FINISHED, by `fail` to FAILED, by `kill` to KILLED or, if its
    orchestrator died, by a later one's `close_dead` to KILLED. It is *complete* if it is FINISHED
    and tagged `mimsweep.complete`. `finish` sets that tag when everything else is stored, so a run
    whose writer dies anywhere before is not complete, and is trained again.

    Invariants: at most one living orchestrator holds a sweep (`claim` says how), and who has lost
    it writes nothing more. A child is RUNNING only while its parent's orchestrator lives; whatever
    MLflow says, `statuses` tells it as KILLED after that. Of several complete runs of one key the
    newest counts. A run that a user deletes in MLflow is missing here too.

    One thread makes all calls. Every method raises `TrackingError` if the store fails; SQLite is
    waited for up to 20 s while another process holds it.
    """

    def __init__(self, uri: str, create: bool = True) -> None:
        """Opens the store.

        Args:
            uri: From `resolve_uri`.
            create: Whether to create it if it is new. If not, nothing is written, and a store that
                isn't there yet looks empty.

        Raises:
            TrackingError: It can't be used, or not be reached within 15 s.
        """
        uri = resolve_uri(uri)
        opened = open_store(uri, MlflowClient, _make if create else None)
        super().__init__(uri, opened, (MlflowException, OSError))
        self._claim: Claim | None = None

    @property
    def _owned(self) -> MlflowClient:
        """The client, to write what is of a sweep that is still ours if it was started here."""
        if self._claim:
            self._claim.check()
        return self._client

    @as_tracking_errors
    def start_sweep(
        self, sweep: str, description: str, tags: Mapping[str, str], params: Mapping[str, object]
    ) -> str:
        """Creates this process's parent run, and the experiment if it is new.

        Returns:
            The parent's run_id: call `heartbeat` on it every 30 s, and `finish_sweep` at the end.

        Raises:
            SweepBusyError: Another living orchestrator runs this sweep.
        """
        experiment_id = self._open_experiment(sweep, description)
        if owner := self.owner(sweep):
            raise SweepBusyError(f"the sweep {sweep}", owner)
        own = {SWEEP: sweep, ROLE: "sweep", _NOTE: description, CLAIM: ASKS}
        tags = {**tags, **own, **Owner.this_process().tags()}
        run = self._client.create_run(experiment_id, run_name=sweep, tags=tags)
        parent_id: str = run.info.run_id
        claim = Claim(self._client, sweep, run, lambda: self._running_parents(sweep))
        try:
            claim.get()
        except SweepBusyError as error:  # they started at once
            self.kill([parent_id], str(error))
            raise
        self._claim = claim
        self.close_dead(sweep)
        self._owned.log_batch(parent_id, params=_params(params))
        return parent_id

    @as_tracking_errors
    def heartbeat(self, parent_id: str) -> bool:
        """Says that the orchestrator lives; returns whether `cancel` has asked it to stop.

        Raises:
            SweepLostError: It was taken for dead, and the sweep isn't its own any more.
        """
        return self._claim.renew() if self._claim else False

    @as_tracking_errors
    def cancel(self, sweep: str) -> None:
        """Asks the living orchestrator of a sweep to stop at its next heartbeat."""
        for parent, _ in self._owners(sweep):
            self._client.set_tag(parent.info.run_id, CANCEL, f"{time.time():.3f}")

    @as_tracking_errors
    def log_summary(
        self, run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float]
    ) -> None:
        """Stores what an invocation came to, on its parent run."""
        for name, value in tags.items():
            self._owned.set_tag(run_id, name, value)
        self._log(run_id, [(0, metrics)])

    @as_tracking_errors
    def log_folder(self, run_id: str, folder: Path) -> None:
        """Stores the files of a folder (figures, the table) as the run's artifacts."""
        upload(self._owned, run_id, str(folder))

    @as_tracking_errors
    def finish_sweep(self, parent_id: str, status: Status, counts: Mapping[str, float]) -> None:
        """Ends the parent run, whose children have ended; `counts` become its metrics."""
        self._log(parent_id, [(0, counts)])
        self._owned.set_terminated(parent_id, status)
        self._claim = None

    @as_tracking_errors
    def close_dead(self, sweep: str) -> list[str]:
        """Closes as KILLED what dead orchestrators left RUNNING or SCHEDULED.

        Returns:
            The run_ids of the children closed.
        """
        runs = [*self._search(sweep, RUNNING), *self._search(sweep, SCHEDULED)]
        children, parents = tracking_runs.abandoned(runs)
        # Parents last: if this is cut short, the next call finds them still.
        self.kill([*children, *parents])
        return children

    @as_tracking_errors
    def create_runs(
        self,
        parent_id: str,
        specs: Sequence[Spec],
        tags: Mapping[str, str],
        own: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> list[str]:
        """Creates a RUNNING child for each spec, in order; returns run_ids.

        Each has `tags`, and of `own` those under its run_key; a data file becomes its input.
        """
        parent = self._client.get_run(parent_id)
        common = {**tags, PARENT: parent_id, SWEEP: parent.data.tags[SWEEP]}
        run_ids = []
        for spec in specs:
            named = {**common, **own.get(spec.run_key, {}), **tracking_runs.own_tags(spec)}
            number = parent.info.experiment_id
            run = self._owned.create_run(number, run_name=spec.run_name, tags=named)
            self._owned.log_batch(run.info.run_id, params=_params(spec.model_dump()))
            if spec.file:
                self._owned.log_inputs(run.info.run_id, [as_input(spec.file)])
            run_ids.append(run.info.run_id)
        return run_ids

    @as_tracking_errors
    def log_epochs(
        self, run_id: str, rows: Sequence[tuple[int, Mapping[str, float]]], at: int | None = None
    ) -> None:
        """Stores metrics per epoch; a row is (epoch, metrics). NaN and infinities are kept.

        A call costs several commits: give it many epochs at once. Of a call that is made again
        with the same `at`, in ms since 1970, nothing is stored twice.
        """
        self._log(run_id, rows, at)

    @as_tracking_errors
    def finish(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        artifacts: Mapping[str, bytes],
        at: int | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Stores final metrics, artifacts (name to content) and tags; then the run is complete.

        It may be made again, as `log_epochs` may.
        """
        self._log(run_id, [(0, metrics)], at, tags)
        self._log_files(run_id, artifacts)
        self._owned.set_terminated(run_id, "FINISHED")
        self._owned.set_tag(run_id, COMPLETE, "true")

    @as_tracking_errors
    def remeasure(
        self, run_id: str, metrics: Mapping[str, float], artifacts: Mapping[str, bytes]
    ) -> None:
        """Stores final metrics, of which the newest count, and artifacts of a complete run anew."""
        self._log_files(run_id, artifacts)
        self._log(run_id, [(0, metrics)])

    @as_tracking_errors
    def fail(self, run_id: str, reason: str, artifacts: Mapping[str, bytes]) -> None:
        """Stores why the run failed (and e.g. its traceback) and ends it as FAILED."""
        self._log_files(run_id, artifacts)
        self._owned.set_tag(run_id, REASON, reason[:_REASON_CHARACTERS])
        self._owned.set_terminated(run_id, "FAILED")

    @as_tracking_errors
    def kill(self, run_ids: Sequence[str], reason: str = "") -> None:
        """Ends runs as KILLED, with the reason if there is one to tell."""
        for run_id in run_ids:
            if reason:
                self._owned.set_tag(run_id, REASON, reason[:_REASON_CHARACTERS])
            self._owned.set_terminated(run_id, "KILLED")

    def _open_experiment(self, sweep: str, description: str) -> str:
        """The experiment_id of the sweep's experiment, which is made if it is new."""
        if self._experiment(sweep) is None:
            tags = {_NOTE: description, SWEEP: sweep}
            try:
                place = artifact_location(self.uri, sweep)
                self._client.create_experiment(sweep, place, tags)
            except MlflowException:
                if self._experiment(sweep) is None:  # or another start was quicker
                    raise
        experiment = self._experiment(sweep)
        if experiment.tags.get(SWEEP) != sweep:
            self._client.set_experiment_tag(experiment.experiment_id, SWEEP, sweep)
        return str(experiment.experiment_id)

    def _log(
        self,
        run_id: str,
        rows: Sequence[tuple[int, Mapping[str, float]]],
        at: int | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        named = [RunTag(name, value) for name, value in tags.items()]
        time_ms = round(time.time() * 1000) if at is None else at
        points = [
            Metric(name, float(value), time_ms, step)
            for step, metrics in rows
            for name, value in metrics.items()
        ]
        for start in range(0, max(len(points), len(named)), _POINTS_PER_CALL):
            self._owned.log_batch(run_id, points[start : start + _POINTS_PER_CALL], tags=named)

    def _log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            upload(self._owned, run_id, folder)


def _make(uri: str) -> None:
    """Makes the tables of a new database; `MlflowClient` would choose the place of artifacts."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri, artifact_root())


def _params(values: Mapping[str, object]) -> list[Param]:
    return [Param(name, tracking_runs.encode(value)) for name, value in values.items()]
