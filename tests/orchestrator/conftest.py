"""Stores to work on: copies of one that is made once, as its schema takes seconds."""

import os
import shutil
from pathlib import Path

import pytest

from orchestrator.tracking import MlflowClient, Tracking


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
