"""On a real SQLite store, with real processes that live, are killed, and read beside us."""

import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.errors import TrackingError
from orchestrator.spec import RunSpec
from orchestrator.tracking import MlflowClient, SweepBusyError, Tracking, resolve_uri
from orchestrator.tracking_owner import HEARTBEAT, STALE_SECONDS, Owner
from orchestrator.tracking_store import can_be_created

# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

SPECS = [RunSpec(dataset="toy4", model=model, seed=2) for model in ("mim", "vae")]

ORCHESTRATOR = """
import sys, time
from orchestrator.spec import RunSpec
from orchestrator.tracking import Tracking
tracking = Tracking(sys.argv[1])
parent = tracking.start_sweep("toy", "a sweep", {}, {})
tracking.create_runs(parent, [RunSpec(dataset="toy4", model="mim", seed=2)], {})
print(parent, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Tracking(f"sqlite:///{path}")
    assert os.listdir(path.parent) == ["mlflow.db"]
    return path


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return resolve_uri(None)


@pytest.fixture
def tracking(uri: str) -> Tracking:
    return Tracking(uri)


@pytest.fixture
def client(uri: str) -> MlflowClient:
    return MlflowClient(uri)


@pytest.fixture
def other(uri: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another orchestrator of the sweep, alive, and its parent run."""
    process = subprocess.Popen(
        [sys.executable, "-c", ORCHESTRATOR, uri], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def start(tracking: Tracking) -> str:
    return tracking.start_sweep("toy", "a sweep", {"torch": "2.9"}, {"size": 2})


def test_uri_is_option_then_environment_then_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert resolve_uri("sqlite:///a/b.db") == f"sqlite:///{tmp_path}/a/b.db"
    assert resolve_uri(None) == "http://server:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve_uri(None) == f"sqlite:///{tmp_path}/mlflow.db"


def test_runs_hold_their_spec_tags_metrics_and_artifacts(
    tracking: Tracking, client: MlflowClient, tmp_path: Path
) -> None:
    parent_id = start(tracking)
    first, second = tracking.create_runs(parent_id, SPECS, {"device": "cpu"})
    run = client.get_run(first)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == SPECS[0].run_name
    assert run.data.params.keys() == RunSpec.model_fields.keys()
    assert run.data.params["dataset"] == "toy4"
    assert run.data.tags == {
        "device": "cpu",
        "mimsweep.run_key": SPECS[0].run_key,
        "mimsweep.sweep": "toy",
        "mlflow.parentRunId": parent_id,
        "mlflow.runName": SPECS[0].run_name,
    }
    tracking.finish(first, {"mi": 1.25}, {"spec.yaml": b"a: 1", "weights.safetensors": b"\0"})
    tracking.fail(second, "NaN in epoch 3", {"traceback.txt": b"trace"})
    run = client.get_run(first)
    assert run.info.status == "FINISHED"
    assert run.info.end_time is not None
    assert run.data.metrics == {"mi": 1.25}
    assert run.data.tags["mimsweep.complete"] == "true"
    # Where a plain `mlflow ui` in this folder looks, wherever it is started from.
    assert run.info.artifact_uri.startswith(str(tmp_path / "mlruns"))
    assert Path(run.info.artifact_uri, "weights.safetensors").read_bytes() == b"\0"
    failed = client.get_run(second)
    assert failed.info.status == "FAILED"
    assert failed.data.tags["mimsweep.reason"] == "NaN in epoch 3"
    assert Path(failed.info.artifact_uri, "traceback.txt").read_bytes() == b"trace"


def test_parent_run_tells_the_sweep(
    tracking: Tracking, client: MlflowClient, tmp_path: Path
) -> None:
    assert tracking.latest_parent("toy") is None
    assert tracking.owner("toy") is None
    parent_id = start(tracking)
    owner = tracking.owner("toy")
    assert owner is not None
    assert owner.pid == os.getpid()
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mi.png").write_bytes(b"png")
    tracking.log_folder(parent_id, tmp_path / "figures")
    tracking.heartbeat(parent_id)
    tracking.finish_sweep(parent_id, "FAILED", {"n_complete": 1, "n_failed": 1})
    run = client.get_run(parent_id)
    assert run.info.status == "FAILED"
    assert run.data.params == {"size": "2"}
    assert run.data.metrics == {"n_complete": 1, "n_failed": 1}
    assert run.data.tags["torch"] == "2.9"
    assert float(run.data.tags[HEARTBEAT]) > owner.heartbeat
    assert Path(run.info.artifact_uri, "mi.png").exists()
    assert tracking.owner("toy") is None
    assert tracking.latest_parent("toy") == parent_id
    assert start(tracking) == tracking.latest_parent("toy") != parent_id
    client.create_experiment("of another tool")
    assert tracking.sweeps() == ["toy"]


def test_epochs_beyond_a_thousand_points_and_numbers_that_are_none(
    tracking: Tracking, client: MlflowClient
) -> None:
    (run_id,) = tracking.create_runs(start(tracking), SPECS[:1], {})
    rows = [(epoch, {"train_loss": 1 / epoch, "beta": 0.5, "lr": 1e-3}) for epoch in range(1, 501)]
    rows.append((501, {"train_loss": math.nan, "beta": math.inf, "lr": -math.inf}))
    tracking.log_epochs(run_id, rows)
    history = client.get_metric_history(run_id, "train_loss")
    assert [point.step for point in history] == list(range(1, 502))
    assert history[3].value == 0.25
    assert math.isnan(history[-1].value)
    tracking.finish(run_id, {"mi": math.nan}, {})
    row = tracking.frame("toy").iloc[0]
    assert math.isnan(row["train_loss"])
    assert math.isnan(row["mi"])
    assert row["beta"] == math.inf


def test_histories_are_those_of_the_client(tracking: Tracking, client: MlflowClient) -> None:
    run_ids = tracking.create_runs(start(tracking), SPECS[:2], {})
    for offset, run_id in enumerate(run_ids):
        rows = [(epoch, {"a": epoch + offset, "b": -math.inf}) for epoch in (1, 2, 3 + offset)]
        tracking.log_epochs(run_id, [*rows, (9, {"a": math.nan})])
    history = tracking.history(run_ids, ("a", "b", "none")).set_index(["run_id", "epoch"])
    assert history["none"].isna().all()
    assert len(history) == 8
    for run_id in run_ids:
        for name in ("a", "b"):
            points = {p.step: p.value for p in client.get_metric_history(run_id, name)}
            ours = history.loc[run_id, name]
            stored = pd.Series(points).reindex(ours.index)
            pd.testing.assert_series_equal(
                ours, stored.replace(-sys.float_info.max, -math.inf), check_names=False
            )


def test_frame_gives_back_typed_params_in_order(tracking: Tracking) -> None:
    specs = [RunSpec(dataset="toy4", model="vae", z_dim=z, lr=1.0) for z in (10, 2)]
    run_ids = tracking.create_runs(start(tracking), [*specs, SPECS[0]], {})
    for run_id in run_ids[:2]:
        tracking.log_epochs(run_id, [(1, {"lr": 0.5, "test_loss": 2.0})])
        tracking.finish(run_id, {"mi": 1.0, "best_epoch": 7}, {})
    frame = tracking.frame("toy")
    assert list(frame.columns) == [
        *("run_key", "run_id", "run_name", "status"),
        *sorted(RunSpec.model_fields),
        *("best_epoch", "mi", "test_loss"),
    ]
    assert list(frame["run_id"]) == [run_ids[1], run_ids[0]]
    assert list(frame["run_key"]) == [specs[1].run_key, specs[0].run_key]
    for row, spec in zip(frame.to_dict("records"), reversed(specs), strict=True):
        values = {field: row[field] for field in RunSpec.model_fields}
        assert RunSpec.model_validate(values) == spec
        assert row["status"] == "FINISHED"
    assert frame["lr"].dtype == float
    assert frame["z_dim"].dtype == int
    assert frame["inv_h"].dtype == bool


def test_complete_is_finished_and_tagged(
    tracking: Tracking, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent_id = start(tracking)
    (cut,) = tracking.create_runs(parent_id, SPECS[:1], {})

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_tag", dies)
        with pytest.raises(KeyboardInterrupt):
            tracking.finish(cut, {"mi": 1.0}, {})
    assert client.get_run(cut).info.status == "FINISHED"
    assert tracking.complete("toy") == {}
    assert tracking.frame("toy").empty
    assert tracking.statuses("toy")[SPECS[0].run_key].status == "RUNNING"
    (tagged,) = tracking.create_runs(parent_id, SPECS[:1], {})
    client.set_tag(tagged, "mimsweep.complete", "true")
    assert tracking.complete("toy") == {}
    tracking.finish_sweep(parent_id, "KILLED", {})
    assert tracking.statuses("toy")[SPECS[0].run_key].status == "KILLED"


def test_a_complete_run_decides_else_the_newest(tracking: Tracking, client: MlflowClient) -> None:
    parent_id = start(tracking)
    key = SPECS[0].run_key

    def create() -> str:
        time.sleep(0.002)
        return tracking.create_runs(parent_id, SPECS[:1], {})[0]

    assert tracking.statuses("toy") == {}
    tracking.fail(create(), "exploded", {})
    assert tracking.statuses("toy")[key].reason == "exploded"
    tracking.kill([create()])
    assert tracking.statuses("toy")[key].status == "KILLED"
    complete = [create(), create()]
    for run_id in complete:
        tracking.finish(run_id, {"mi": 1.0}, {})
    last = create()
    assert tracking.statuses("toy")[key].run_id == complete[1]
    assert tracking.statuses("toy")[key].status == "FINISHED"
    assert tracking.complete("toy") == {key: complete[1]}
    assert list(tracking.frame("toy")["run_id"]) == [complete[1]]
    for run_id in complete:
        client.delete_run(run_id)
    assert tracking.statuses("toy")[key].run_id == last
    assert tracking.complete("toy") == {}


def test_second_orchestrator_is_refused_until_the_first_is_dead(
    tracking: Tracking, client: MlflowClient, other: tuple[subprocess.Popen[str], str]
) -> None:
    process, parent_id = other
    with pytest.raises(SweepBusyError, match=rf"process {process.pid} on {socket.gethostname()}"):
        start(tracking)
    assert tracking.close_dead("toy") == []
    (state,) = tracking.statuses("toy").values()
    assert state.status == "RUNNING"
    # Not waited for: a zombie is dead too.
    os.kill(process.pid, signal.SIGKILL)
    while tracking.owner("toy"):
        time.sleep(0.01)
    (state,) = tracking.statuses("toy").values()
    assert state.status == "KILLED"
    assert client.get_run(state.run_id).info.status == "RUNNING"
    assert tracking.close_dead("toy") == [state.run_id]
    assert client.get_run(state.run_id).info.status == "KILLED"
    assert client.get_run(parent_id).info.status == "KILLED"
    assert tracking.close_dead("toy") == []
    start(tracking)


def test_of_two_that_start_at_once_the_later_gives_way(
    tracking: Tracking, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run: Callable[..., object] = MlflowClient.create_run

    def both_create(self: MlflowClient, experiment_id: str, **arguments: object) -> object:
        create_run(self, experiment_id, start_time=1, **arguments)
        return create_run(self, experiment_id, **arguments)

    monkeypatch.setattr(MlflowClient, "create_run", both_create)
    with pytest.raises(SweepBusyError):
        start(tracking)
    later, first = client.search_runs(["1"], order_by=["attributes.start_time DESC"])
    assert (later.info.status, first.info.status) == ("KILLED", "RUNNING")


@pytest.mark.parametrize(
    ("owner", "alive"),
    [
        (Owner.this_process(), True),
        (Owner(socket.gethostname(), os.getpid(), time.time() - 1e5, time.time()), False),
        (Owner("elsewhere", 1, 0.0, time.time() + 3600), True),
        (Owner("elsewhere", 1, 0.0, time.time() - STALE_SECONDS - 1), False),
    ],
    ids=["this process", "pid given to another", "heart beats elsewhere", "stopped elsewhere"],
)
def test_owner_lives(owner: Owner, alive: bool) -> None:
    assert owner.alive() == alive
    read = Owner.from_tags(owner.tags())
    assert read is not None
    assert (read.host, read.pid) == (owner.host, owner.pid)
    assert read.alive() == alive


def test_deleted_experiment_is_told_with_the_way_out(
    tracking: Tracking, client: MlflowClient
) -> None:
    tracking.finish_sweep(start(tracking), "FINISHED", {})
    client.delete_experiment("1")
    for call in (lambda: start(tracking), lambda: tracking.complete("toy")):
        with pytest.raises(TrackingError, match="restore --experiment-id 1"):
            call()


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
        ("bogus://ann:s3cret@host/x", "bogus"),
        ("postgresql://ann:s3cret@127.0.0.1:9/mlflow", "psycopg|Connection refused"),
        ("/some/folder", "maintenance mode"),
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
                "from orchestrator.tracking import Tracking, resolve_uri\n"
                "tracking = Tracking(resolve_uri(None))\n"
                f"parent = tracking.start_sweep('sweep{number}', '', {{}}, {{}})\n"
                "tracking.finish_sweep(parent, 'FINISHED', {})\n",
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
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
        with urllib.request.urlopen(query) as answer:
            assert answer.read() == b"model: mim\n"
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
