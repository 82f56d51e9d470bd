"""What is read of a search's study: counts, the best, a table, importances."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from mimsweep.orchestrator.errors import MimsweepError
from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.tracking.refusals import refusal

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="StudyReader")

REPLACES, REASON = "mimsweep.replaces", "mimsweep.reason"
ENDED = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}

_FEWEST_VALUES = 4
"""With fewer different values an importance would be made of chance alone."""


@dataclass(frozen=True)
class Summary:
    """What `mimsweep search --json` prints; `best` is a list if there are several objectives."""

    study: str
    trials: int
    complete: int
    pruned: int
    failed: int
    best: Any


@contextmanager
def tracking_errors(storage: str, also: type[Exception] = OSError) -> Iterator[None]:
    """Makes what the storage raises a `TrackingError`, which tells no password."""
    try:
        yield
    except MimsweepError:
        raise
    except (optuna.exceptions.StorageInternalError, OSError, also) as error:
        raise refusal(storage, error, "study's storage") from None


def as_tracking_errors(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Makes what the storage raises a `TrackingError`."""

    @functools.wraps(method)
    def wrapper(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        with tracking_errors(self.storage):
            return method(self, *args, **kwargs)

    return wrapper


class StudyReader:
    """The reading half of `Study`, whose docstring says what its trials mean.

    Attributes:
        search: what is searched.
        storage: path of a journal file, or URL of a database.
    """

    _study: optuna.Study

    def __init__(self, search: Search, storage: str) -> None:
        self.search = search
        self.storage = storage

    @property
    def goal(self) -> int:
        """The number of trials wanted in all."""
        return self.search.goal

    @as_tracking_errors
    def left(self) -> int:
        """Returns the number of trials that are not ended."""
        return max(self.goal - len(self._ended()), 0)

    @as_tracking_errors
    def pruned_twin(self, params: Mapping[str, Any]) -> int | None:
        """Returns the number of a trial at the same point that was pruned, if there is one."""
        pruned = self._trials(TrialState.PRUNED)
        twins = [t.number for t in pruned if self.search.point(t.params) == params]
        return twins[0] if twins else None

    @as_tracking_errors
    def failed(self) -> dict[int, str]:
        """Returns why trials failed, by number; not of points that the space doesn't have."""
        space = self.search.space
        failed = {}
        for trial in self._ended():
            point = self.search.point(point_of(trial))
            inside = set(point) == set(space) and all(space[f].has(v) for f, v in point.items())
            if trial.state == TrialState.FAIL and inside:
                failed[trial.number] = str(trial.user_attrs.get(REASON, "it was left"))
        return failed

    @as_tracking_errors
    def summary(self) -> Summary:
        """Returns how many trials there are, and which are best."""
        counts = dict.fromkeys(ENDED.values(), 0)
        for trial in self._ended():
            counts[ENDED[trial.state]] += 1
        best: list[dict[str, Any]] = []
        for trial in self._study.best_trials if counts["complete"] else []:
            params = self.search.point(trial.params)
            if params not in [other["params"] for other in best]:
                best.append({"number": trial.number, "params": params, "values": trial.values})
        several = len(self.search.objectives) > 1
        chosen = best if several else next(iter(best), None)
        return Summary(self.search.name, sum(counts.values()), **counts, best=chosen)

    @as_tracking_errors
    def table(self) -> pd.DataFrame:
        """Returns a row per trial that ended.

        Its columns: `number`, `state` (complete, pruned, failed), `reason`, the fields of the
        space, each objective's metric (NaN if not complete) and, of each, `<metric>_by_seed`.
        """
        metrics = [objective.metric for objective in self.search.objectives]
        by_seed = [f"{metric}_by_seed" for metric in metrics]
        rows = []
        for trial in self._ended():
            row = {"number": trial.number, "state": ENDED[trial.state]}
            row |= self.search.point(trial.params)
            row["reason"] = trial.user_attrs.get(REASON, "")
            if trial.state == TrialState.COMPLETE:
                row |= dict(zip(metrics, trial.values or (), strict=True))
            rows.append(row | {name: trial.user_attrs.get(name, {}) for name in by_seed})
        columns = ["number", "state", "reason", *self.search.space, *metrics, *by_seed]
        return pd.DataFrame(rows, columns=columns)

    @as_tracking_errors
    def run_keys(self) -> set[str]:
        """Returns the keys of the runs of all trials, but of points that there can be no run of."""
        keys: set[str] = set()
        for trial in self._trials():
            with suppress(ValidationError):
                runs = self.search.runs(self.search.point(point_of(trial)))
                keys |= {run.run_key for run in runs}
        return keys

    @as_tracking_errors
    def importances(self) -> dict[str, dict[str, float]]:
        """Returns of each objective's metric how much each field matters to it, the sum 1."""
        complete = self._trials(TrialState.COMPLETE)
        found = {}
        for index, objective in enumerate(self.search.objectives):
            # Optuna takes low values of a target to be good ones, and warns that it does.
            low = functools.partial(_low, index, -1 if objective.maximize else 1)
            if len(self.search.space) < 2 or len(set(map(low, complete))) < _FEWEST_VALUES:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                importances = optuna.importance.get_param_importances(self._study, target=low)
            found[objective.metric] = importances
        return found

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _replaced(self) -> set[int]:
        return {trial.user_attrs.get(REPLACES, -1) for trial in self._trials()}

    def _ended(self) -> list[FrozenTrial]:
        """Returns the trials that ended, but those that were closed and replaced."""
        replaced = self._replaced()
        return [trial for trial in self._trials(*ENDED) if trial.number not in replaced]


def point_of(trial: FrozenTrial) -> dict[str, Any]:
    """Returns a trial's point, of one that was enqueued too."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _low(index: int, sign: int, trial: FrozenTrial) -> float:
    """Returns the value of an objective, the better the lower."""
    assert trial.values is not None
    return sign * trial.values[index]
