"""An engine that does what a script says, without torch, and an invocation that it serves."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Command,
    EpochEnded,
    Event,
    RunFinished,
)
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.planning import plan
from mimsweep.orchestrator.running.dispatch import Dispatcher, Listener
from mimsweep.orchestrator.running.policy import Outcome, Policy
from mimsweep.orchestrator.running.progress import ProgressState
from mimsweep.orchestrator.running.recorder import Recorder
from mimsweep.orchestrator.running.spool import Spool
from mimsweep.orchestrator.tracking.runs import RunState
from mimsweep.orchestrator.tracking.writer import Tracking

Script = Callable[[int, Sequence[RunSpec]], list[Event]]


class ScriptedEngine:
    """Plays what `script` says of the oldest cohort at each call of `events`.

    With several slots it waits until all of them were busy once.
    """

    def __init__(self, slots: int, script: Script) -> None:
        self.submitted: list[list[int]] = []
        self.commands: list[tuple[int, Command]] = []
        self.cancelled: list[int] = []
        self.waiting: Mapping[int, str] = {}
        self.slots = slots
        self._script = script
        self._training: list[tuple[int, Sequence[RunSpec]]] = []

    @property
    def idle(self) -> int:
        return self.slots - len(self._training)

    def submit(self, cohort: int, runs: Sequence[RunSpec]) -> None:
        assert self.idle > 0
        assert cohort == len(self.submitted)
        self.submitted.append([run.seed for run in runs])
        self._training.append((cohort, runs))

    def events(self, timeout: float) -> list[Event]:
        if not self._training or len(self.submitted) < self.slots:
            time.sleep(0.005)
            return []
        number = self._training[0][0]
        if number in self.cancelled:
            self._training.pop(0)
            return [CohortLost(number, self.reason, "")]
        events = self._script(*self._training[0])
        if any(isinstance(event, CohortEnded | CohortLost) for event in events):
            self._training.pop(0)
        return events

    def command(self, cohort: int, command: Command) -> None:
        self.commands.append((cohort, command))

    def cancel(self, cohort: int, reason: str) -> None:
        self.cancelled.append(cohort)
        self.reason = reason

    def close(self) -> None:
        self._training.clear()


class Sentences:
    """A view that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.shown = 0

    def show(self, state: ProgressState) -> None:
        self.shown += 1
        assert 0 <= state.running <= state.total
        assert state.complete + state.failed + state.running <= state.total
        assert state.running == sum(a.size - a.ended for a in state.active.values())

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def epochs(run: RunSpec, count: int = 2) -> list[Event]:
    return [EpochEnded(run.run_key, epoch, {"train_loss": 1.0}) for epoch in range(1, count + 1)]


def finished(run: RunSpec) -> list[Event]:
    return [*epochs(run), RunFinished(run.run_key, {"mi": run.seed / 2}, b"weights")]


def well(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
    return [*(event for run in runs for event in finished(run)), CohortEnded(cohort)]


def lost(cohort: int) -> CohortLost:
    return CohortLost(cohort, "the worker process was killed by SIGSEGV", "see worker-0.log")


def specs(*seeds: int, z_dim: int = 2) -> list[RunSpec]:
    return [RunSpec(dataset="toy4", model="mim", seed=seed, z_dim=z_dim) for seed in seeds]


class Invocation:
    """One run of the dispatcher over `runs` to its end, and what the store says after it."""

    def __init__(
        self,
        folder: Path,
        runs: Sequence[RunSpec],
        script: Script,
        *,
        slots: int = 1,
        cohort_size: int | None = None,
        complete: Collection[str] = (),
        policy: Policy = Policy(),  # noqa: B008
        listener: Listener | None = None,
        interrupted: Callable[[], bool] = lambda: False,
        waiting: Mapping[int, str] | None = None,
    ) -> None:
        tracking = Tracking(f"sqlite:///{folder / 'mlflow.db'}")
        parent_id = tracking.start_sweep("toy", "", {}, {})
        recorder = Recorder(tracking, "toy", parent_id, {}, Spool(folder / "spool"))
        self.engine, self.view = ScriptedEngine(slots, script), Sentences()
        self.engine.waiting = waiting or {}
        todo = plan("toy", runs, complete, cohort_size)
        self.state = ProgressState("toy", len(runs), len(todo.complete))
        dispatcher = Dispatcher(self.engine, recorder, self.view, policy, self.state, listener)
        for cohort in todo.cohorts:
            dispatcher.add(cohort)
        self.outcome: Outcome = dispatcher.run(interrupted)
        recorder.close("FINISHED", {}, 30.0)
        assert recorder.open == {} or self.outcome.interrupted or self.outcome.gave_up
        assert not list((folder / "spool").glob("*"))
        self.states: dict[str, RunState] = tracking.statuses("toy")
        self.metrics = tracking.frame("toy")

    def status(self, run: RunSpec) -> str:
        return self.states[run.run_key].status
