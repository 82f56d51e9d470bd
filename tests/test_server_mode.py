"""The parts of docker/compose.yaml without Docker: PostgreSQL, an MLflow server, two Ray nodes."""

import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import psutil
import pytest
from mlflow import MlflowClient

from mimsweep.orchestrator.tracking.runs import PROFILE
from tests.bench import MIMSWEEP, Bench

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("server")]

PASSWORD = "p@ss:w/rd %41"  # all that a URI would have to escape
OUTAGE_SECONDS = float(os.environ.get("MIMSWEEP_TEST_OUTAGE", "10"))
RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def postgres_binaries() -> Path | None:
    """The folder of the newest PostgreSQL, as Debian has it, or of the one on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def uri_of(login: dict[str, str]) -> str:
    """The URI of the database that libpq's variables lead to."""
    who = f"{login['PGUSER']}:{quote(login['PGPASSWORD'], safe='')}"
    return f"postgresql+psycopg://{who}@127.0.0.1:{login['PGPORT']}/{login['PGDATABASE']}"


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """Runs a PostgreSQL on a free port; yields libpq's variables that lead to it."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="mimsweep-postgres-"))
    who: dict[str, str] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        who = {"user": "postgres", "group": "postgres"}
    port = str(free_port())
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    settings = [
        "listen_addresses=127.0.0.1",
        f"port={port}",
        "unix_socket_directories=",
        "fsync=off",
    ]
    options = [part for setting in settings for part in ("-c", setting)]
    data = folder / "data"
    command = [binaries / "initdb", "-D", data, "-U", "mlflow", "-A", "scram-sha-256"]
    log = (folder / "log.txt").open("wb")
    quiet = {"cwd": folder, "stdout": log, "stderr": log, **who}
    subprocess.run([*command, f"--pwfile={secret}"], check=True, **quiet)  # type: ignore[call-overload]
    process = subprocess.Popen([binaries / "postgres", "-D", data, *options], **quiet)  # type: ignore[call-overload]
    try:
        until_open(int(port), process, folder / "log.txt")
        yield {
            "PGHOST": "127.0.0.1",
            "PGPORT": port,
            "PGUSER": "mlflow",
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": "postgres",
        }
    finally:
        process.send_signal(signal.SIGINT)  # "fast": it doesn't wait for clients
        process.wait(30)
        log.close()
        shutil.rmtree(folder)


def until_open(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port))):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


class Server:
    """An MLflow server as docker/compose.yaml has it."""

    def __init__(self, folder: Path, database: dict[str, str]) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._environment = {
            **os.environ,
            **database,
            "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg://",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port)]
        artifacts = ["--serve-artifacts", "--artifacts-destination", self._folder / "artifacts"]
        with (self._folder / "server.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *artifacts, "--workers", "1"],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until_open(self.port, self._process, self._folder / "server.txt")

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgres() as database:
        server = Server(tmp_path_factory.mktemp("server"), database)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def test_a_sweep_outlives_an_outage_of_the_server(
    server: Server, without_faults: pd.DataFrame, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, seed=1, uri=server.uri)
    try:
        bench.start()
        bench.until_training()
        server.stop()
        time.sleep(OUTAGE_SECONDS)
        server.start()
        assert bench.wait(OUTAGE_SECONDS + 600) == 0, bench.log()
        bench.check(without_faults)
    finally:
        bench.close()
    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("faults")
    assert experiment is not None
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    runs = client.search_runs([experiment.experiment_id], "tags.`mimsweep.complete` = 'true'")
    names = {file.path for file in client.list_artifacts(runs[0].info.run_id)}
    assert names == {"spec.yaml", PROFILE, "weights.safetensors"}


def test_doctor_knows_a_server(server: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        [MIMSWEEP, "doctor", "--tracking-uri", server.uri],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"OK   store: {server.uri} answers" in done.stdout
    assert "OK   artifacts: stored by mlflow-artifacts" in done.stdout
    assert re.search(r"OK   clock: \d s from that of the store's server", done.stdout), done.stdout


class Cluster:
    """A Ray cluster of two nodes on loopback, a worker's place each."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._log = folder / "ray.txt"
        port = self.address.rpartition(":")[2]
        self.nodes = [self._node("--head", "--port", port, "--include-dashboard=false")]
        try:
            until_open(int(port), self.nodes[0], self._log)
            self.nodes.append(self._node("--address", self.address))
            self._until_up(2)
        except BaseException:
            self.stop()
            raise

    def _node(self, *options: str) -> subprocess.Popen[bytes]:
        command = [RAY, "start", "--block", "--num-cpus=1", "--node-ip-address=127.0.0.1"]
        quiet = ["--disable-usage-stats", "--object-store-memory=100000000"]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*command, *quiet, *options], stdout=log, stderr=log, start_new_session=True
            )

    def _until_up(self, nodes: int) -> None:
        script = "import ray; ray.init(log_to_driver=False); print(len(ray.nodes()))"
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            done = subprocess.run(
                [sys.executable, "-c", script],
                env={**os.environ, "RAY_ADDRESS": self.address},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.stdout.strip() == str(nodes):
                return
        raise AssertionError(self._log.read_text())

    def kill(self, node: int) -> None:
        """Kills all processes of a node at once, as a power cut does."""
        for process in psutil.Process(self.nodes[node].pid).children(recursive=True):
            with suppress(psutil.Error):
                process.kill()
        self.nodes[node].kill()
        self.nodes[node].wait()

    def stop(self) -> None:
        for number, node in reversed(list(enumerate(self.nodes))):
            if node.poll() is None:
                self.kill(number)


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "a node is killed"])
def test_a_sweep_completes_on_two_ray_nodes(
    lost: bool, without_faults: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ray's own default depends on whether it has left a token in the home folder.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    cluster = Cluster(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    bench = Bench(tmp_path / "bench", seed=2, options=["--engine", "ray"])
    try:
        bench.start()
        bench.until_training()
        if lost:
            cluster.kill(1)
        assert bench.wait(300) == 0, bench.log()
        bench.check(without_faults)
        assert ("tried again" in bench.log()) == lost
    finally:
        bench.close()
        cluster.stop()
