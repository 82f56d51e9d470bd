"""The dispatcher's policy: an engine that plays scripts, the real recorder, a real SQLite store."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Drop,
    EpochEnded,
    Event,
    Join,
    RunFailed,
)
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.running.dispatch import Dispatcher
from mimsweep.orchestrator.running.policy import Outcome, Policy
from tests.orchestrator.running.scripted import (
    Invocation,
    epochs,
    finished,
    lost,
    specs,
    well,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.usefixtures("uri"),
]


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


def test_a_cohort_whose_slot_is_taken_away_is_excused(tmp_path: Path) -> None:
    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        if cohort < 5:
            return [CohortLost(cohort, "it was preempted", "", excused=True)]
        return well(cohort, runs)

    done = Invocation(tmp_path, specs(1, 2), script)
    assert done.engine.submitted == [[1, 2]] * 6
    assert done.outcome.failed == {}
    assert all("it was preempted; tried again" in line for line in done.view.said)


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


def test_no_sign_of_life_is_expected_of_a_cohort_that_waits_for_a_worker(tmp_path: Path) -> None:
    asked = 0

    def script(cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
        nonlocal asked
        asked += 1
        time.sleep(0.1)
        return [] if asked < 8 else well(cohort, runs)

    policy, waiting = Policy(timeout=0.3), {0: "for a job"}
    done = Invocation(tmp_path, specs(1), script, policy=policy, waiting=waiting)
    assert done.engine.cancelled == []
    assert done.outcome == Outcome({})
    assert done.state.waited > 0.5, "from which nothing follows for the time left"


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
