"""Search files given to the commands for sweeps, and sweep files given to `search`."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from mimsweep.orchestrator.files.search import load_search
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import GOOD, mimsweep, refused

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

SEARCH = """\
name: small
description: a search
fixed: {dataset: toy4, model: mim, mid_dim: 4, epochs: 2}
seeds: 1..2
space: {warmup: {int: [1, 9]}, lr: {float: [0.1, 0.3], step: 0.1}}
objective: {metric: nll, direction: minimize}
trials: 5
parallel: 3
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Tracking(f"sqlite:///{path}")
    return path


@pytest.fixture(autouse=True)
def _files(here: Path) -> None:
    (here / "small.yaml").write_text(SEARCH)
    (here / "toy.yaml").write_text(GOOD)


@pytest.fixture
def store(here: Path, empty: Path) -> Tracking:
    """A trial that is complete, one of which a run failed, and the parent of one that runs."""
    shutil.copy(empty, here)
    tracking = Tracking("sqlite:///mlflow.db")
    search = load_search(Path("small.yaml"))
    first = tracking.start_sweep("small", "", {}, {})
    runs = [*search.runs({"warmup": 3, "lr": 0.1}), *search.runs({"warmup": 5, "lr": 0.3})]
    ids = tracking.create_runs(first, runs, {})
    for run_id in ids[:2]:
        tracking.log_epochs(run_id, [(1, {"train_loss": 2.0, "test_loss": 2.5, "beta": 0.5})])
        tracking.finish(run_id, {"nll": 1.0}, {})
    tracking.fail(ids[2], "the loss turned nan", {})
    Path("drawn").mkdir()
    Path("drawn/history.svg").write_text("<svg><title>the history</title></svg>")
    Path("drawn/search.json").write_text(
        '{"study": "small", "trials": 2, "complete": 1, "pruned": 0, "failed": 1, '
        '"best": {"number": 0, "params": {"warmup": 3, "lr": 0.1}, "values": [1.0]}}'
    )
    tracking.log_folder(first, Path("drawn"))
    return tracking


def test_validate_checks_it(here: Path) -> None:
    size = "a search of 5 trials × 2 seeds: 10 runs at most"
    assert mimsweep("validate", "small.yaml").output == f"small.yaml: small, {size}\n"
    shipped = mimsweep("validate", "search_warmup").output
    assert shipped.endswith("a search of 30 trials × 5 seeds: 150 runs at most\n")
    (here / "small.yaml").write_text(SEARCH.replace("nll", "nlll"))
    told = refused(mimsweep("validate", "small.yaml"))
    assert told.startswith("small.yaml:6:21: objective.metric: 'nlll' is not a metric")
    (here / "small.yaml").write_text(SEARCH.replace("space", "spaec"))
    told = refused(mimsweep("validate", "small.yaml"))
    assert told == "small.yaml:5:1: spaec: no such field; did you mean space?"


def test_plan_tells_what_it_costs_at_most(here: Path) -> None:
    planned = json.loads(mimsweep("plan", "small.yaml", "--json").output)
    assert planned == {
        "search": "small", "trials": 5, "seeds": [1, 2], "parallel": 3, "epochs": 2, "runs": 10,
        "complete": 0, "to_run": 10,
    }  # fmt: skip
    text = mimsweep("plan", "small.yaml").output
    assert text.startswith("small: a search of 5 trials × 2 seeds: 10 runs at most, 0 complete\n")
    (here / "small.yaml").write_text(SEARCH.replace("[1, 9]", "[1, 1]") + "sampler: grid\n")
    assert json.loads(mimsweep("plan", "small.yaml", "--json").output)["runs"] == 6
    assert sorted(os.listdir(here)) == ["small.yaml", "toy.yaml"]


def test_its_runs_are_counted_and_listed(store: Tracking) -> None:
    counts = json.loads(mimsweep("status", "small.yaml", "--json").output)
    (failure,) = counts.pop("failures")
    assert failure["reason"] == "the loss turned nan"
    assert counts == {
        "search": "small", "total": 10, "finished": 2, "failed": 1, "running": 1, "killed": 0,
        "missing": 6, "stale": {},
    }  # fmt: skip
    text = mimsweep("status", "small.yaml").output
    assert text.startswith("small: 2/10 complete, at most\n")
    assert "failed: the loss turned nan (MLflow run " in text
    assert mimsweep("results", "small.yaml", "--output", "a.csv").exit_code == 0
    table = pd.read_csv("a.csv")
    assert list(zip(table["warmup"], table["lr"], table["seed"], strict=True)) == [
        (3, 0.1, 1), (3, 0.1, 2),
    ]  # fmt: skip
    assert json.loads(mimsweep("plan", "small.yaml", "--json").output)["to_run"] == 8


def test_more_trials_than_the_file_says_are_counted(store: Tracking) -> None:
    Path("small.yaml").write_text(SEARCH.replace("trials: 5", "trials: 1"))
    assert mimsweep("status", "small.yaml").output.startswith("small: 2/4 complete, at most\n")


def test_before_its_first_run_there_is_nothing_to_show_or_to_cancel(here: Path) -> None:
    assert (
        mimsweep("status", "small.yaml").output == "small: 0/10 complete, at most\n  10 missing\n"
    )
    assert "there is no tracking store at " in mimsweep("results", "small.yaml").stderr
    assert "nothing to cancel" in mimsweep("cancel", "small.yaml").output
    assert "there is no tracking store at " in mimsweep("report", "small.yaml").stderr
    assert sorted(os.listdir(here)) == ["small.yaml", "toy.yaml"]


@pytest.mark.slow
def test_a_report_has_the_figures_of_the_last_invocation_that_drew(store: Tracking) -> None:
    store.kill([store.latest_parent("small") or ""])
    store.start_sweep("small", "", {}, {})  # runs still, and has drawn nothing
    assert mimsweep("report", "small.yaml", "--output", "a.html").exit_code == 0
    page = Path("a.html").read_text()
    assert "the history" in page
    assert "1 complete, 0 pruned, 1 failed" in page


@pytest.mark.parametrize("command", ["run", "figures", "verify", "measure"])
def test_what_takes_sweeps_alone_names_the_command_for_it(command: str, here: Path) -> None:
    told = refused(mimsweep(command, "small.yaml"))
    assert told == "small.yaml: is a search, not a sweep; `mimsweep search small.yaml` takes it"
    assert sorted(os.listdir(here)) == ["small.yaml", "toy.yaml"]


def test_a_sweep_is_no_search(here: Path) -> None:
    told = refused(mimsweep("search", "toy.yaml"))
    assert told == "toy.yaml: is a sweep, not a search; `mimsweep run toy.yaml` takes it"
    told = refused(mimsweep("status", "small.yaml", "--set", "seed=1"))
    assert told == "--set seed=1: small.yaml is a search, whose fields can't be replaced"
    assert sorted(os.listdir(here)) == ["small.yaml", "toy.yaml"]


@pytest.mark.slow
def test_a_running_search_can_be_cancelled_and_goes_on(here: Path) -> None:
    endless = SEARCH.replace("epochs: 2", "epochs: 1000000").replace("[1, 9]", "[300000, 500000]")
    (here / "small.yaml").write_text(endless)
    command = Path(sys.executable).with_name("mimsweep")
    with (here / "log.txt").open("w") as log:
        search = subprocess.Popen([command, "search", "small.yaml"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while json.loads(mimsweep("status", "small.yaml", "--json").output)["running"] < 6:
            assert time.monotonic() < deadline
            time.sleep(0.3)
        done = mimsweep("cancel", "small.yaml")
        assert done.exit_code == 0, done.output
        assert f"process {search.pid}" in done.output
        assert "0 runs are complete, and `mimsweep search small.yaml` goes on" in done.output
        assert search.wait(30) == 130
    finally:
        search.kill()
        search.wait()
    counts = json.loads(mimsweep("status", "small.yaml", "--json").output)
    assert (counts["killed"], counts["running"]) == (6, 0)
