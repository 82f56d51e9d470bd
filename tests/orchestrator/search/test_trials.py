"""Trials to runs and back: an engine without torch, the real study, recorder and store."""

from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    Command,
    Drop,
    EpochEnded,
    Event,
    Join,
    RunFailed,
    RunFinished,
)
from mimsweep.orchestrator.files.search import Objective, Search
from mimsweep.orchestrator.files.space import Dimension
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.running.dispatch import Dispatcher
from mimsweep.orchestrator.running.policy import Outcome, Policy
from mimsweep.orchestrator.running.progress import ProgressState
from mimsweep.orchestrator.running.recorder import Recorder
from mimsweep.orchestrator.running.spool import Spool
from mimsweep.orchestrator.search.placing import place
from mimsweep.orchestrator.search.study import Study
from mimsweep.orchestrator.search.trials import Trials, point
from mimsweep.orchestrator.tracking.writer import Tracking

pytestmark = pytest.mark.usefixtures("uri")

Score = Callable[[RunSpec], float]

EPOCHS = 6


def nll(run: RunSpec) -> float:
    return abs(run.warmup - 10) + run.seed / 100


class SteppedEngine:
    """Trains a run an epoch a call, `EPOCHS` of them; its losses and metrics are its score."""

    def __init__(self, slots: int, score: Score) -> None:
        self.cohorts: dict[int, dict[RunSpec, int]] = {}
        self.trained: list[RunSpec] = []
        self.most = 0
        self.epochs: dict[str, int] = {}
        self.waiting: dict[int, str] = {}
        self.slots = slots
        self._score = score

    @property
    def idle(self) -> int:
        return self.slots - len(self.cohorts)

    def submit(self, cohort: int, runs: Sequence[RunSpec]) -> None:
        assert self.idle > 0
        self.cohorts[cohort] = dict.fromkeys(runs, 0)
        self.trained += runs
        self.most = max(self.most, len(runs))

    def command(self, cohort: int, command: Command) -> None:
        match command:
            case Drop(run_keys=keys):
                self.cohorts[cohort] = {
                    run: epoch
                    for run, epoch in self.cohorts[cohort].items()
                    if run.run_key not in keys
                }
            case Join(runs=runs):
                self.cohorts[cohort] |= dict.fromkeys(runs, 0)
                self.trained += runs
                self.most = max(self.most, len(self.cohorts[cohort]))

    def events(self, timeout: float) -> list[Event]:
        events: list[Event] = []
        for number, live in list(self.cohorts.items()):
            for run in list(live):
                events += self._step(live, run)
            if not live:
                events.append(CohortEnded(number))
                del self.cohorts[number]
        return events

    def _step(self, live: dict[RunSpec, int], run: RunSpec) -> list[Event]:
        live[run] += 1
        self.epochs[run.run_key] = live[run]
        score = self._score(run)
        epoch = EpochEnded(run.run_key, live[run], {"test_loss": score})
        if live[run] < EPOCHS - run.seed % 2:
            return [epoch]
        del live[run]
        if score != score:
            return [epoch, RunFailed(run.run_key, "the training loss turned nan")]
        metrics = {"nll": score, "mi": -score, "best_loss": score}
        return [epoch, RunFinished(run.run_key, metrics, b"weights")]

    def cancel(self, cohort: int, reason: str) -> None:
        raise AssertionError("nothing is silent here")

    def close(self) -> None:
        self.cohorts.clear()


class Sentences:
    def __init__(self) -> None:
        self.said: list[str] = []

    def show(self, state: ProgressState) -> None:
        assert 0 <= state.running <= state.total
        assert state.complete + state.failed + state.running <= state.total

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


class Invocation:
    """A search from the start to its end in one store and storage."""

    def __init__(self, folder: Path, score: Score = nll, slots: int = 2, **changes: object) -> None:
        given: dict[str, object] = {
            "name": "warmup", "description": "", "fixed": {"dataset": "toy4", "model": "mim"},
            "seeds": (1, 2), "space": {"warmup": Dimension("int", (1, 50), log=True)},
            "objectives": (Objective(metric="nll", direction="minimize"),),
            "trials": 8, "parallel": 3, "sampler": "tpe", "pruner": "none",
        } | changes  # fmt: skip
        search = Search(**given)  # type: ignore[arg-type]
        self.tracking = Tracking(f"sqlite:///{folder}/mlflow.db")
        self.study = Study(search, str(folder / f"{search.name}.log"))
        self.parent = self.tracking.start_sweep(search.name, "", {}, {})
        spool = Spool(folder / "spool")
        recorder = Recorder(self.tracking, search.name, self.parent, {}, spool)
        self.view, self.engine = Sentences(), SteppedEngine(slots, score)
        self.state = ProgressState(search.name, 0, 0)
        trials = Trials(self.study, recorder, self.view, lambda run: 4)
        dispatcher = Dispatcher(self.engine, recorder, self.view, Policy(), self.state, trials)
        try:
            self.outcome = dispatcher.run(lambda: False)
        finally:
            recorder.close("FINISHED", {}, 30)
            self.study.close()
        self.summary = self.study.summary()
        self.runs = self.tracking._search(search.name, "tags.`mimsweep.run_key` != ''")


def test_all_trials_are_made_and_the_best_is_told(tmp_path: Path) -> None:
    done = Invocation(tmp_path)
    assert done.outcome == Outcome({})
    assert (done.summary.trials, done.summary.complete) == (8, 8)
    table = done.study.table()
    assert table["nll"].tolist() == pytest.approx(((table["warmup"] - 10).abs() + 0.015).tolist())
    assert done.summary.best["values"] == [table["nll"].min()]
    assert done.view.said[-1].startswith(f"trial {done.summary.best['number']}: nll ")
    assert done.state.complete == done.state.total == len(done.runs)


def test_no_run_is_trained_twice(tmp_path: Path) -> None:
    done = Invocation(tmp_path, trials=12, space={"warmup": Dimension("int", (1, 4))})
    assert len(done.engine.trained) == len(set(done.engine.trained)) == len(done.runs) <= 8
    assert done.summary.complete == 12


def test_runs_know_their_study_and_trial(tmp_path: Path) -> None:
    done = Invocation(tmp_path)
    table = done.study.table().drop_duplicates("warmup").set_index("warmup")["number"]
    for run in done.runs:
        assert run.data.tags["mimsweep.study"] == "warmup"
        assert run.data.tags["mimsweep.trial"] == str(table[int(run.data.params["warmup"])])
        assert run.data.tags["mlflow.parentRunId"] == done.parent


def test_what_any_sweep_has_complete_is_reused(tmp_path: Path) -> None:
    first = Invocation(tmp_path, name="other", trials=1, parallel=1)
    assert first.study.table()["warmup"].tolist() == [3]
    second = Invocation(tmp_path, trials=1, parallel=1, seeds=(1, 2, 3))
    assert [run.seed for run in second.engine.trained] == [3]
    assert second.study.table()["nll_by_seed"].tolist() == [{"1": 7.01, "2": 7.02, "3": 7.03}]
    (parent,) = second.tracking._search("warmup", "tags.`mimsweep.role` = 'sweep'")
    reused = parent.data.tags["mimsweep.trial.0.reused"].split()
    assert set(reused) == {run.info.run_id for run in first.runs}


def test_only_what_is_complete_is_found(tmp_path: Path) -> None:
    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db")
    parent = tracking.start_sweep("any", "", {}, {})
    half, whole, newer = (
        tracking.create_runs(parent, [run], {})[0] for run in (*runs(2), *runs(1, first=2))
    )
    tracking.log_epochs(half, [(1, {"nll": 1.0})])
    tracking.finish(whole, {"nll": 2.0}, {})
    keys = [run.run_key for run in runs(3)]
    codes = dict.fromkeys(keys, "")
    assert tracking.find_complete(codes) == {keys[1]: (whole, {"nll": 2.0})}
    tracking.finish(newer, {"nll": 3.0}, {})
    assert tracking.find_complete(codes)[keys[1]][0] == newer
    assert Tracking("sqlite:///not_there.db", create=False).find_complete(codes) == {}


def test_a_failed_run_fails_its_trial_and_frees_its_place(tmp_path: Path) -> None:
    def score(run: RunSpec) -> float:
        return float("nan") if run.warmup == 3 and run.seed == 1 else nll(run)

    done = Invocation(tmp_path, score)
    assert (done.summary.complete, done.summary.failed) == (7, 1)
    assert [run.warmup for run in done.outcome.failed] == [3]
    assert done.study.table()["reason"].tolist()[0].endswith("s1 failed")
    states = {run.data.params["seed"]: run for run in done.runs if run.data.params["warmup"] == "3"}
    assert states["1"].info.status == "FAILED"
    assert states["2"].info.status == "KILLED"
    assert "trial 0 was ended" in states["2"].data.tags["mimsweep.reason"]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_pruned_by_epoch_runs_leave_at_once(tmp_path: Path, direction: str) -> None:
    metric = "nll" if direction == "minimize" else "mi"
    done = Invocation(
        tmp_path, trials=14, pruner="median", parallel=2,
        fixed={"dataset": "toy4", "model": "mim", "epochs": 3},
        objectives=(Objective(metric=metric, direction=direction),),
    )  # fmt: skip
    assert done.summary.pruned > 0
    assert done.summary.pruned + done.summary.complete == 14
    killed = [run for run in done.runs if run.info.status == "KILLED"]
    assert killed
    for run in killed:
        assert done.engine.epochs[run.data.tags["mimsweep.run_key"]] < EPOCHS - 1
        assert "behind the other trials after 3 epochs" in run.data.tags["mimsweep.reason"]
        assert "mimsweep.complete" not in run.data.tags
    # The better half is never pruned.
    table = done.study.table()
    pruned = (table.loc[table["state"] == "pruned", "warmup"] - 10).abs()
    assert pruned.min() > abs(done.summary.best["params"]["warmup"] - 10)


def test_wilcoxon_drops_the_last_seeds(tmp_path: Path) -> None:
    seeds = (*range(2, 14, 2), 101, 103)
    done = Invocation(tmp_path, slots=1, trials=6, parallel=1, pruner="wilcoxon", seeds=seeds)
    assert done.summary.pruned > 0
    assert [run for run in done.runs if run.info.status == "KILLED"]
    table = done.study.table().set_index("state")
    assert 4 <= len(table.loc[["pruned"], "nll_by_seed"].iloc[0]) < len(seeds)


@pytest.mark.slow
def test_a_point_that_was_pruned_is_not_trained_again(tmp_path: Path) -> None:
    space = {"warmup": Dimension("categorical", (*range(5, 15), *range(41, 45)))}
    done = Invocation(
        tmp_path, trials=30, parallel=1, pruner="median", space=space,
        fixed={"dataset": "toy4", "model": "mim", "epochs": 3},
    )  # fmt: skip
    assert done.summary.pruned > 0
    assert len(done.engine.trained) == len(set(done.engine.trained)) <= 28
    assert any("at the same point" in reason for reason in done.study.table()["reason"])


@pytest.mark.filterwarnings("ignore:Fixed parameter:UserWarning")
def test_a_point_out_of_the_space_fails_alone(tmp_path: Path) -> None:
    Invocation(tmp_path, trials=1)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "warmup.log")))
    study = optuna.load_study(study_name="warmup", storage=storage)
    study.enqueue_trial({"warmup": -7})  # Optuna itself can't take the logarithm
    study.enqueue_trial({"warmup": 2.5})
    done = Invocation(tmp_path, trials=5)
    assert (done.summary.failed, done.summary.complete) == (2, 3)


def test_new_runs_join_the_smallest_cohort_or_take_free_slots(tmp_path: Path) -> None:
    done = Invocation(tmp_path, slots=2, trials=12, parallel=4)
    assert done.engine.most <= 4
    assert done.summary.complete == 12


class Slots:
    """What `place` asks of a dispatcher."""

    def __init__(self, idle: int, live: dict[int, list[RunSpec]]) -> None:
        self.idle, self.live = idle, live
        self.added: list[list[int]] = []
        self.joined: dict[int, list[int]] = {}

    def in_training(self) -> dict[int, list[RunSpec]]:
        return self.live

    def add(self, cohort: object) -> None:
        self.added.append(cohort.seeds)  # type: ignore[attr-defined]
        self.idle -= 1

    def join(self, number: int, runs: Sequence[RunSpec]) -> None:
        self.joined[number] = [run.seed for run in runs]


def runs(count: int, mid_dim: int = 5, first: int = 1) -> list[RunSpec]:
    return [
        RunSpec(dataset="toy4", model="mim", mid_dim=mid_dim, seed=seed, warmup=seed)
        for seed in range(first, first + count)
    ]


@pytest.mark.parametrize(
    ("idle", "live", "new", "limit", "added", "joined"),
    [
        (2, {}, runs(5), 9, [[1, 3, 5], [2, 4]], {}),
        (1, {}, runs(5), 2, [[1, 2], [3, 4], [5]], {}),
        (0, {7: runs(2, first=50)}, runs(3), 9, [], {7: [1, 2, 3]}),
        (0, {7: runs(3, first=50), 8: runs(1, first=60)}, runs(4), 9, [], {8: [1, 2, 4], 7: [3]}),
        (1, {7: runs(2, first=50)}, runs(3), 9, [[1, 2]], {7: [3]}),
        (0, {7: runs(2, first=50)}, runs(3), 2, [[1, 2], [3]], {}),
        (0, {7: runs(2, 50)}, runs(3), 9, [[1, 2, 3]], {}),
        (0, {7: []}, runs(2), 9, [[1, 2]], {}),
        (2, {}, [*runs(2), *runs(2, 50), *runs(2, 80)], 9, [[1, 2], [1, 2], [1, 2]], {}),
    ],
)  # fmt: skip
def test_where_runs_are_placed(
    idle: int, live: dict[int, list[RunSpec]], new: list[RunSpec], limit: int,
    added: list[list[int]], joined: dict[int, list[int]],
) -> None:  # fmt: skip
    slots = Slots(idle, live)
    place(slots, new, lambda run: limit)  # type: ignore[arg-type]
    assert (slots.added, slots.joined) == (added, joined)


def test_a_point_in_words() -> None:
    assert point({"warmup": 8, "lr": 0.00123456}) == "warmup = 8, lr = 0.001235"
