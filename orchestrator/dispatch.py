"""Trains what a plan has left to train: cohorts to free slots, events to the store and the view.

Faults: a cohort whose worker is lost is tried again without the runs that ended; when it is lost
too often it is split in halves until the guilty run is alone, and only that one fails.
"""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Engine,
    EpochEnded,
    Event,
    RunFailed,
    RunFinished,
)
from orchestrator.plan import Plan, PlannedCohort
from orchestrator.progress import Active, State, View
from orchestrator.recorder import Recorder
from orchestrator.spec import RunSpec

POLL_SECONDS = 0.2


@dataclass
class Attempt:
    """A cohort to train or in training, and how often it was lost so far."""

    cohort: PlannedCohort
    lost: int = 0


@dataclass(frozen=True)
class Policy:
    """What to do about faults.

    Attributes:
        retries: how often a lost cohort is tried again as it is, before it is split or, of a
            single run, fails.
        timeout: seconds that a cohort may go without ending an epoch or measuring a run, before
            it counts as lost.
        max_failures: so many failed runs stop everything; None: any number is borne.
    """

    retries: int = 1
    timeout: float = 1800.0
    max_failures: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to.

    Attributes:
        failed: the failed runs, with their reasons.
        interrupted: whether it was asked to stop.
        gave_up: whether it stopped because too many runs failed.
    """

    failed: dict[RunSpec, str]
    interrupted: bool = False
    gave_up: bool = False


@dataclass
class Dispatcher:
    """Trains what a plan has left to train.

    Attributes:
        plan: what to do.
        engine: where.
        recorder: writes it to the store.
        view: shows it.
        interrupted: asked between events whether to stop.
        policy: what to do about faults.
    """

    plan: Plan
    engine: Engine
    recorder: Recorder
    view: View
    interrupted: Callable[[], bool]
    policy: Policy
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = State(self.plan.sweep, len(self.plan.runs), len(self.plan.complete))
        self.state.cost = sum(cohort.cost for cohort in self.plan.cohorts)
        self._waiting = deque(Attempt(cohort) for cohort in self.plan.cohorts)
        self._created: deque[tuple[Attempt, Future[None]]] = deque()
        self._training: dict[int, Attempt] = {}
        self._runs = {run.run_key: run for cohort in self.plan.cohorts for run in cohort.runs}
        self._cohort_of: dict[str, int] = {}
        self._failed: dict[RunSpec, str] = {}
        self._heard: dict[int, float] = {}
        self._submitted = 0

    def run(self) -> Outcome:
        """Trains until nothing is left, or there is a reason to stop."""
        while self._waiting or self._created or self._training:
            if self.interrupted():
                return Outcome(self._failed, interrupted=True)
            limit = self.policy.max_failures
            if limit is not None and len(self._failed) >= limit:
                return Outcome(self._failed, gave_up=True)
            self._dispatch()
            for event in self.engine.events(POLL_SECONDS):
                self._handle(event)
            self._cancel_silent()
            self.recorder.tick()
            self.state.outage = str(self.recorder.outage or "")
            self.view.show(self.state)
        return Outcome(self._failed)

    def _dispatch(self) -> None:
        """Gives cohorts to free slots; the runs of one more are created ahead."""
        while self._waiting and len(self._created) <= self.engine.idle:
            attempt = self._waiting.popleft()
            self._created.append((attempt, self.recorder.create(attempt.cohort.runs)))
        # During an outage of the store training goes on; its thread creates the runs first.
        while (
            self._created
            and self.engine.idle
            and (self._created[0][1].done() or self.recorder.outage)
        ):
            self._submit(self._created.popleft()[0])

    def _submit(self, attempt: Attempt) -> None:
        number, runs = self._submitted, attempt.cohort.runs
        self._submitted += 1
        self._training[number] = attempt
        self._cohort_of |= {run.run_key: number for run in runs}
        self.state.active[number] = Active(_label(attempt.cohort), len(runs))
        self.state.running += len(runs)
        self._heard[number] = time.monotonic()
        self.engine.submit(number, runs)

    def _cancel_silent(self) -> None:
        for number, heard in self._heard.items():
            if time.monotonic() - heard > self.policy.timeout:
                reason = f"no sign of life for {self.policy.timeout:g} s"
                self.engine.cancel(number, reason)

    def _handle(self, event: Event) -> None:
        match event:
            case EpochEnded():
                self.recorder.epoch(event)
                self.state.epochs += 1
                number = self._cohort_of[event.run_key]
                self._heard[number] = time.monotonic()
                active = self.state.active[number]
                active.epoch = max(active.epoch, event.epoch)
            case RunFinished():
                self.recorder.finish(self._ended(event.run_key), event)
                self.state.complete += 1
            case RunFailed():
                self._fail(event, "")
            case CohortEnded():
                self._leave(event.cohort)
            case CohortLost():
                self._lost(event)

    def _ended(self, run_key: str) -> RunSpec:
        number = self._cohort_of.pop(run_key)
        self._heard[number] = time.monotonic()
        cohort = self._training[number].cohort
        self.state.active[number].ended += 1
        self.state.running -= 1
        self.state.cost_done += cohort.cost / cohort.size
        return self._runs[run_key]

    def _fail(self, event: RunFailed, details: str) -> None:
        run = self._ended(event.run_key)
        self._failed[run] = event.reason
        self.state.failed += 1
        self.recorder.fail(run, event, details)
        self.view.say(f"{run.run_name} failed: {event.reason}")

    def _leave(self, number: int) -> Attempt:
        del self.state.active[number], self._heard[number]
        return self._training.pop(number)

    def _lost(self, event: CohortLost) -> None:
        attempt = self._training[event.cohort]
        left = [run for run in attempt.cohort.runs if run.run_key in self._cohort_of]
        # What is too large for the device won't fit the next time.
        lost = self.policy.retries + 1 if event.too_large else attempt.lost + 1
        if lost > self.policy.retries and len(left) == 1:
            self._fail(RunFailed(left[0].run_key, event.reason), event.details)
            left = []
        self._leave(event.cohort)
        self.state.running -= len(left)
        for run in left:
            del self._cohort_of[run.run_key]
        if not left:
            return
        cohort = PlannedCohort(tuple(left))
        again = cohort.halves() if lost > self.policy.retries else (cohort,)
        how = "split in two and tried again" if len(again) == 2 else "tried again"
        self.view.say(f"{_label(cohort)}: {event.reason}; {how}")
        self._waiting.extendleft(
            Attempt(part, min(lost, self.policy.retries)) for part in reversed(again)
        )


def _label(cohort: PlannedCohort) -> str:
    first = cohort.runs[0]
    inv_h = " inv_h" if first.inv_h else ""
    shape = f"z{first.z_dim} m{first.mid_dim}"
    return f"{first.model}{inv_h} {first.dataset} {shape} ×{cohort.size}"
