"""The dispatcher's policy: an engine that plays scripts, the real recorder, a real SQLite store."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pytest

from orchestrator.dispatch import Dispatcher, Listener, Outcome, Policy
from orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Command,
    Drop,
    EpochEnded,
    Event,
    Join,
    RunFailed,
    RunFinished,
)
from orchestrator.plan import plan
from orchestrator.progress import State
from orchestrator.recorder import Recorder
from orchestrator.spec import RunSpec
from orchestrator.spool import Spool
from orchestrator.tracking import Tracking
from orchestrator.tracking_runs import RunState

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.usefixtures("uri"),
]

Script = Callable[[int, Sequence[RunSpec]], list[Event]]


class ScriptedEngine:
    """Plays what `script` says of the oldest cohort at each call of `events`.

    With several slots it waits until all of them were busy once.
    """

    def __init__(self, slots: int, script: Script) -> None:
        self.submitted: list[list[int]] = []
        self.commands: list[tuple[int, Command]] = []
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

    def events(self, timeout: float) -> list[Event]:
        if not self._training or len(self.submitted) < self._slots:
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
    ) -> None:
        tracking = Tracking(f"sqlite:///{folder / 'mlflow.db'}")
        parent_id = tracking.start_sweep("toy", "", {}, {})
        recorder = Recorder(tracking, "toy", parent_id, {}, Spool(folder / "spool"))
        self.engine, self.view = ScriptedEngine(slots, script), Sentences()
        todo = plan("toy", runs, complete, cohort_size)
        self.state = State("toy", len(runs), len(todo.complete))
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


def test_all_well(tmp_path: Path) -> None:
    runs = specs(1, 2, 3)
    done = Invocation(tmp_path, runs, well)
    assert done.outcome == Outcome({})
    assert done.engine.submitted == [[1, 2, 3]]
    assert {done.status(run) for run in runs} == {"FINISHED"}
    assert sorted(done.metrics["mi"]) == [0.5, 1.0, 1.5]
    state = done.state
    assert (state.complete, state.failed, state.running, state.epochs) == (3, 0, 0, 6)
    assert state.active == {}
    assert state.cost_done == pytest.approx(state.cost)
    assert done.view.said == []
    assert done.view.shown > 0


def test_complete_runs_are_counted_and_not_trained(tmp_path: Path) -> None:
    runs = specs(1, 2, 3)
    done = Invocation(tmp_path, runs, well, complete=[runs[1].run_key])
    assert done.engine.submitted == [[1, 3]]
    assert done.state.complete == 3
    assert done.states.keys() == {runs[0].run_key, runs[2].run_key}


def test_nothing_to_do(tmp_path: Path) -> None:
    done = Invocation(tmp_path, specs(1), well, complete=[specs(1)[0].run_key])
    assert done.outcome == Outcome({})
    assert done.engine.submitted == []


def test_cohorts_start_in_the_order_of_the_plan_in_all_slots(tmp_path: Path) -> None:
    runs = [*specs(1, 2), *specs(3, 4, z_dim=9), *specs(5, z_dim=5)]
    done = Invocation(tmp_path, runs, well, slots=2)
    assert done.engine.submitted == [[3, 4], [1, 2], [5]]
    assert len(done.metrics) == 5


def test_a_lost_cohort_is_tried_again_as_it_is_without_the_runs_that_ended(tmp_path: Path) -> None:
    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        if cohort > 0:
            return well(cohort, runs)
        bad = RunFailed(runs[1].run_key, "NaN")
        return [*finished(runs[0]), bad, *epochs(runs[2], 1), lost(cohort)]

    runs = specs(1, 2, 3, 4)
    done = Invocation(tmp_path, runs, script)
    assert done.engine.submitted == [[1, 2, 3, 4], [3, 4]]
    assert done.outcome.failed == {runs[1]: "NaN"}
    assert [done.status(run) for run in runs] == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]
    assert len(done.view.said) == 2
    assert "NaN" in done.view.said[0]
    assert "SIGSEGV; tried again" in done.view.said[1]
    assert (done.state.complete, done.state.failed) == (3, 1)


def test_a_run_that_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    guilty = 5

    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        if any(run.seed == guilty for run in runs):
            return [*epochs(runs[0]), lost(cohort)]
        return well(cohort, runs)

    runs = specs(*range(1, 9))
    done = Invocation(tmp_path, runs, script)
    all_, half = [1, 2, 3, 4, 5, 6, 7, 8], [5, 6, 7, 8]
    tried = [all_, all_, [1, 2, 3, 4], half, [5, 6], [5], [6], [7, 8]]
    assert done.engine.submitted[:4] == tried[:4]
    # Whose runs are in the store already may go first.
    assert sorted(done.engine.submitted) == sorted(tried)
    assert done.outcome.failed == {runs[4]: "the worker process was killed by SIGSEGV"}
    assert {run.seed for run in runs if done.status(run) == "FINISHED"} == {1, 2, 3, 4, 6, 7, 8}
    assert done.states[runs[4].run_key].reason == "the worker process was killed by SIGSEGV"
    assert "tried again" in done.view.said[0]
    assert "split in two" in done.view.said[1]
    assert "failed" in done.view.said[-1]
    assert done.state.running == 0


def test_a_run_alone_is_tried_twice(tmp_path: Path) -> None:
    done = Invocation(tmp_path, specs(1), lambda cohort, _: [lost(cohort)])
    assert done.engine.submitted == [[1], [1]]
    assert len(done.outcome.failed) == 1


def test_a_cohort_lost_after_all_its_runs_ended_is_done(tmp_path: Path) -> None:
    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        return [*well(cohort, runs)[:-1], lost(cohort)]

    done = Invocation(tmp_path, specs(1, 2), script)
    assert done.engine.submitted == [[1, 2]]
    assert done.outcome.failed == {}
    assert len(done.metrics) == 2


def test_all_runs_may_fail(tmp_path: Path) -> None:
    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        return [*(RunFailed(run.run_key, "NaN") for run in runs), CohortEnded(cohort)]

    runs = specs(1, 2)
    done = Invocation(tmp_path, runs, script)
    assert done.outcome.failed == dict.fromkeys(runs, "NaN")
    assert {done.status(run) for run in runs} == {"FAILED"}


def test_interrupted_between_events(tmp_path: Path) -> None:
    trained: list[int] = []

    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        trained.append(cohort)
        return well(cohort, runs)

    runs = specs(1, 2, 3, 4)
    done = Invocation(tmp_path, runs, script, cohort_size=1, interrupted=lambda: len(trained) >= 2)
    assert done.outcome.interrupted
    assert len(done.engine.submitted) == 2
    # What had been created ahead is closed; what was recorded is complete.
    statuses = [state.status for state in done.states.values()]
    assert statuses.count("FINISHED") == 2
    assert set(statuses) <= {"FINISHED", "KILLED"}


def test_what_is_too_large_is_halved_at_once(tmp_path: Path) -> None:
    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        if len(runs) > 2:
            return [CohortLost(cohort, "out of memory", "", too_large=True)]
        return well(cohort, runs)

    done = Invocation(tmp_path, specs(*range(1, 8)), script)
    assert done.outcome == Outcome({})
    three, four = [1, 2, 3], [4, 5, 6, 7]
    tried = [[*three, *four], three, [1], [2, 3], four, [4, 5], [6, 7]]
    assert sorted(done.engine.submitted) == sorted(tried)


@pytest.mark.parametrize(("retries", "times"), [(0, 1), (3, 4)])
def test_retries(tmp_path: Path, retries: int, times: int) -> None:
    policy = Policy(retries=retries)
    done = Invocation(tmp_path, specs(1), lambda cohort, _: [lost(cohort)], policy=policy)
    assert done.engine.submitted == [[1]] * times
    assert len(done.outcome.failed) == 1


def test_too_many_failures_stop_everything(tmp_path: Path) -> None:
    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        return [*(RunFailed(run.run_key, "NaN") for run in runs), CohortEnded(cohort)]

    runs = specs(1, 2, 3, 4, 5)
    done = Invocation(tmp_path, runs, script, cohort_size=1, policy=Policy(max_failures=2))
    assert done.outcome == Outcome(dict.fromkeys(runs[:2], "NaN"), gave_up=True)
    assert done.engine.submitted == [[1], [2]]
    assert "RUNNING" not in {state.status for state in done.states.values()}


def test_a_silent_cohort_is_cancelled_and_tried_again(tmp_path: Path) -> None:
    tried: list[int] = []

    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        tried.append(cohort)
        time.sleep(0.02)
        return []

    done = Invocation(tmp_path, specs(1, 2), script, policy=Policy(retries=0, timeout=0.2))
    assert set(done.engine.cancelled) == {0, 1, 2}
    assert set(done.outcome.failed.values()) == {"no sign of life for 0.2 s"}
    assert len(done.outcome.failed) == 2
    assert len(tried) > 3


def test_epochs_are_signs_of_life(tmp_path: Path) -> None:
    heard = 0

    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        nonlocal heard
        heard += 1
        time.sleep(0.1)
        return epochs(runs[0])[-1:] if heard < 8 else well(cohort, runs)

    done = Invocation(tmp_path, specs(1), script, policy=Policy(timeout=0.5))
    assert done.engine.cancelled == []
    assert done.outcome == Outcome({})


class Search:
    """A listener that has one run join the first cohort and another dropped, then waits."""

    def __init__(self, joins: RunSpec, drops: RunSpec) -> None:
        self.joins, self.drops = joins, drops
        self.told: list[tuple[int, Mapping[str, float] | None]] = []
        self.epochs = 0
        self.done = False

    def more(self, dispatcher: Dispatcher) -> bool:
        if not self.done and dispatcher.in_training().get(0):
            self.done = True
            assert dispatcher.idle == 0
            dispatcher.join(0, [self.joins])
            dispatcher.drop([self.drops, self.drops], "it is the worst")
        return not self.done

    def epoch(self, event: EpochEnded) -> None:
        self.epochs += 1

    def ended(self, run: RunSpec, metrics: Mapping[str, float] | None) -> None:
        self.told.append((run.seed, metrics))


def test_runs_may_join_and_be_dropped(tmp_path: Path) -> None:
    first, worst, late = specs(1, 2, 3)
    calls = 0

    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        nonlocal calls
        calls += 1
        if calls == 1:
            return [*epochs(first, 1), *epochs(worst, 1)]
        # The last words of a run that was dropped don't count any more.
        return [*finished(worst), *finished(first), *finished(late), CohortEnded(cohort)]

    search = Search(late, worst)
    done = Invocation(tmp_path, [first, worst], script, listener=search)
    assert done.engine.commands == [(0, Join((late,))), (0, Drop(frozenset([worst.run_key])))]
    assert search.told == [(1, {"mi": 0.5}), (3, {"mi": 1.5})]
    assert search.epochs > 0
    assert [done.status(run) for run in (first, worst, late)] == ["FINISHED", "KILLED", "FINISHED"]
    assert done.states[worst.run_key].reason == "it is the worst"
    assert done.state.cost_done == pytest.approx(done.state.cost)


def test_a_run_that_joined_too_late_is_trained_in_the_next_cohort(tmp_path: Path) -> None:
    first, worst, late = specs(1, 2, 3)
    calls = 0

    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        nonlocal calls
        calls += 1
        if calls == 1:
            return epochs(first, 1)
        if cohort == 0:
            return [*finished(first), CohortEnded(cohort)]
        return well(cohort, runs)

    done = Invocation(tmp_path, [first, worst], script, listener=Search(late, worst))
    assert done.engine.submitted == [[1, 2], [3]]
    assert done.status(late) == "FINISHED"
