"""Which store is used; one that can't be; several processes on one."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.tracking.store import can_be_created
from mimsweep.orchestrator.tracking.writer import Tracking, resolve_uri
from tests.orchestrator.stores import SPECS, start

# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_uri_is_option_then_environment_then_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert resolve_uri("sqlite:///a/b.db") == f"sqlite:///{tmp_path}/a/b.db"
    assert resolve_uri(None) == "http://server:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve_uri(None) == f"sqlite:///{tmp_path}/mlflow.db"


def test_looking_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "touched.db").touch()
    for uri in ("sqlite:///mlflow.db", "sqlite:///no/folder/mlflow.db", "sqlite:///touched.db"):
        tracking = Tracking(uri, create=False)
        assert tracking.complete("toy") == tracking.statuses("toy") == {}
        assert tracking.sweeps() == []
        assert tracking.frame("toy").empty
        assert tracking.latest_parent("toy") is tracking.owner("toy") is None
    assert os.listdir(tmp_path) == ["touched.db"]
    assert (tmp_path / "touched.db").stat().st_size == 0


def test_looking_at_a_store_changes_nothing(tracking: Tracking, tmp_path: Path) -> None:
    tracking.create_runs(start(tracking), SPECS, {})
    before = (tmp_path / "mlflow.db").read_bytes()
    looking = Tracking(tracking.uri, create=False)
    assert len(looking.statuses("toy")) == 2
    assert (tmp_path / "mlflow.db").read_bytes() == before
    assert os.listdir(tmp_path) == ["mlflow.db"]


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("http://ann:s3cret@127.0.0.1:9", "Connection refused"),
        ("sqlite:////no/such/folder/mlflow.db", "No such file"),
        ("sqlite:////proc/mlflow.db", "No such file|Permission denied|Read-only"),
        ("sqlite:///notes.txt", "not a database"),
        ("postgresql://ann:s3cret@127.0.0.1:9/mlflow", "psycopg|Connection refused"),
    ],
)
def test_useless_store_is_told_in_a_sentence(
    uri: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("not empty, and somebody's\n")
    began = time.monotonic()
    with pytest.raises(TrackingError, match=says) as told:
        Tracking(uri)
    assert time.monotonic() - began < 15
    assert "s3cret" not in str(told.value)
    assert "\n" not in str(told.value)
    assert told.value.exit_code == 3
    assert told.value.__cause__ is None
    assert os.listdir(tmp_path) == ["notes.txt"]
    assert (tmp_path / "notes.txt").read_text() == "not empty, and somebody's\n"


@pytest.mark.slow
def test_silent_host_is_told_within_15_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://ann:s3cret@127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(TrackingError) as told:
            Tracking(uri)
        assert time.monotonic() - began < 15
        assert "s3cret" not in str(told.value)


def test_store_is_written_while_others_read(tracking: Tracking, uri: str) -> None:
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys\n"
            "database = sqlite3.connect(sys.argv[1])\n"
            "print('reading', flush=True)\n"
            "while True: database.execute('SELECT * FROM metrics, tags LIMIT 50000').fetchall()",
            uri.removeprefix("sqlite:///"),
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert reader.stdout is not None
        reader.stdout.readline()
        run_ids = tracking.create_runs(start(tracking), SPECS, {})
        for run_id in run_ids:
            tracking.log_epochs(run_id, [(epoch, {"loss": 1.0}) for epoch in range(100)])
            tracking.finish(run_id, {"mi": 1.0}, {})
        assert len(tracking.complete("toy")) == 2
        assert reader.poll() is None
    finally:
        reader.kill()
        reader.wait()
        reader.stdout.close()


@pytest.mark.slow
def test_first_starts_at_once_share_one_store_quietly(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from mimsweep.orchestrator.tracking.uri import resolve_uri\n"
                "from mimsweep.orchestrator.tracking.writer import Tracking\n"
                "tracking = Tracking(resolve_uri(None))\n"
                f"parent = tracking.start_sweep('sweep{number}', '', {{}}, {{}})\n"
                "tracking.finish_sweep(parent, 'FINISHED', {})\n",
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for number in range(3)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert output == b""
        assert process.returncode == 0
    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db", create=False)
    assert tracking.sweeps() == ["sweep0", "sweep1", "sweep2"]
    assert os.listdir(tmp_path) == ["mlflow.db"]


@pytest.mark.slow
def test_plain_mlflow_ui_in_the_folder_shows_runs_and_artifacts(
    tracking: Tracking, tmp_path: Path
) -> None:
    (run_id,) = tracking.create_runs(start(tracking), SPECS[:1], {})
    tracking.finish(run_id, {"mi": math.nan, "nll": 2.0}, {"spec.yaml": b"model: mim\n"})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["-m", "mlflow", "ui", "--port", str(port), "--workers", "1"]
    with (tmp_path / "ui.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, *command],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        remote = when_up(url, 90)
        (row,) = remote.frame("toy").to_dict("records")
        assert row["nll"] == 2.0
        assert math.isnan(row["mi"])
        query = f"{url}/get-artifact?path=spec.yaml&run_id={run_id}"
        assert fetched(query, 60) == b"model: mim\n"
        # And it can be written through.
        parent_id = remote.start_sweep("over http", "", {}, {})
        (second,) = remote.create_runs(parent_id, SPECS[1:], {})
        remote.log_epochs(second, [(1, {"loss": math.nan}), (2, {"loss": 1.5})])
        assert remote.history([second], ["loss"])["loss"].tolist()[1] == 1.5
        remote.finish(second, {"mi": math.inf}, {"spec.yaml": b"model: vae\n"})
        assert list(remote.frame("over http")["mi"]) == [math.inf]
        assert remote.complete("over http") == {SPECS[1].run_key: second}
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def fetched(url: str, seconds: float) -> bytes:
    """What the server answers; MLflow's own client tries again where it refuses, too."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def when_up(url: str, seconds: float) -> Tracking:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Tracking(url)
        except TrackingError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_only_a_file_that_is_not_there_can_be_created(tmp_path: Path) -> None:
    (tmp_path / "old.db").touch()
    assert can_be_created(f"sqlite:///{tmp_path}/new.db")
    for uri in (f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/none/new.db", "http://a"):
        assert not can_be_created(uri)
