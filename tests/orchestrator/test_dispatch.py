"""The dispatcher's policy: an engine that plays scripts, the real recorder, a real SQLite store."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest

from orchestrator.dispatch import Dispatcher, Outcome
from orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    EpochEnded,
    Event,
    RunFailed,
    RunFinished,
)
from orchestrator.plan import plan
from orchestrator.progress import State
from orchestrator.recorder import Recorder
from orchestrator.spec import RunSpec
from orchestrator.tracking import Tracking
from orchestrator.tracking_runs import RunState

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

Script = Callable[[int, Sequence[RunSpec]], list[Event]]


class ScriptedEngine:
    """Plays what `script` says of each cohort, a cohort a call of `events`, oldest first."""

    def __init__(self, slots: int, script: Script) -> None:
        self.submitted: list[list[int]] = []
        self.most = 0
        self.dropped: set[str] = set()
        self.cancelled: list[int] = []
        self._slots = slots
        self._script = script
        self._training: list[tuple[int, Sequence[RunSpec]]] = []

    @property
    def idle(self) -> int:
        return self._slots - len(self._training)

    def submit(self, cohort: int, runs: Sequence[RunSpec]) -> None:
        assert self.idle > 0
        assert cohort == len(self.submitted)
        self.submitted.append([run.seed for run in runs])
        self._training.append((cohort, runs))
        self.most = max(self.most, len(self._training))

    def events(self, timeout: float) -> list[Event]:
        return self._script(*self._training.pop(0)) if self._training else []

    def drop(self, run_keys: Collection[str]) -> None:
        self.dropped |= set(run_keys)

    def cancel(self, cohort: int, reason: str) -> None:
        self.cancelled.append(cohort)

    def close(self) -> None:
        self._training.clear()


class Sentences:
    """A view that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.shown = 0

    def show(self, state: State) -> None:
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
        uri: str,
        runs: Sequence[RunSpec],
        script: Script,
        *,
        slots: int = 1,
        cohort_size: int | None = None,
        complete: Collection[str] = (),
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        tracking = Tracking(uri)
        recorder = Recorder(tracking, tracking.start_sweep("toy", "", {}, {}), {})
        self.engine, self.view = ScriptedEngine(slots, script), Sentences()
        todo = plan("toy", runs, complete, cohort_size)
        self.dispatcher = Dispatcher(todo, self.engine, recorder, self.view, interrupted)
        self.outcome: Outcome = self.dispatcher.run()
        self.open = set(recorder.open)
        recorder.close("FINISHED", {}, None)
        self.states: dict[str, RunState] = tracking.statuses("toy")
        self.metrics = tracking.frame("toy")

    def status(self, run: RunSpec) -> str:
        return self.states[run.run_key].status


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_all_well(uri: str) -> None:
    runs = specs(1, 2, 3)
    done = Invocation(uri, runs, well)
    assert done.outcome == Outcome({}, interrupted=False)
    assert done.engine.submitted == [[1, 2, 3]]
    assert {done.status(run) for run in runs} == {"FINISHED"}
    assert sorted(done.metrics["mi"]) == [0.5, 1.0, 1.5]
    state = done.dispatcher.state
    assert (state.complete, state.failed, state.running, state.epochs) == (3, 0, 0, 6)
    assert state.active == {}
    assert state.cost_done == pytest.approx(state.cost)
    assert done.view.said == []
    assert done.view.shown > 0


def test_complete_runs_are_counted_and_not_trained(uri: str) -> None:
    runs = specs(1, 2, 3)
    done = Invocation(uri, runs, well, complete=[runs[1].run_key])
    assert done.engine.submitted == [[1, 3]]
    assert done.dispatcher.state.complete == 3
    assert done.states.keys() == {runs[0].run_key, runs[2].run_key}


def test_nothing_to_do(uri: str) -> None:
    done = Invocation(uri, specs(1), well, complete=[specs(1)[0].run_key])
    assert done.outcome == Outcome({}, interrupted=False)
    assert done.engine.submitted == []


def test_cohorts_start_in_the_order_of_the_plan_in_all_slots(uri: str) -> None:
    runs = [*specs(1, 2), *specs(3, 4, z_dim=9), *specs(5, z_dim=5)]
    done = Invocation(uri, runs, well, slots=2)
    assert done.engine.submitted == [[3, 4], [1, 2], [5]]
    assert done.engine.most == 2
    assert len(done.metrics) == 5


def test_a_lost_cohort_is_tried_again_as_it_is_without_the_runs_that_ended(uri: str) -> None:
    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        if cohort > 0:
            return well(cohort, runs)
        bad = RunFailed(runs[1].run_key, "NaN")
        return [*finished(runs[0]), bad, *epochs(runs[2], 1), lost(cohort)]

    runs = specs(1, 2, 3, 4)
    done = Invocation(uri, runs, script)
    assert done.engine.submitted == [[1, 2, 3, 4], [3, 4]]
    assert done.outcome.failed == {runs[1]: "NaN"}
    assert [done.status(run) for run in runs] == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]
    assert len(done.view.said) == 2
    assert "NaN" in done.view.said[0]
    assert "SIGSEGV; tried again" in done.view.said[1]
    assert (done.dispatcher.state.complete, done.dispatcher.state.failed) == (3, 1)


def test_a_run_that_kills_its_worker_fails_alone(uri: str) -> None:
    guilty = 5

    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        if any(run.seed == guilty for run in runs):
            return [*epochs(runs[0]), lost(cohort)]
        return well(cohort, runs)

    runs = specs(*range(1, 9))
    done = Invocation(uri, runs, script)
    all_, half = [1, 2, 3, 4, 5, 6, 7, 8], [5, 6, 7, 8]
    tried = [all_, all_, [1, 2, 3, 4], half, [5, 6], [5], [6], [7, 8]]
    assert done.engine.submitted == tried
    assert done.outcome.failed == {runs[4]: "the worker process was killed by SIGSEGV"}
    assert {run.seed for run in runs if done.status(run) == "FINISHED"} == {1, 2, 3, 4, 6, 7, 8}
    assert done.states[runs[4].run_key].reason == "the worker process was killed by SIGSEGV"
    assert "tried again" in done.view.said[0]
    assert "split in two" in done.view.said[1]
    assert "failed" in done.view.said[-1]
    assert done.dispatcher.state.running == 0


def test_a_run_alone_is_tried_twice(uri: str) -> None:
    done = Invocation(uri, specs(1), lambda cohort, _: [lost(cohort)])
    assert done.engine.submitted == [[1], [1]]
    assert len(done.outcome.failed) == 1
    assert not done.open


def test_a_cohort_lost_after_all_its_runs_ended_is_done(uri: str) -> None:
    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        return [*well(cohort, runs)[:-1], lost(cohort)]

    done = Invocation(uri, specs(1, 2), script)
    assert done.engine.submitted == [[1, 2]]
    assert done.outcome.failed == {}
    assert len(done.metrics) == 2


def test_all_runs_may_fail(uri: str) -> None:
    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        return [*(RunFailed(run.run_key, "NaN") for run in runs), CohortEnded(cohort)]

    runs = specs(1, 2)
    done = Invocation(uri, runs, script)
    assert done.outcome.failed == dict.fromkeys(runs, "NaN")
    assert {done.status(run) for run in runs} == {"FAILED"}


def test_interrupted_between_events(uri: str) -> None:
    trained: list[int] = []

    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        trained.append(cohort)
        return well(cohort, runs)

    runs = specs(1, 2, 3, 4)
    done = Invocation(uri, runs, script, cohort_size=1, interrupted=lambda: len(trained) >= 2)
    assert done.outcome.interrupted
    assert len(done.engine.submitted) == 2
    # What had been created ahead is closed; what was recorded is complete.
    statuses = [state.status for state in done.states.values()]
    assert statuses.count("FINISHED") == 2
    assert set(statuses) <= {"FINISHED", "KILLED"}
    assert done.open
