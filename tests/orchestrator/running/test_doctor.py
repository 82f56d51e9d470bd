"""What `mimsweep doctor` finds, and what it ends with."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mimsweep.orchestrator.running.doctor import Check, examine, exit_code
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.bench import MIMSWEEP

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Check]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def find(uri: str) -> dict[str, Check]:
        return {check.name: check for check in examine(uri, tmp_path / "data")}

    return find


def test_a_new_folder_is_fine(found: Callable[[str], dict[str, Check]], tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    checks = found(uri)
    assert checks["store"] == Check("store", "OK", f"none at {uri} yet; the first run makes it")
    assert checks["mlflow"].text
    cores = f"{len(os.sched_getaffinity(0))} CPU cores"
    assert checks["devices"].text == f"{cores}, no GPU: CUDA_VISIBLE_DEVICES is empty"
    assert checks["Fashion-MNIST"].state == "WARN"
    assert exit_code(list(checks.values())) == 0
    assert list(tmp_path.iterdir()) == []


def test_data_sets_that_are_there(found: Callable[[str], dict[str, Check]], tmp_path: Path) -> None:
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").touch()
    checks = found(f"sqlite:///{tmp_path}/mlflow.db")
    assert checks["Fashion-MNIST"].state == "OK"
    assert checks["MNIST"].state == "WARN"
    assert checks["Omniglot"].state == "WARN"
    drawings = tmp_path / "data" / "omniglot-py" / "images_background.zip"
    drawings.parent.mkdir()
    drawings.touch()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert found(uri)["Omniglot"].text.endswith("omniglot-py")
    (tmp_path / "data" / "chardata.mat").touch()
    assert found(uri)["Omniglot"].text.endswith("chardata.mat")


def test_a_store_of_another_version_fails(
    found: Callable[[str], dict[str, Check]], tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    Tracking(uri)
    assert found(uri)["store"].text == f"{uri} answers, and its schema is up to date"
    assert found(uri)["artifacts"].state == "OK"
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'new'")
        database.commit()
    assert found(uri)["store"].state == "FAIL"
    assert "is of a newer MLflow" in found(uri)["store"].text


def test_a_password_is_not_shown(found: Callable[[str], dict[str, Check]]) -> None:
    check = found("postgresql://user:secret@127.0.0.1:9/db")["store"]
    assert check.state == "FAIL"
    assert "secret" not in check.text


def test_exit_codes() -> None:
    assert exit_code([Check("a", "OK", ""), Check("b", "WARN", "")]) == 0
    assert exit_code([Check("disk", "FAIL", "")]) == 2
    assert exit_code([Check("disk", "FAIL", ""), Check("store", "FAIL", "")]) == 3


@pytest.mark.slow
def test_the_command_prints_json(tmp_path: Path) -> None:
    done = subprocess.run(
        [MIMSWEEP, "doctor", "--json", "--tracking-uri", "http://127.0.0.1:9"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    (store,) = [check for check in json.loads(done.stdout) if check["name"] == "store"]
    assert store["state"] == "FAIL"
    assert "Connection refused" in store["text"]


@pytest.mark.slow
@pytest.mark.xdist_group("slurm")
@pytest.mark.usefixtures("cluster")
def test_partitions_of_a_slurm_cluster_are_listed(
    found: Callable[[str], dict[str, Check]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    text = "partitions cpus*, urgent, gpus; * is the default"
    assert found(uri)["slurm"] == Check("slurm", "OK", text)
    assert found(uri)["submitit"].text[0].isdigit()
    (tmp_path / "slurm.conf").touch()
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    assert found(uri)["slurm"].state == "WARN"
