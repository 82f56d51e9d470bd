"""Stores to work on: copies of one that is made once, as its schema takes seconds; drivers."""

import math
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mimsweep.orchestrator.metrics import TABLE_METRICS
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.orchestrator.commands import GOOD, RUNS

Driver = Callable[[int, int], None]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Makes a driver, which is found before the machine's own."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")

    def make(count: int, version: int) -> None:
        code = f"""
            int cuInit(unsigned flags) {{ return {0 if count else 100}; }}
            int cuDeviceGetCount(int *count) {{ *count = {count}; return 0; }}
            int cuDriverGetVersion(int *version) {{ *version = {version}; return 0; }}
        """
        made = tmp_path / "libcuda.so.1"
        command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(made)]
        subprocess.run(command, input=code, text=True, check=True)
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))

    return make


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store that has its schema and nothing else."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Tracking(f"sqlite:///{path}")
    assert os.listdir(path.parent) == ["mlflow.db"]
    return path


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in an empty folder, which is the working folder."""
    monkeypatch.chdir(tmp_path)  # artifacts are beside the store
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def tracking(uri: str) -> Tracking:
    """That store, to write."""
    return Tracking(uri)


@pytest.fixture
def client(uri: str) -> MlflowClient:
    """MLflow's own view of it."""
    return MlflowClient(uri)


@pytest.fixture
def sweep(here: Path) -> Path:
    (here / "toy.yaml").write_text(GOOD)
    return here / "toy.yaml"


@pytest.fixture
def store(here: Path, empty_store: Path) -> Tracking:
    """The sweep's runs in the store of this folder: two complete, and one of each other kind."""
    shutil.copy(empty_store, here)
    tracking = Tracking("sqlite:///mlflow.db")
    parent = tracking.start_sweep("toy", "", {}, {})
    ids = tracking.create_runs(parent, RUNS[:5], {})
    for number, run_id in enumerate(ids[:2]):
        tracking.log_epochs(run_id, [(1, {"train_loss": 2.0, "test_loss": 2.5, "beta": 0.5})])
        metrics = dict.fromkeys(TABLE_METRICS, float(number)) | {"rmse": math.nan}
        tracking.finish(run_id, metrics, {})
    tracking.fail(ids[2], "the training loss turned nan in epoch 7", {})
    tracking.kill(ids[3:4])
    return tracking
