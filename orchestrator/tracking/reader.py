"""What is read of the tracking store. Knows no MLflow: `tracking` hands in the client."""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from mimsweep.orchestrator.errors import RefusedError, SpecError
from mimsweep.orchestrator.tracking import runs as tracking_runs
from mimsweep.orchestrator.tracking.database import Tables
from mimsweep.orchestrator.tracking.owner import HEARTBEAT, Owner
from mimsweep.orchestrator.tracking.places import misplaced
from mimsweep.orchestrator.tracking.refusals import no_store, refusal, waited_for
from mimsweep.orchestrator.tracking.runs import (
    ASKS,
    CLAIM,
    COMPLETE,
    PARENT,
    ROLE,
    RUN_KEY,
    SWEEP,
    Run,
)
from mimsweep.orchestrator.tracking.store import (
    experiments,
    hasty,
    histories,
    listed,
    open_store,
    searched,
)
from mimsweep.orchestrator.tracking.uri import scheme_of

if TYPE_CHECKING:
    import pandas as pd

_LOOKED_AT = 50
"""Runs in an experiment without our tag, to see whose it is."""

RUNNING, SCHEDULED = "attributes.status = 'RUNNING'", "attributes.status = 'SCHEDULED'"
_FINISHED, _TAGGED = "attributes.status = 'FINISHED'", f"tags.`{COMPLETE}` = 'true'"
_PARENTS = f"tags.`{ROLE}` = 'sweep'"

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Lister")


def as_tracking_errors(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Makes what the store raises a `TrackingError`."""

    @functools.wraps(method)
    def wrapper(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with waited_for(self.uri):
                return method(self, *args, **kwargs)
        except self.failures as error:
            # `from None`: the chain would show the URI with its password.
            raise refusal(self.uri, error) from None

    return wrapper


class Lister:
    """What a store lists of a sweep: all that `plan`, `status` and `results` need.

    Attributes:
        uri: The store's.
        failures: What the client raises if the store fails.
    """

    def __init__(
        self,
        uri: str,
        client: Any,  # noqa: ANN401
        failures: tuple[type[Exception], ...] = (OSError,),
    ) -> None:
        """`client` is an `MlflowClient` or `Tables`, or None if there is no store yet."""
        self.uri = uri
        self.failures = failures
        self._opened = client
        self._named: set[str] = set()

    @as_tracking_errors
    def complete(self, sweep: str) -> dict[str, str]:
        """The run_id of each run_key that is complete."""
        return {run.data.tags[RUN_KEY]: run.info.run_id for run in self._listed_complete(sweep)}

    @as_tracking_errors
    def statuses(self, sweep: str) -> dict[str, tracking_runs.RunState]:
        """The state of each run_key: a complete run decides, else the newest."""
        return tracking_runs.states(self._listed(sweep))

    @as_tracking_errors
    def frame(self, sweep: str) -> pd.DataFrame:
        """A row per complete run_key; columns and order as `tracking_runs.table` says."""
        return tracking_runs.table(self._listed_complete(sweep, values=True))

    def require(self) -> Self:
        """This store, which must be there.

        Raises:
            TrackingError: it is not.
        """
        self._client  # noqa: B018
        return self

    @property
    def _client(self) -> Any:  # noqa: ANN401
        if self._opened is None:
            raise no_store(self.uri)
        return self._opened

    def _experiment(self, sweep: str) -> Any:  # noqa: ANN401
        """The sweep's experiment, by its tag if it was renamed; None if there is none."""
        experiment = self._opened and self._opened.get_experiment_by_name(sweep)
        if not experiment or experiment.tags.get(SWEEP) != sweep or _deleted(experiment):
            renamed = (each for each in self._experiments() if each.tags[SWEEP] == sweep)
            experiment = next(renamed, experiment)
        if not experiment:
            return None
        if _deleted(experiment):
            number = experiment.experiment_id
            raise RefusedError(
                f"the MLflow experiment {sweep} was deleted: bring it back with `mlflow experiments"
                f" restore --experiment-id {number}`, or remove it for good with `mlflow gc"
                f" --experiment-ids {number}`"
            )
        if SWEEP not in experiment.tags and self._holds_others(experiment):
            raise SpecError(
                f"the MLflow experiment {sweep} holds runs that mimsweep did not make: give the "
                "sweep another name, or rename the experiment"
            )
        return experiment

    def _holds_others(self, experiment: Any) -> bool:  # noqa: ANN401
        """Whether there are runs in it, and none is of a sweep."""
        number = experiment.experiment_id
        runs = listed(self._client, number, values=False)
        if runs is None:
            runs = self._client.search_runs([number], max_results=_LOOKED_AT)
        return bool(runs) and not any(SWEEP in run.data.tags for run in runs)

    def _experiments(self) -> list[Any]:
        """Those of sweeps, newest first."""
        if self._opened is None:
            return []
        return [each for each in experiments(self._opened) if SWEEP in each.tags]

    def _search(self, sweep: str, *conditions: str) -> list[Run]:
        """The sweep's runs, newest first, without what else is in its experiment."""
        experiment = self._experiment(sweep)
        if experiment is None:
            return []
        runs = searched(self._client, experiment.experiment_id, " and ".join(conditions))
        return [run for run in runs if self._is_whole(run)]

    def _is_whole(self, run: Run) -> bool:
        """Whether it is a run of ours; one that lost a tag by hand is named, once."""
        tags, run_id = run.data.tags, run.info.run_id
        if RUN_KEY in tags or tags.get(ROLE) == "sweep":
            return True
        if SWEEP in tags and run_id not in self._named:
            self._named.add(run_id)
            lost = ROLE if HEARTBEAT in tags else RUN_KEY
            print(
                f"mimsweep: MLflow's run {run_id} ({run.info.run_name}) has lost its tag {lost}: "
                "it is passed over",
                file=sys.stderr,
            )
        return False

    def _listed(self, sweep: str, values: bool = False) -> list[Run]:
        """All of the sweep's runs, as `_search`, but with params and metrics only if wanted."""
        experiment = self._experiment(sweep)
        runs = listed(self._client, experiment.experiment_id, values) if experiment else []
        return self._search(sweep) if runs is None else list(filter(self._is_whole, runs))

    def _listed_complete(self, sweep: str, values: bool = False) -> list[Run]:
        """The newest complete run of each run_key."""
        newest: dict[str, Run] = {}
        for run in filter(tracking_runs.is_complete, self._listed(sweep, values)):
            newest.setdefault(run.data.tags[RUN_KEY], run)
        return list(newest.values())


class Reader(Lister):
    """The reading half of `Tracking`, whose docstring says what its runs mean."""

    @as_tracking_errors
    def find_complete(self, codes: Mapping[str, str]) -> dict[str, tuple[str, dict[str, float]]]:
        """The newest complete run of each run_key, of that users' code, in whatever sweep."""
        numbers = [each.experiment_id for each in self._experiments()]
        found = {}
        for run_key, code in codes.items() if numbers else ():
            same = f"tags.`{RUN_KEY}` = '{run_key}'"
            query = " and ".join((_FINISHED, _TAGGED, same))
            for run in self._client.search_runs(numbers, query, max_results=1):
                if run.data.tags.get(tracking_runs.CODE, code) == code:
                    found[run_key] = (run.info.run_id, tracking_runs.metrics(run))
        return found

    @as_tracking_errors
    def children(self, sweep: str, parent_id: str) -> dict[str, str]:
        """The run_id of each run_key that one invocation created."""
        runs = [run for run in self._listed(sweep) if run.data.tags.get(PARENT) == parent_id]
        return {run.data.tags[RUN_KEY]: run.info.run_id for run in runs}

    @as_tracking_errors
    def latest_parent(self, sweep: str) -> str | None:
        """The run_id of the newest invocation's parent run."""
        parents = self._parents(sweep)
        return parents[0].info.run_id if parents else None

    @as_tracking_errors
    def owner(self, sweep: str) -> Owner | None:
        """The living orchestrator of a sweep."""
        return next((owner for _, owner in self._owners(sweep)), None)

    @as_tracking_errors
    def sweeps(self) -> list[str]:
        """The sweeps in the store, by name."""
        return sorted({each.tags[SWEEP] for each in self._experiments()})

    @as_tracking_errors
    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
        """The per-epoch metrics of runs: a row per run and epoch."""
        return tracking_runs.history(
            {name: histories(self._client, run_ids, name) for name in metrics}
        )

    @as_tracking_errors
    def artifact(self, run_id: str, name: str) -> bytes | None:
        """The content of one of a run's artifacts; None if it has none of that name."""
        with hasty(), tempfile.TemporaryDirectory() as folder:
            if name not in {file.path for file in self._client.list_artifacts(run_id)}:
                return None
            return Path(self._client.download_artifacts(run_id, name, folder)).read_bytes()

    @as_tracking_errors
    def invocations(self, sweep: str) -> list[tracking_runs.Invocation]:
        """The parent runs of a sweep, oldest first."""
        return [tracking_runs.invocation(run) for run in reversed(self._parents(sweep))]

    @as_tracking_errors
    def artifact_place(self) -> str | None:
        """Where the store keeps artifacts (a path or a URI); None if there is no store yet."""
        if self._opened is None:
            return None
        if ours := self._experiments():
            return str(ours[0].artifact_location)
        others = self._opened.search_experiments(max_results=1)
        return str(others[0].artifact_location) if others else ""

    @as_tracking_errors
    def misplaced(self, sweep: str) -> str:
        """Why a sweep's artifacts aren't where the store says, and what to do; "" if they are."""
        experiment = self._experiment(sweep)
        return misplaced(self._client, self.uri, experiment) if experiment else ""

    def require_artifacts(self, sweep: str) -> None:
        """Refuses to go on where the artifacts of a sweep aren't where the store says.

        Raises:
            RefusedError: with what to do about it.
        """
        if why := self.misplaced(sweep):
            raise RefusedError(why)

    def _owners(self, sweep: str) -> list[tuple[Run, Owner]]:
        return tracking_runs.living_parents(self._running_parents(sweep))

    def _running_parents(self, sweep: str) -> list[Run]:
        return self._search(sweep, _PARENTS, RUNNING)

    def _parents(self, sweep: str) -> list[Run]:
        """Those of invocations, newest first; one that only asked for the sweep is none."""
        parents = self._search(sweep, _PARENTS)
        return [run for run in parents if run.data.tags.get(CLAIM) != ASKS]


def open_lister(uri: str) -> Lister | None:
    """Opens a store to list what it has, without MLflow; None if that can't be done.

    Raises:
        TrackingError: It can't be used.
    """
    if scheme_of(uri) not in ("sqlite", "postgresql"):
        return None  # others need what MLflow's client sets for them
    tables = open_store(uri, Tables, None)
    return Lister(uri, tables, tables.failures if tables else ())


def _deleted(experiment: Any) -> bool:  # noqa: ANN401
    return bool(experiment.lifecycle_stage == "deleted")
