"""Trains runs: cohorts to free slots, events to the store and the view.

Faults: a cohort whose worker is lost is tried again without the runs that ended; when it is lost
too often it is split in halves until the guilty run is alone, and only that one fails.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Drop,
    Engine,
    EpochEnded,
    Event,
    Join,
    RunFailed,
    RunFinished,
)
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.planning import PlannedCohort
from mimsweep.orchestrator.running.policy import Outcome, Policy
from mimsweep.orchestrator.running.progress import Active, ProgressState, View
from mimsweep.orchestrator.running.recorder import Recorder

POLL_SECONDS = 0.2


@dataclass
class Attempt:
    """A cohort to train or in training, and how often it was lost so far."""

    cohort: PlannedCohort
    lost: int = 0


class Listener(Protocol):
    """Follows the runs, and may ask for more while they train (a search does)."""

    def more(self, dispatcher: "Dispatcher") -> bool:
        """Called again and again; may `add`, `join` or `drop`. Returns whether more may come."""

    def epoch(self, event: EpochEnded) -> None:
        """A run has trained an epoch."""

    def ended(self, run: RunSpec, metrics: Mapping[str, float] | None) -> None:
        """A run was measured or, without metrics, has failed."""


class Dispatcher:
    """Trains cohorts in the order in which they were added.

    Attributes:
        state: what there is to see.
        failed: the failed runs, with their reasons.
    """

    def __init__(
        self,
        engine: Engine,
        recorder: Recorder,
        view: View,
        policy: Policy,
        state: ProgressState,
        listener: Listener | None = None,
        device: str = "cpu",
    ) -> None:
        """Makes a dispatcher that has nothing to do yet, of an engine on that kind of device."""
        self.state = state
        self.failed: dict[RunSpec, str] = {}
        self._engine = engine
        self._recorder = recorder
        self._view = view
        self._policy = policy
        self._listener = listener
        self._device = device
        self._waiting: deque[Attempt] = deque()
        self._created: deque[tuple[Attempt, Future[None]]] = deque()
        self._training: dict[int, Attempt] = {}
        self._heard: dict[int, float] = {}
        self._noted = time.monotonic()
        self._runs: dict[str, RunSpec] = {}
        self._cohort_of: dict[str, int] = {}
        self._submitted = 0

    def add(self, cohort: PlannedCohort) -> None:
        """Has a cohort trained when a slot is free."""
        self._runs |= {run.run_key: run for run in cohort.runs}
        self.state.cost += cohort.cost
        self._waiting.append(Attempt(cohort))

    @property
    def idle(self) -> int:
        """The number of free slots that no cohort waits for."""
        return self._engine.idle - len(self._waiting) - len(self._created)

    def in_training(self) -> dict[int, list[RunSpec]]:
        """Returns the live runs of each cohort in training, by its number."""
        live: dict[int, list[RunSpec]] = {number: [] for number in self._training}
        for run_key, number in self._cohort_of.items():
            live[number].append(self._runs[run_key])
        return live

    def join(self, number: int, runs: Sequence[RunSpec]) -> None:
        """Has runs join a cohort in training; they agree with it as a cohort's runs do."""
        self._runs |= {run.run_key: run for run in runs}
        self._cohort_of |= {run.run_key: number for run in runs}
        attempt = self._training[number]
        self.state.cost -= attempt.cohort.cost
        attempt.cohort = PlannedCohort((*attempt.cohort.runs, *runs))
        self.state.cost += attempt.cohort.cost
        self.state.active[number].size += len(runs)
        self.state.running += len(runs)
        self._recorder.create(runs)
        self._engine.command(number, Join(tuple(runs)))

    def drop(self, runs: Collection[RunSpec], reason: str) -> None:
        """Has runs end where they are; they are stored as KILLED, with the reason."""
        for run in runs:
            number = self._cohort_of.get(run.run_key)
            if number is not None:
                self._ended(run.run_key)
                self._engine.command(number, Drop(frozenset([run.run_key])))
            self._recorder.drop(run, reason)
        created = (attempt for attempt, _ in self._created)
        for attempt in (*self._waiting, *created):
            left = PlannedCohort(tuple(run for run in attempt.cohort.runs if run not in runs))
            self.state.cost_done += attempt.cohort.cost * (1 - left.size / attempt.cohort.size)
            attempt.cohort = left
        self._waiting = deque(attempt for attempt in self._waiting if attempt.cohort.runs)
        self._created = deque(pair for pair in self._created if pair[0].cohort.runs)

    def run(self, interrupted: Callable[[], bool]) -> Outcome:
        """Trains until nothing is left, or there is a reason to stop.

        Args:
            interrupted: asked again and again whether to stop.
        """
        while self._more() or self._waiting or self._created or self._training:
            if interrupted():
                return Outcome(self.failed, interrupted=True)
            limit = self._policy.max_failures
            if limit is not None and len(self.failed) >= limit:
                return Outcome(self.failed, gave_up=True)
            self._dispatch()
            for event in self._engine.events(POLL_SECONDS):
                self._handle(event)
            self._note_waiting()
            self._cancel_silent()
            self._recorder.tick()
            self.state.outage = str(self._recorder.outage or "")
            self._view.show(self.state)
        return Outcome(self.failed)

    def _more(self) -> bool:
        return self._listener is not None and self._listener.more(self)

    def _dispatch(self) -> None:
        """Gives cohorts to free slots; the runs of one more are created ahead."""
        while self._waiting and len(self._created) <= self._engine.idle:
            attempt = self._waiting.popleft()
            self._created.append((attempt, self._recorder.create(attempt.cohort.runs)))
        # During an outage of the store training goes on; its thread creates the runs first.
        while (
            self._created
            and self._engine.idle
            and (self._created[0][1].done() or self._recorder.outage)
        ):
            self._submit(self._created.popleft()[0])

    def _submit(self, attempt: Attempt) -> None:
        number, runs = self._submitted, attempt.cohort.runs
        self._submitted += 1
        self._training[number] = attempt
        self._cohort_of |= {run.run_key: number for run in runs}
        most = max(run.epochs for run in runs)
        cohort = attempt.cohort
        self.state.active[number] = Active(cohort.label, len(runs), most, cohort.cost)
        self.state.running += len(runs)
        self._heard[number] = time.monotonic()
        self._engine.submit(number, runs)

    def _note_waiting(self) -> None:
        """Shows which cohorts have no worker yet: nobody expects a sign of life of them."""
        waiting, now = self._engine.waiting, time.monotonic()
        for number, active in self.state.active.items():
            active.waits = waiting.get(number, "")
            if active.waits:
                self._heard[number] = now
        if self._training and self._training.keys() <= waiting.keys():
            self.state.waited += now - self._noted
        self._noted = now

    def _cancel_silent(self) -> None:
        for number, heard in self._heard.items():
            cohort = self._training[number].cohort
            limit = self._policy.timeout or cohort.longest_silence(self._device)
            if time.monotonic() - heard > limit:
                reason = f"no sign of life for {limit:g} s"
                self._engine.cancel(number, reason)

    def _handle(self, event: Event) -> None:
        match event:
            case CohortEnded():
                self._over(event)
            case CohortLost():
                self._lost(event)
            case _ if event.run_key in self._cohort_of:  # or they are a dropped run's last words
                self._heard[self._cohort_of[event.run_key]] = time.monotonic()
                self._of_run(event)

    def _of_run(self, event: EpochEnded | RunFinished | RunFailed) -> None:
        match event:
            case EpochEnded():
                self._epoch(event)
            case RunFinished():
                run = self._ended(event.run_key)
                self._recorder.finish(run, event)
                self.state.complete += 1
                self._tell(run, event.metrics)
            case RunFailed():
                self._fail(event, "")

    def _epoch(self, event: EpochEnded) -> None:
        self._recorder.epoch(event)
        self.state.epochs += 1
        active = self.state.active[self._cohort_of[event.run_key]]
        active.epoch = max(active.epoch, event.epoch)
        if self._listener:
            self._listener.epoch(event)

    def _ended(self, run_key: str) -> RunSpec:
        number = self._cohort_of.pop(run_key)
        cohort = self._training[number].cohort
        self.state.active[number].ended += 1
        self.state.running -= 1
        self.state.cost_done += cohort.cost / cohort.size
        return self._runs[run_key]

    def _fail(self, event: RunFailed, details: str) -> None:
        run = self._ended(event.run_key)
        self.failed[run] = event.reason
        self.state.failed += 1
        self._recorder.fail(run, event, details)
        self._view.say(f"{run.run_name} failed: {event.reason}")
        self._tell(run, None)

    def _tell(self, run: RunSpec, metrics: Mapping[str, float] | None) -> None:
        if self._listener:
            self._listener.ended(run, metrics)

    def _leave(self, number: int) -> list[RunSpec]:
        """Frees a cohort's number; returns its runs that have no end."""
        cohort = self._training.pop(number).cohort
        left = [run for run in cohort.runs if self._cohort_of.get(run.run_key) == number]
        for run in left:
            del self._cohort_of[run.run_key]
        del self.state.active[number], self._heard[number]
        self.state.running -= len(left)
        return left

    def _over(self, event: CohortEnded) -> None:
        if late := self._leave(event.cohort):
            self._waiting.appendleft(Attempt(PlannedCohort(tuple(late))))

    def _lost(self, event: CohortLost) -> None:
        retries = self._policy.retries
        lost = self._training[event.cohort].lost + (not event.excused)
        live = self.in_training()[event.cohort]
        if lost > retries and len(live) == 1:
            self._fail(RunFailed(live[0].run_key, event.reason), event.details)
        left = self._leave(event.cohort)
        if not left:
            return
        cohort = PlannedCohort(tuple(left))
        # What is too large for the device won't fit the next time either.
        split = cohort.size > 1 and (event.too_large or lost > retries)
        again = cohort.halves() if split else (cohort,)
        how = "split in two and tried again" if split else "tried again"
        self._view.say(f"{cohort.label}: {event.reason}; {how}")
        self._waiting.extendleft(Attempt(part, min(lost, retries)) for part in reversed(again))
