"""The study alone, in real storages: asked, told, left and found again."""

import dataclasses
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from mimsweep.orchestrator.errors import MimsweepError, SpecError, TrackingError
from mimsweep.orchestrator.files.search import Objective, Search
from mimsweep.orchestrator.files.space import Dimension
from mimsweep.orchestrator.search.study import Study
from mimsweep.orchestrator.tracking.claim import SweepBusyError
from tests.paths import ROOT

NLL = Objective(metric="nll", direction="minimize")
MI = Objective(metric="mi", direction="maximize")
WARMUP = {"warmup": Dimension("int", (1, 50), log=True)}


FIXED = {"dataset": "toy4", "model": "mim"}


def search(**changes: object) -> Search:
    plain = Search(
        name="warmup", description="", fixed=FIXED, seeds=(1, 2),
        space=WARMUP, objectives=(NLL,), trials=12, parallel=4, sampler="tpe", pruner="none",
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return str(tmp_path / "deep" / "warmup.log")


def finish(study: Study) -> None:
    while asked := study.ask():
        for trial in asked:
            value = float(trial.params["warmup"])
            seeds = {objective.metric: {"1": value} for objective in study.search.objectives}
            study.complete(trial.number, [value] * len(study.search.objectives), seeds)


def stored(storage: str, name: str = "warmup") -> list[optuna.trial.FrozenTrial]:
    backend = optuna.storages.journal.JournalFileBackend(storage)
    return optuna.load_study(
        study_name=name, storage=optuna.storages.JournalStorage(backend)
    ).get_trials()


def test_trials_are_asked_in_bulk_and_as_places_become_free(storage: str) -> None:
    study = Study(search(), storage)
    first = study.ask()
    assert [trial.number for trial in first] == [0, 1, 2, 3]
    assert first[0].params == {"warmup": 3}, "the default comes first"
    assert study.ask() == []
    study.complete(1, [0.5], {"nll": {"1": 0.25, "2": 0.75}})
    assert [trial.number for trial in study.ask()] == [4]
    study.fail(2, "nan")
    study.prune(3, "worse")
    assert [trial.number for trial in study.ask()] == [5, 6]
    assert study.left() == 9


def test_the_goal_is_for_all_calls_together(storage: str) -> None:
    first = Study(search(trials=5), storage)
    finish(first)
    first.close()
    again = Study(search(trials=5), storage)
    assert (again.left(), again.ask()) == (0, [])
    again.close()
    more = Study(search(trials=7), storage)
    assert more.left() == 2
    finish(more)
    assert len(stored(storage)) == 7


def test_what_it_came_to(storage: str) -> None:
    study = Study(search(trials=4), storage)
    for trial, nll in zip(study.ask()[:3], (0.3, 0.1, 0.2), strict=True):
        study.complete(trial.number, [nll], {"nll": {"1": nll, "2": nll}})
    study.fail(3, "the loss turned nan")
    summary = study.summary()
    assert (summary.trials, summary.complete, summary.failed) == (4, 3, 1)
    assert summary.best["number"] == 1
    assert summary.best["values"] == [0.1]
    table = study.table()
    assert table["state"].tolist() == ["complete"] * 3 + ["failed"]
    assert table["reason"].tolist()[3] == "the loss turned nan"
    assert table["nll_by_seed"].tolist()[1] == {"1": 0.1, "2": 0.1}
    assert table["nll"].isna().tolist() == [False, False, False, True]


def test_nothing_was_found_yet(storage: str) -> None:
    study = Study(search(), storage)
    assert study.summary().best is None
    assert Study(search(name="b", objectives=(NLL, MI)), storage).summary().best == []
    assert study.table().empty
    assert study.importances() == {}


def test_two_objectives_have_several_bests_and_importances(storage: str) -> None:
    space = {**WARMUP, "mid_dim": Dimension("int", (10, 400), log=True)}
    study = Study(search(objectives=(MI, NLL), space=space), storage)
    finish(study)
    bests = study.summary().best
    assert len(bests) > 1
    points = [tuple(best["params"].values()) for best in bests]
    assert len(set(points)) == len(points)
    importances = study.importances()
    assert set(importances) == {"mi", "nll"}
    assert sum(importances["mi"].values()) == pytest.approx(1)


def test_left_trials_are_closed_and_tried_again_once(storage: str) -> None:
    left = Study(search(trials=4), storage)
    params = [trial.params for trial in left.ask()]
    left.complete(0, [1.0], {"nll": {"1": 1.0}})
    # Not closed, as if it had been killed.
    found = Study(search(trials=4), storage)
    assert found.closed == [1, 2, 3]
    assert found.left() == 3
    assert [trial.params for trial in found.ask()] == params[1:]
    assert found.ask() == []
    for number in (4, 5, 6):
        found.complete(number, [2.0], {"nll": {"1": 2.0}})
    assert (found.left(), found.summary().trials, found.summary().failed) == (0, 4, 0)
    states = [trial.state for trial in stored(storage)]
    assert states == [TrialState.COMPLETE, *[TrialState.FAIL] * 3, *[TrialState.COMPLETE] * 3]


def test_closing_leaves_nothing_running(storage: str) -> None:
    study = Study(search(), storage)
    params = [trial.params for trial in study.ask()]
    study.close()
    assert {trial.state for trial in stored(storage)} == {TrialState.FAIL, TrialState.WAITING}
    again = Study(search(), storage)
    assert (again.closed, [trial.params for trial in again.ask()]) == ([], params)


def test_one_closed_between_enqueueing_and_telling_is_not_enqueued_twice(storage: str) -> None:
    study = Study(search(trials=2, parallel=2), storage)
    point = study.ask()[1].params
    study._study.enqueue_trial(point, {"mimsweep.replaces": 1})
    again = Study(search(trials=2, parallel=2), storage)
    assert [trial.params for trial in again.ask()] == [point, {"warmup": 3}]
    assert len(stored(storage)) == 4


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_going_on_does_not_repeat_the_start(storage: str, sampler: str) -> None:
    space = {"lr": Dimension("float", (1e-4, 1e-2), log=True)}
    lrs = []
    for trials in (5, 10):
        study = Study(search(space=space, sampler=sampler, trials=trials), storage)
        for trial in study.ask():
            lrs.append(trial.params["lr"])
            study.complete(trial.number, [trial.params["lr"]], {"nll": {"1": trial.params["lr"]}})
        study.close()
    assert len(set(lrs)) == len(lrs) == 8


def test_a_point_is_not_proposed_twice_while_others_are_left(storage: str) -> None:
    space = {"warmup": Dimension("int", (1, 8))}
    study = Study(search(space=space, trials=10, parallel=2), storage)
    finish(study)
    points = [trial.params["warmup"] for trial in stored(storage)]
    assert len(points) == 10
    assert len(set(points[:7])) == 7


def test_a_grid_has_each_point_once_whatever_happens(storage: str) -> None:
    space = {
        "warmup": Dimension("int", (1, 5), step=2),
        "act": Dimension("categorical", ("tanh", "relu")),
    }
    grid = search(space=space, sampler="grid", trials=100)
    study = Study(grid, storage)
    assert study.goal == 6
    study.ask()
    study.complete(0, [1.0], {"nll": {"1": 1.0}})
    again = Study(grid, storage)
    finish(again)
    assert again.left() == 0
    table = again.table()
    assert len(table) == len(table[["warmup", "act"]].drop_duplicates()) == 6


def test_a_changed_search_is_refused(storage: str) -> None:
    Study(search(), storage).close()
    other = {**FIXED, "dataset": "toy5"}
    for change in ({"seeds": (1, 2, 3)}, {"objectives": (MI,)}, {"fixed": other}):
        with pytest.raises(SpecError, match=rf"another {next(iter(change))}: .*another name"):
            Study(search(**change), storage)
    Study(search(trials=3, parallel=1, sampler="random", pruner="wilcoxon"), storage)


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[2])
from tests.orchestrator.search.test_study import Study, search
study = Study(search(), sys.argv[1])
study.ask()
print("ready", flush=True)
time.sleep(60)
"""


def test_a_living_owner_keeps_others_out_and_a_killed_one_does_not(storage: str) -> None:
    here = str(ROOT)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, storage, here],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(
            SweepBusyError, match=rf"warmup is being run already, by .*{process.pid}"
        ):
            Study(search(), storage)
    finally:
        process.kill()
        process.communicate()
    assert Study(search(), storage).closed == [0, 1, 2, 3]


def test_a_torn_last_line_is_cut_off(storage: str) -> None:
    study = Study(search(), storage)
    study.ask()
    path = Path(storage)
    path.write_bytes(path.read_bytes()[:-7])
    again = Study(search(), storage)
    finish(again)
    assert len([t for t in stored(storage) if t.state == TrialState.COMPLETE]) == 12


def test_the_median_is_not_asked_before_the_longest_warmup_has_ended(storage: str) -> None:
    study = Study(search(pruner="median", parallel=12, fixed={**FIXED, "epochs": 60}), storage)
    for trial in study.ask()[:6]:
        for step in (1, 50, 51):
            study.report(trial.number, step, 1.0)
        study.complete(trial.number, [1.0], {"nll": {"1": 1.0}})
    assert not study.report(6, 1, 9.0)
    assert not study.report(6, 49, 9.0)
    assert study.report(6, 50, 9.0)


def test_wilcoxon_is_sure_after_four_worse_seeds(storage: str) -> None:
    study = Study(search(pruner="wilcoxon", parallel=2), storage)
    study.ask()
    for seed in range(1, 6):
        study.report(0, seed, 1.0)
    study.complete(0, [1.0], {"nll": {"1": 1.0}})
    assert [study.report(1, seed, 2.0) for seed in range(1, 5)] == [False, False, False, True]
    study.prune(1, "worse than the best")
    assert study.pruned_twin({"warmup": 0}) is None
    (pruned,) = [trial for trial in stored(storage) if trial.state == TrialState.PRUNED]
    assert study.pruned_twin(pruned.params) == 1


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda folder: f"sqlite:///{folder}/not/there.db", SpecError, "there is no folder .*/not"),
        (lambda _: "postgresql://a:secret@127.0.0.1:9/x", TrackingError, r"//a:\*\*\*@127"),
        (lambda _: "nosuch://x", SpecError, "nosuch.*; write sqlite:///PATH"),
    ],
)
def test_a_storage_that_fails_is_told_in_a_sentence(
    tmp_path: Path, make: Callable[[Path], str], error: type[MimsweepError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as raised:
        Study(search(), make(tmp_path))
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_database_works_too(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        Study(search(trials=4), storage).ask()
        study = Study(search(trials=4), storage)
        finish(study)
        assert (study.closed, study.summary().complete) == ([0, 1, 2, 3], 4)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_a_database_takes_more_trials_than_the_space_has_points(
    tmp_path: Path, sampler: str
) -> None:
    # When all points are known, the sampler is asked in the study itself, not in a copy.
    few = {"warmup": Dimension("int", (1, 3))}
    study = Study(search(space=few, sampler=sampler, trials=15), f"sqlite:///{tmp_path}/optuna.db")
    finish(study)
    assert (study.summary().complete, study.summary().failed) == (15, 0)


def test_a_failed_trial_is_tried_again_by_the_next_process_once(storage: str) -> None:
    first = Study(search(trials=2), storage)
    params = [trial.params for trial in first.ask()]
    first.fail(0, "no memory")
    first.complete(1, [1.0], {"nll": {"1": 1.0}})
    assert (first.failed(), first.left()) == ({0: "no memory"}, 0)
    first.close()
    again = Study(search(trials=2), storage)
    assert (again.retried, again.left()) == ([0], 1)
    (asked,) = again.ask()
    assert asked.params == params[0]
    again.complete(asked.number, [2.0], {"nll": {"1": 2.0}})
    assert (again.failed(), again.summary().complete) == ({}, 2)
    again.close()
    assert Study(search(trials=2), storage).retried == []
