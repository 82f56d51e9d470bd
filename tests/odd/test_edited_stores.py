"""A user edits the store in MLflow while a real sweep trains."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.bench import MIMSWEEP
from tests.orchestrator.commands import mimsweep, refused

T = TypeVar("T")

SWEEP = """
name: edited
fixed: {dataset: toy4, model: mim, mid_dim: 100, epochs: 60, warmup: 60}
grid: {z_dim: [2, 3, 4, 5]}
"""


@pytest.fixture
def folder(here: Path) -> Path:
    (here / "edited.yaml").write_text(SWEEP)
    Tracking(uri(here))
    return here


def uri(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"  # MLflow keeps the first file of a relative one


def until(look: Callable[[], T], process: "subprocess.Popen[str]") -> T:
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def training(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [MIMSWEEP, "run", "edited.yaml", "--device", "cpu", "--workers", "1", "--cohort-size", "1"],
        cwd=folder,
        env=os.environ.copy(),
        stderr=subprocess.PIPE,
        text=True,
    )


def running(client: MlflowClient) -> list[str]:
    """The children that are RUNNING, the first that was created last."""
    experiment = client.get_experiment_by_name("edited")
    if experiment is None:
        return []
    query = "attributes.status = 'RUNNING'"
    runs = client.search_runs([experiment.experiment_id], query)
    return [run.info.run_id for run in runs if "mimsweep.run_key" in run.data.tags]


@pytest.mark.slow
def test_a_run_deleted_while_it_trains_is_forgotten_and_the_rest_is_stored(folder: Path) -> None:
    client = MlflowClient(uri(folder))
    with training(folder) as process:
        deleted = until(lambda: running(client), process)[-1]
        client.delete_run(deleted)
        began = time.monotonic()
        _, said = process.communicate(timeout=200)
    assert process.returncode == 1, said
    assert time.monotonic() - began < 120
    assert said.count(f"MLflow's run {deleted} is forgotten") == 1
    assert "1 runs failed:" in said
    assert "its result is on disk, but the tracking store" in said
    assert "3/4 runs complete, 0 running, 1 failed" in said
    store = Tracking(uri(folder))
    assert len(store.complete("edited")) == 3
    assert store.invocations("edited")[-1].status == "FAILED"
    assert running(client) == []
    again = mimsweep("run", "edited.yaml", "--device", "cpu")
    assert again.exit_code == 0, again.output
    assert len(store.complete("edited")) == 4


@pytest.mark.slow
@pytest.mark.parametrize("what", ["parent", "experiment"])
def test_an_invocation_whose_parent_is_deleted_stops(folder: Path, what: str) -> None:
    client = MlflowClient(uri(folder))
    with training(folder) as process:
        until(lambda: running(client), process)
        parent_id = Tracking(uri(folder)).latest_parent("edited")
        assert parent_id
        run = client.get_run(parent_id)
        if what == "parent":
            client.delete_run(parent_id)
        else:
            client.delete_experiment(run.info.experiment_id)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert said.splitlines()[-1].startswith("mimsweep: ")
    assert "Traceback" not in said
    if what == "experiment":
        remedy = "was deleted: bring it back with `mlflow experiments restore --experiment-id"
        assert remedy in said.splitlines()[-1]
        said = refused(mimsweep("run", "edited.yaml", "--device", "cpu"), exit_code=3)
        assert remedy in said
        assert "or remove it for good with `mlflow gc" in said
        client.restore_experiment(run.info.experiment_id)
    again = mimsweep("run", "edited.yaml", "--device", "cpu")
    assert again.exit_code == 0, again.output
    assert len(Tracking(uri(folder)).complete("edited")) == 4


@pytest.mark.slow
@pytest.mark.parametrize("what", ["key", "run"])
def test_a_run_that_is_edited_or_deleted_is_not_told_as_complete(folder: Path, what: str) -> None:
    client = MlflowClient(uri(folder))
    with training(folder) as process:
        if what == "key":  # while it trains
            run_id = until(lambda: running(client), process)[-1]
            client.delete_tag(run_id, "mimsweep.run_key")
        else:  # when it is complete, and others train
            complete = until(lambda: Tracking(uri(folder)).complete("edited"), process)
            client.delete_run(next(iter(complete.values())))
        _, said = process.communicate(timeout=200)
    assert process.returncode == 1, said
    assert "its result was stored, but its MLflow run was deleted or edited since then" in said
    assert "3/4 runs complete, 0 running, 1 failed" in said
    again = mimsweep("run", "edited.yaml", "--device", "cpu")
    assert again.exit_code == 0, again.output
    assert len(Tracking(uri(folder)).complete("edited")) == 4
