"""Trains what a plan has left to train: cohorts to free slots, events to the store and the view.

Faults: a cohort whose worker is lost is tried again without the runs that ended; when it is lost
again it is split in halves until the guilty run is alone, and only that one fails.
"""

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

RETRIES = 1
"""How often a lost cohort is tried again as it is, before it is split or, of one run, fails."""

POLL_SECONDS = 0.2


@dataclass
class Attempt:
    """A cohort to train or in training, and how often it was lost so far."""

    cohort: PlannedCohort
    lost: int = 0


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to: the failed runs with their reasons, and if it was cut short."""

    failed: dict[RunSpec, str]
    interrupted: bool


@dataclass
class Dispatcher:
    """Trains what a plan has left to train.

    Attributes:
        plan: what to do.
        engine: where.
        recorder: writes it to the store.
        view: shows it.
        interrupted: asked between events whether to stop.
    """

    plan: Plan
    engine: Engine
    recorder: Recorder
    view: View
    interrupted: Callable[[], bool]
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
        self._submitted = 0

    def run(self) -> Outcome:
        """Trains until nothing is left, or `interrupted` says so.

        Raises:
            TrackingError: the store failed.
        """
        while self._waiting or self._created or self._training:
            if self.interrupted():
                return Outcome(self._failed, interrupted=True)
            self._dispatch()
            for event in self.engine.events(POLL_SECONDS):
                self._handle(event)
            self.recorder.tick()
            self.view.show(self.state)
        return Outcome(self._failed, interrupted=False)

    def _dispatch(self) -> None:
        """Gives cohorts to free slots; the runs of one more are created ahead."""
        while self._waiting and len(self._created) <= self.engine.idle:
            attempt = self._waiting.popleft()
            self._created.append((attempt, self.recorder.create(attempt.cohort.runs)))
        while self._created and self.engine.idle and self._created[0][1].done():
            attempt, created = self._created.popleft()
            created.result()
            self._submit(attempt)

    def _submit(self, attempt: Attempt) -> None:
        number, runs = self._submitted, attempt.cohort.runs
        self._submitted += 1
        self._training[number] = attempt
        self._cohort_of |= {run.run_key: number for run in runs}
        self.state.active[number] = Active(_label(attempt.cohort), len(runs))
        self.state.running += len(runs)
        self.engine.submit(number, runs)

    def _handle(self, event: Event) -> None:
        match event:
            case EpochEnded():
                self.recorder.epoch(event)
                self.state.epochs += 1
                active = self.state.active[self._cohort_of[event.run_key]]
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
        del self.state.active[number]
        return self._training.pop(number)

    def _lost(self, event: CohortLost) -> None:
        attempt = self._training[event.cohort]
        left = [run for run in attempt.cohort.runs if run.run_key in self._cohort_of]
        lost = attempt.lost + 1
        if lost > RETRIES and len(left) == 1:
            self._fail(RunFailed(left[0].run_key, event.reason), event.details)
            left = []
        self._leave(event.cohort)
        self.state.running -= len(left)
        for run in left:
            del self._cohort_of[run.run_key]
        if not left:
            return
        cohort = PlannedCohort(tuple(left))
        again = cohort.halves() if lost > RETRIES else (cohort,)
        how = "split in two and tried again" if len(again) == 2 else "tried again"
        self.view.say(f"{_label(cohort)}: {event.reason}; {how}")
        self._waiting.extendleft(Attempt(part, min(lost, RETRIES)) for part in reversed(again))


def _label(cohort: PlannedCohort) -> str:
    first = cohort.runs[0]
    inv_h = " inv_h" if first.inv_h else ""
    shape = f"z{first.z_dim} m{first.mid_dim}"
    return f"{first.model}{inv_h} {first.dataset} {shape} ×{cohort.size}"
