"""A search's study: its trials in Optuna's storage.

With the modules beside it, the only importer of optuna.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.search.meaning import CODE, meaning_of
from mimsweep.orchestrator.search.methods import (
    directions,
    distribution,
    grid,
    new_point,
    pruner,
    sampler,
)
from mimsweep.orchestrator.search.reader import (
    REASON,
    REPLACES,
    StudyReader,
    as_tracking_errors,
    point_of,
    tracking_errors,
)
from mimsweep.orchestrator.search.storage import open_storage
from mimsweep.orchestrator.tracking.claim import SweepBusyError
from mimsweep.orchestrator.tracking.owner import HEARTBEAT_SECONDS, Owner
from mimsweep.orchestrator.tracking.uri import without_secrets

optuna.logging.set_verbosity(optuna.logging.ERROR)

_MEANING, _OWNER = "mimsweep.meaning", "mimsweep.owner"

_SETTLE = 0.2
"""Seconds, longer than a process takes from seeing no other to saying that it works on a study."""


@dataclass(frozen=True)
class Asked:
    """A trial to be made: its number, and the point of the space."""

    number: int
    params: dict[str, Any]


class Study(StudyReader):
    """The trials of a search, in Optuna's storage; one living process at a time works on them.

    A trial is asked for, then ended once: complete, pruned or failed. One that a dead process left
    running is closed as failed, and its point enqueued as another trial, which replaces it; it
    counts no more. So is the point of one that had failed before. Every trial has the metrics of
    its seeds as user attributes.

    Attributes:
        search: what is searched.
        storage: path of a journal file, or URL of a database.
        closed: numbers of the trials that a dead process had left running.
        retried: numbers of the trials that had failed.
    """

    def __init__(self, search: Search, storage: str) -> None:
        """Opens the study, or makes it.

        Raises:
            SpecError: the study there is of another meaning.
            SweepBusyError: another living process works on it.
            TrackingError: the storage can't be used.
        """
        super().__init__(search, storage)
        self._running: dict[int, optuna.Trial] = {}
        self._distributions = {name: distribution(d) for name, d in search.space.items()}
        with tracking_errors(storage, Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            opened = open_storage(storage)
            if search.name in {each.study_name for each in opened.get_all_studies()}:
                self._study = optuna.load_study(study_name=search.name, storage=opened)
            else:
                self._study = optuna.create_study(
                    study_name=search.name,
                    storage=opened,
                    directions=directions(search),
                    load_if_exists=True,  # another start may have been quicker
                )
            self._check()
            self._study.pruner = pruner(search)
            self._study.set_user_attr(_MEANING, meaning_of(search))
            self._study.sampler = sampler(search, len(self._study.get_trials(deepcopy=False)))
            self._beaten = 0.0
            self.beat()
            time.sleep(
                _SETTLE
            )  # of two that came here at once, the later has written over the other
            self._give_way()
            self.closed = self._close([trial.number for trial in self._trials(TrialState.RUNNING)])
            self.retried = list(self.failed())
            self._replace(self.retried)
            if search.default and search.sampler != "grid" and not self._trials():
                self._study.enqueue_trial(search.default)

    def _check(self) -> None:
        self._give_way()
        if why := self._differs(self._study.user_attrs.get(_MEANING)):
            raise SpecError(
                f"the study {self.search.name} in {without_secrets(self.storage, self.storage)} "
                f"{why}: its trials can't be compared with new ones; give the search another "
                "name, or another --storage"
            )

    def _rival(self) -> Owner | None:
        """Returns the other living process that says that it works on the study."""
        owner = Owner.from_tags(self._study.user_attrs.get(_OWNER) or {})
        ours = owner and (owner.here, owner.pid) == (True, os.getpid())
        return owner if owner and owner.alive() and not ours else None

    def _give_way(self) -> None:
        if rival := self._rival():
            raise SweepBusyError(f"the search {self.search.name}", rival)

    def _differs(self, known: Mapping[str, Any] | None) -> str:
        """Says what makes the study there another one than this search's; empty if nothing does.

        Args:
            known: the meaning with which a search made it; None: it was made otherwise.
        """
        meaning, study = meaning_of(self.search), self._study
        if known and CODE in meaning:
            known = {CODE: meaning[CODE], **known}
        if differs := [key for key in meaning if known and known.get(key) != meaning[key]]:
            return f"was made with another {' and '.join(differs)}"
        if study.directions != directions(self.search):
            there = " and ".join(direction.name.lower() for direction in study.directions)
            wanted = " and ".join(objective.direction for objective in self.search.objectives)
            return f"is to {there}, while the search is to {wanted}"
        metrics = [objective.metric for objective in self.search.objectives]
        if study.metric_names not in (None, metrics):
            return f"is of {' and '.join(study.metric_names)}, not of {' and '.join(metrics)}"
        ended = self._trials(TrialState.COMPLETE, TrialState.PRUNED)
        foreign = [trial for trial in ended if not (known and self._made_by_us(trial))]
        if foreign:
            trials = "1 trial" if len(foreign) == 1 else f"{len(foreign)} trials"
            return f"has {trials} that mimsweep did not make"
        return ""

    def _made_by_us(self, trial: FrozenTrial) -> bool:
        noted = [trial.user_attrs.get(f"{each.metric}_by_seed") for each in self.search.objectives]
        if trial.state == TrialState.PRUNED:
            return REASON in trial.user_attrs and all(n is None or _by_seed(n) for n in noted)
        values: Any = trial.values or []
        return len(values) == len(noted) and all(map(_by_seed, noted)) and all(map(_number, values))

    @as_tracking_errors
    def ask(self) -> list[Asked]:
        """Returns new trials, as many as may run beside those that do."""
        if len(self._running) >= self.search.parallel:
            return []
        places = min(self.search.parallel, self.left()) - len(self._running)
        return [asked for _ in range(places) if (asked := self._ask())]

    def _ask(self) -> Asked | None:
        waiting = self._trials(TrialState.WAITING)
        if not waiting and (point := self._new_point()):
            self._study.enqueue_trial(point)
        try:
            with warnings.catch_warnings():
                # Of a point that a user has enqueued; who makes the trial tells it better.
                warnings.filterwarnings("ignore", "Fixed parameter", UserWarning)
                trial = self._study.ask(self._distributions)
        except ValueError:
            if not waiting:
                raise
            # A user has enqueued a point that no distribution can hold.
            for left in self._trials(TrialState.RUNNING):
                if left.number not in self._running:
                    self._study.tell(left.number, state=TrialState.FAIL)
            return None
        self._running[trial.number] = trial
        return Asked(trial.number, self.search.point(trial.params))

    def _new_point(self) -> dict[str, Any] | None:
        """Returns a point where no trial is yet, if the sampler comes to one."""
        known = [self.search.point(point_of(trial)) for trial in self._trials()]
        if self.search.sampler == "grid":
            return next((point for point in grid(self.search) if point not in known), None)
        return new_point(self._study, self.search, self._distributions, known)

    @as_tracking_errors
    def report(self, number: int, step: int, value: float) -> bool:
        """Tells how a trial goes; returns whether it should be pruned."""
        trial = self._running[number]
        trial.report(value, step)
        if self.search.point(trial.params) == self.search.default:
            return False  # what all others are compared with needs all its seeds
        return self.search.pruner != "none" and trial.should_prune()

    @as_tracking_errors
    def complete(self, number: int, values: list[float], seeds: Mapping[str, Any]) -> None:
        """Ends a trial with the value of each objective.

        Args:
            number: of the trial.
            values: in the order of the objectives.
            seeds: of each objective's metric, its value by seed.
        """
        self.note(number, seeds)
        self._study.tell(self._running.pop(number), values)

    @as_tracking_errors
    def note(self, number: int, seeds: Mapping[str, Any]) -> None:
        """Stores what is known of a trial that has not ended; `seeds` as `complete` has them."""
        for metric, by_seed in seeds.items():
            self._running[number].set_user_attr(f"{metric}_by_seed", by_seed)

    @as_tracking_errors
    def prune(self, number: int, reason: str) -> None:
        """Ends a trial that does not promise to become the best."""
        self._end(number, reason, TrialState.PRUNED)

    @as_tracking_errors
    def fail(self, number: int, reason: str) -> None:
        """Ends a trial without a value."""
        self._end(number, reason, TrialState.FAIL)

    def _end(self, number: int, reason: str, state: TrialState) -> None:
        trial = self._running.pop(number)
        trial.set_user_attr(REASON, reason)
        self._study.tell(trial, state=state)

    @as_tracking_errors
    def beat(self) -> None:
        """Says, now and then, that this process works on the study.

        Raises:
            SweepBusyError: it was stopped for so long that another has taken the study.
        """
        if time.monotonic() - self._beaten >= HEARTBEAT_SECONDS or not self._beaten:
            self._give_way()
            self._beaten = time.monotonic()
            self._study.set_user_attr(_OWNER, Owner.this_process().tags())

    @as_tracking_errors
    def close(self) -> None:
        """Leaves the study: what runs is closed, to be tried again by the next process."""
        if self._rival():
            return  # which has closed it
        self._close(list(self._running))
        self._running.clear()
        self._study.set_user_attr(_OWNER, {})

    def _close(self, numbers: list[int]) -> list[int]:
        self._replace(numbers)
        for number in numbers:
            self._study.tell(number, state=TrialState.FAIL)
        return numbers

    def _replace(self, numbers: list[int]) -> None:
        """Enqueues the points of trials anew, of each once: a process may die before it tells."""
        replaced = self._replaced()
        for trial in self._trials():
            if trial.number in numbers and trial.number not in replaced:
                self._study.enqueue_trial(point_of(trial), {REPLACES: trial.number})


def _by_seed(noted: object) -> bool:
    """Whether that is a number by seed, as `note` stores it."""
    return isinstance(noted, dict) and all(
        str(seed).isdecimal() and _number(value) for seed, value in noted.items()
    )


def _number(value: object) -> bool:
    return isinstance(value, int | float)
