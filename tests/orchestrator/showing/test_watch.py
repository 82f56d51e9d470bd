import shutil
from pathlib import Path

import pytest

from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.metrics import TABLE_METRICS
from mimsweep.orchestrator.showing import watch
from mimsweep.orchestrator.tracking.runs import PROFILE
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import RUNS, mimsweep

URI = "sqlite:///mlflow.db"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSE", 0.01)
    monkeypatch.setattr(watch, "SHARE", 0.0)


def finish(store: Tracking, first: int, last: int) -> None:
    parent = store.start_sweep("toy", "", {}, {})
    for run_id in store.create_runs(parent, RUNS[first:last], {}):
        store.log_epochs(run_id, [(1, {"train_loss": 2.0, "test_loss": 2.5, "beta": 0.5})])
        store.finish(run_id, dict.fromkeys(TABLE_METRICS, 1.0), {PROFILE: b'{"kl": [0.5, 1.5]}'})
    store.finish_sweep(parent, "FINISHED", {})


def test_a_sweep_is_told_whenever_it_has_grown_until_it_is_complete(
    sweep: Path, here: Path, empty_store: Path
) -> None:
    shutil.copy(empty_store, here)
    store = Tracking(URI)
    finish(store, 0, 2)
    loaded = load_sweep(sweep)
    looks = watch.as_they_grow([loaded], URI)
    assert next(looks) == [loaded]
    finish(store, 2, 5)
    assert next(looks) == [loaded]
    finish(store, 5, 6)
    assert next(looks) == [loaded]
    assert next(looks, None) is None


def test_only_those_that_grow_are_told(sweep: Path, here: Path, empty_store: Path) -> None:
    other = here / "other.yaml"
    other.write_text(sweep.read_text().replace("name: toy", "name: other"))
    shutil.copy(empty_store, here)
    finish(Tracking(URI), 0, 6)
    looks = watch.as_they_grow([load_sweep(sweep), load_sweep(other)], URI)
    assert [each.name for each in next(looks)] == ["toy"]


def test_a_store_that_is_not_there_yet_is_waited_for(
    sweep: Path, here: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def begin(seconds: float) -> None:
        waits.append(seconds)
        shutil.copy(empty_store, here)
        finish(Tracking(URI), 0, 6)

    monkeypatch.setattr(watch.time, "sleep", begin)
    assert len([*watch.as_they_grow([load_sweep(sweep)], URI)]) == 1
    assert len(waits) == 1


def test_figures_are_drawn_until_all_runs_are_complete(
    sweep: Path, here: Path, empty_store: Path
) -> None:
    shutil.copy(empty_store, here)
    finish(Tracking(URI), 0, 6)
    done = mimsweep("figures", sweep, "--watch")
    assert done.exit_code == 0, done.output
    assert (here / "figures" / "toy" / "combined.png").exists()


def test_what_has_failed_is_not_waited_for(sweep: Path, here: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, here)
    store = Tracking(URI)
    finish(store, 0, 4)
    parent = store.start_sweep("toy", "", {}, {})
    for run_id in store.create_runs(parent, RUNS[4:6], {}):
        store.fail(run_id, "the loss turned nan", {})
    store.finish_sweep(parent, "FAILED", {})
    loaded = load_sweep(sweep)
    assert [*watch.as_they_grow([loaded], URI)] == [[loaded]]
