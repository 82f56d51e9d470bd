"""MLflow as the one truth about runs. The only importer of mlflow, and its only writer."""

from __future__ import annotations

import functools
import gc
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import pandas as pd

from orchestrator import tracking_runs
from orchestrator.errors import TrackingError
from orchestrator.tracking_owner import HEARTBEAT, Owner
from orchestrator.tracking_runs import COMPLETE, PARENT, REASON, ROLE, RUN_KEY, SWEEP, Spec, Status
from orchestrator.tracking_store import open_store, refusal, resolve_uri

# Read by mlflow as it is imported: it must work offline and leave the terminal to the live view.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# urllib3 has no handler, so its warnings (one a retry) would be printed.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param, Run  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

_NOTE = "mlflow.note.content"
_POINTS_PER_CALL = 1000
# MLflow allows 50,000, but a page's run_ids are variables of one SQL statement, and SQLite may
# take no more than 32,766 of them.
_RUNS_PER_PAGE = 10_000
_REASON_CHARACTERS = 4000

_RUNNING, _SCHEDULED = "attributes.status = 'RUNNING'", "attributes.status = 'SCHEDULED'"
_FINISHED, _TAGGED = "attributes.status = 'FINISHED'", f"tags.`{COMPLETE}` = 'true'"
_PARENTS = f"tags.`{ROLE}` = 'sweep'"

P = ParamSpec("P")
R = TypeVar("R")


class SweepBusyError(TrackingError):
    """Another living orchestrator runs this sweep."""


def _told(method: Callable[Concatenate[Tracking, P], R]) -> Callable[Concatenate[Tracking, P], R]:
    """Makes what MLflow raises a `TrackingError`."""

    @functools.wraps(method)
    def wrapper(self: Tracking, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except (MlflowException, OSError) as error:
            # `from None`: the chain would show the URI with its password.
            raise refusal(self.uri, error) from None

    return wrapper


class Tracking:
    """The store of the sweeps' runs.

    A sweep is an MLflow experiment of its name. Each invocation of `run` is a parent run in it,
    tagged with the process that owns it; each model trained is a child run.

    States of a child: `create_runs` stores it RUNNING, with its spec as params. It leaves that
    state once: by `finish` to FINISHED, by `fail` to FAILED, by `kill` to KILLED or, if its
    orchestrator died, by a later one's `close_dead` to KILLED. It is *complete* if it is FINISHED
    and tagged `mimsweep.complete`. `finish` sets that tag when everything else is stored, so a run
    whose writer dies anywhere before is not complete, and is trained again.

    Invariants: at most one living orchestrator has a RUNNING parent in a sweep. A child is RUNNING
    only while its parent's orchestrator lives; whatever MLflow says, `statuses` tells it as KILLED
    after that. Of several complete runs of one key the newest counts. A run that a user deletes in
    MLflow is missing here too.

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
        self.uri = resolve_uri(uri)
        try:
            self._opened = open_store(self.uri, MlflowClient, create)
        except TrackingError:
            raise
        except Exception as error:
            # A database's driver, or its absence, may raise anything.
            raise refusal(self.uri, error) from None

    @_told
    def start_sweep(
        self, sweep: str, description: str, tags: Mapping[str, str], params: Mapping[str, object]
    ) -> str:
        """Creates this process's parent run, and the experiment if it is new.

        Returns:
            The parent's run_id: call `heartbeat` on it every 30 s, and `finish_sweep` at the end.

        Raises:
            SweepBusyError: Another living orchestrator runs this sweep.
        """
        experiment_id = self._experiment_id(sweep)
        if experiment_id is None:
            experiment_id = self._client.create_experiment(sweep, tags={_NOTE: description})
        self._client.set_experiment_tag(experiment_id, SWEEP, sweep)
        self._refuse_rivals(sweep, self._living(sweep))
        own = {SWEEP: sweep, ROLE: "sweep", _NOTE: description, **Owner.this_process().tags()}
        run = self._client.create_run(experiment_id, run_name=sweep, tags={**tags, **own})
        parent_id: str = run.info.run_id
        # Two may come this far at once: the later gives way.
        try:
            self._refuse_rivals(sweep, [r for r in self._living(sweep) if _age(r) < _age(run)])
        except SweepBusyError:
            self.kill([parent_id])
            raise
        self._client.log_batch(parent_id, params=_params(params))
        return parent_id

    @_told
    def heartbeat(self, parent_id: str) -> None:
        """Says that the orchestrator lives."""
        self._client.set_tag(parent_id, HEARTBEAT, f"{time.time():.3f}")

    @_told
    def log_folder(self, run_id: str, folder: Path) -> None:
        """Stores the files of a folder (figures, the table) as the run's artifacts."""
        self._client.log_artifacts(run_id, str(folder))

    @_told
    def finish_sweep(self, parent_id: str, status: Status, counts: Mapping[str, float]) -> None:
        """Ends the parent run, whose children have ended; `counts` become its metrics."""
        self._log(parent_id, [(0, counts)])
        self._client.set_terminated(parent_id, status)

    @_told
    def close_dead(self, sweep: str) -> list[str]:
        """Closes as KILLED what dead orchestrators left RUNNING or SCHEDULED.

        Returns:
            The run_ids of the children closed.
        """
        runs = [*self._search(sweep, _RUNNING), *self._search(sweep, _SCHEDULED)]
        living = tracking_runs.living_parents(runs)
        children = [
            run.info.run_id
            for run in runs
            if RUN_KEY in run.data.tags and run.data.tags.get(PARENT) not in living
        ]
        parents = [
            run.info.run_id
            for run in runs
            if run.data.tags.get(ROLE) == "sweep" and run.info.run_id not in living
        ]
        # Parents last: if this is cut short, the next call finds them still.
        self.kill([*children, *parents])
        return children

    @_told
    def create_runs(
        self, parent_id: str, specs: Sequence[Spec], tags: Mapping[str, str]
    ) -> list[str]:
        """Creates a RUNNING child for each spec, in order, each with `tags`; returns run_ids."""
        parent = self._client.get_run(parent_id)
        common = {**tags, PARENT: parent_id, SWEEP: parent.data.tags[SWEEP]}
        run_ids = []
        for spec in specs:
            run = self._client.create_run(
                parent.info.experiment_id,
                run_name=spec.run_name,
                tags={**common, RUN_KEY: spec.run_key},
            )
            self._client.log_batch(run.info.run_id, params=_params(spec.model_dump()))
            run_ids.append(run.info.run_id)
        return run_ids

    @_told
    def log_epochs(self, run_id: str, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Stores metrics per epoch; a row is (epoch, metrics). NaN and infinities are kept.

        A call costs several commits: give it many epochs at once.
        """
        self._log(run_id, rows)

    @_told
    def finish(
        self, run_id: str, metrics: Mapping[str, float], artifacts: Mapping[str, bytes]
    ) -> None:
        """Stores final metrics and artifacts (name to content), then makes the run complete."""
        self._log(run_id, [(0, metrics)])
        self._log_files(run_id, artifacts)
        self._client.set_terminated(run_id, "FINISHED")
        self._client.set_tag(run_id, COMPLETE, "true")

    @_told
    def fail(self, run_id: str, reason: str, artifacts: Mapping[str, bytes]) -> None:
        """Stores why the run failed (and e.g. its traceback) and ends it as FAILED."""
        self._log_files(run_id, artifacts)
        self._client.set_tag(run_id, REASON, reason[:_REASON_CHARACTERS])
        self._client.set_terminated(run_id, "FAILED")

    @_told
    def kill(self, run_ids: Sequence[str]) -> None:
        """Ends runs as KILLED."""
        for run_id in run_ids:
            self._client.set_terminated(run_id, "KILLED")

    @_told
    def complete(self, sweep: str) -> dict[str, str]:
        """The run_id of each run_key that is complete."""
        return {run.data.tags[RUN_KEY]: run.info.run_id for run in self._search_complete(sweep)}

    @_told
    def statuses(self, sweep: str) -> dict[str, tracking_runs.RunState]:
        """The state of each run_key: a complete run decides, else the newest."""
        return tracking_runs.states(self._search(sweep))

    @_told
    def frame(self, sweep: str) -> pd.DataFrame:
        """A row per complete run_key; columns and order as `tracking_runs.table` says."""
        return tracking_runs.table(self._search_complete(sweep))

    @_told
    def latest_parent(self, sweep: str) -> str | None:
        """The run_id of the newest invocation's parent run."""
        parents = self._search(sweep, _PARENTS)
        return parents[0].info.run_id if parents else None

    @_told
    def owner(self, sweep: str) -> Owner | None:
        """The living orchestrator of a sweep."""
        return next((_owner(parent) for parent in self._living(sweep)), None)

    @_told
    def sweeps(self) -> list[str]:
        """The sweeps in the store, by name."""
        if self._opened is None:
            return []
        names, token = [], None
        while True:
            page = self._opened.search_experiments(page_token=token)
            names += [experiment.name for experiment in page if SWEEP in experiment.tags]
            token = page.token
            if not token:
                return sorted(names)

    @property
    def _client(self) -> MlflowClient:
        if self._opened is None:
            raise TrackingError(f"there is no tracking store at {self.uri} yet")
        return self._opened

    def _experiment_id(self, sweep: str) -> str | None:
        experiment = self._opened and self._opened.get_experiment_by_name(sweep)
        if not experiment:
            return None
        experiment_id: str = experiment.experiment_id
        if experiment.lifecycle_stage == "deleted":
            raise TrackingError(
                f"the MLflow experiment {sweep} was deleted: bring it back with `mlflow experiments"
                f" restore --experiment-id {experiment_id}`, or remove it for good with `mlflow gc"
                f" --experiment-ids {experiment_id}`"
            )
        return experiment_id

    def _search(self, sweep: str, *conditions: str) -> list[Run]:
        """The sweep's runs, newest first."""
        experiment_id = self._experiment_id(sweep)
        if experiment_id is None:
            return []
        runs: list[Run] = []
        token = None
        with _no_garbage_collection():
            while True:
                page = self._client.search_runs(
                    [experiment_id],
                    " and ".join(conditions),
                    max_results=_RUNS_PER_PAGE,
                    page_token=token,
                )
                runs += page
                token = page.token
                if not token:
                    return runs

    def _search_complete(self, sweep: str) -> list[Run]:
        """The newest complete run of each run_key."""
        newest: dict[str, Run] = {}
        for run in self._search(sweep, _FINISHED, _TAGGED):
            newest.setdefault(run.data.tags[RUN_KEY], run)
        return list(newest.values())

    def _living(self, sweep: str) -> list[Run]:
        parents = self._search(sweep, _PARENTS, _RUNNING)
        living = tracking_runs.living_parents(parents)
        return [parent for parent in parents if parent.info.run_id in living]

    def _log(self, run_id: str, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        now = round(time.time() * 1000)
        points = [
            Metric(name, float(value), now, step)
            for step, metrics in rows
            for name, value in metrics.items()
        ]
        for start in range(0, len(points), _POINTS_PER_CALL):
            self._client.log_batch(run_id, points[start : start + _POINTS_PER_CALL])

    def _log_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            self._client.log_artifacts(run_id, folder)


def _params(values: Mapping[str, object]) -> list[Param]:
    return [Param(name, tracking_runs.encode(value)) for name, value in values.items()]
