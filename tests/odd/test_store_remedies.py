"""Stores that refuse, and servers, proxies and files that are none: what to do is told, in full."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mimsweep.orchestrator.tracking.refusals import refusal
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.odd.ending import SWEEP, started, until
from tests.orchestrator.commands import mimsweep, refused

# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

NO_MLFLOW = "no MLflow server answers there: give the address that a browser shows for its pages"
CREDENTIALS = "credentials are missing or wrong: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASS"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Answering(ThreadingHTTPServer):
    """A server that gives the same answer to all."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.page = 200, b""
        self.uri = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.page)))
        self.end_headers()
        self.wfile.write(self.server.page)

    def do_POST(self) -> None:
        self.do_GET()

    def do_CONNECT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Answering() as server:
        thread = Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def said_of(uri: str) -> str:
    """The sentence about a store, of which nothing is left here."""
    said = refused(mimsweep("status", "smoke", "--tracking-uri", uri), 3)
    assert os.listdir() == []
    return said


@pytest.mark.parametrize(
    ("status", "page", "says"),
    [
        (401, b"You are not authenticated. Please see the docs.", CREDENTIALS),
        (
            403,
            b"Invalid Host header - possible DNS rebinding",
            "start it with --allowed-hosts 127.",
        ),
        (
            403,
            b"<html><p>Ann may not. Ask Bob.</p></html>",
            "it answers 403 (Ann may not. Ask Bob)",
        ),
        (
            403,
            b'{"error_code": "PERMISSION_DENIED", "message": "Ann may not. Ask Bob."}',
            "refused: PERMISSION_DENIED: Ann may not. Ask Bob.",
        ),
        (404, b"nothing", NO_MLFLOW),
        (405, b"", NO_MLFLOW),
        (200, b"<html>hello</html>", NO_MLFLOW),
        (200, b"", NO_MLFLOW),
        (200, b'{"hello": [1]}', NO_MLFLOW),
    ],
)
def test_an_answer_is_told_with_what_to_do(
    server: Answering, status: int, page: bytes, says: str
) -> None:
    server.status, server.page = status, page
    assert says in said_of(server.uri)


@pytest.mark.parametrize(
    ("uri", "error", "says"),
    [
        (
            "http://host:5000",
            "HTTPSConnectionPool(host='sso.example', port=443): Max retries exceeded (Caused by "
            "NameResolutionError: Name or service not known)",
            "it sends the caller to sso.example",
        ),
        ("http://host:5000", "failed with exception Exceeded 30 redirects.", "round in a circle"),
        (
            "http://host:5000",
            "HTTPConnectionPool(host='host', port=5000): Max retries exceeded (Caused by "
            "ProtocolError('Connection aborted.', BadStatusLine('SSH-2.0')))",
            "what answers there breaks off, or does not speak HTTP",
        ),
        ("sqlite:////no/x.db", "attempt to write a readonly database", "its file was deleted or"),
        ("sqlite:////no/x.db", "(OperationalError) disk I/O error", "`ulimit -f`"),
        ("sqlite:////no/x.db", "database disk image is malformed", "its file is damaged"),
    ],
)
def test_an_error_is_told_with_what_it_means(
    uri: str, error: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert says in str(refusal(uri, Exception(error)))


@pytest.mark.slow  # MLflow asks twice
def test_a_faulty_server_is_told_with_its_status(server: Answering) -> None:
    server.status = 503
    assert "it answers 503; its log, or that of a proxy before it, says why" in said_of(server.uri)


def test_https_of_a_server_that_speaks_none_is_told(server: Answering) -> None:
    said = said_of(server.uri.replace("http", "https"))
    assert "the server speaks no TLS: write http:// for https://" in said


def test_a_host_that_is_not_known_is_told(server: Answering) -> None:
    assert "no host no-such-host.invalid is known here" in said_of("http://no-such-host.invalid")


def test_a_proxys_refusal_is_told_as_the_proxys(
    server: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status, server.page = 403, b"<title>Squid</title> Access denied"
    address = server.uri.removeprefix("http://")
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", f"http://ann:s3cret@{address}")
        said = said_of(f"{scheme}://far.invalid:5000")
        assert "s3cret" not in said
        assert f"the proxy http://ann:***@{address}" in said
        assert "403" in said
        assert "NO_PROXY=far.invalid goes past it" in said


def test_a_dead_proxy_is_told(server: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("http_proxy", proxy)
    said = said_of("http://far.invalid:5000")
    assert f"the proxy {proxy} fails (Connection refused): NO_PROXY=far.invalid goes past" in said


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that this MLflow has made."""
    path = tmp_path_factory.mktemp("made") / "mlflow.db"
    Tracking(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(made: Path, here: Path) -> Path:
    return Path(shutil.copy(made, here / "mlflow.db"))


def version(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])


@pytest.mark.slow
def test_an_older_schema_is_not_migrated_unasked(here: Path) -> None:
    """MLflow itself migrates it as it opens it, where it has fewer tables."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    (here / "s.yaml").write_text(SWEEP)
    engine = sqlalchemy.create_engine(f"sqlite:///{here}/mlflow.db")
    Base.metadata.create_all(engine)
    config = _get_alembic_config(str(engine.url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "bf29a5ff90ea")
    engine.dispose()
    before = Path("mlflow.db").read_bytes()
    for given in (["status"], ["plan"], ["results"], ["run", "--engine", "inline"]):
        said = refused(mimsweep(given[0], "s.yaml", *given[1:]), 3)
        assert (
            "its schema, bf29a5ff90ea, is of an older MLflow: copy the database, then run" in said
        )
    assert Path("mlflow.db").read_bytes() == before
    upgrade = said.split("`")[1].removeprefix("mlflow ").split()
    subprocess.run([sys.executable, "-m", "mlflow", *upgrade], check=True, capture_output=True)
    assert mimsweep("status", "s.yaml").exit_code == 0


def test_a_newer_schema_needs_a_newer_mlflow(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'feedfacecafe'")
        connection.commit()
    said = refused(mimsweep("status", "smoke"), 3)
    assert "its schema, feedfacecafe, is of a newer MLflow than " in said
    doctor = mimsweep("doctor")
    assert doctor.exit_code == 3
    assert "install the newer here" in doctor.stdout
    assert "db upgrade" not in doctor.stdout
    assert version(database) == "feedfacecafe"


@pytest.mark.slow
def test_artifacts_that_cannot_be_written_are_told_as_such(database: Path) -> None:
    Path("mlruns").write_text("somebody's file")
    Path("s.yaml").write_text(SWEEP.replace("1..2", "[1]"))
    with started("run", "s.yaml", "--workers", "1") as program:
        until(lambda: list(Path().glob(".mimsweep/spool/*/s/*.json")))
        time.sleep(1)
        program.process.terminate()
        code, _, err = program.end()
    assert code == 130, err
    assert f"{Path('mlruns').absolute()}" in err
    assert "1 result waits on disk for the store" in err
    Path("mlruns").unlink()
    with started("run", "s.yaml", "--workers", "1") as program:
        code, _, err = program.end()
    assert code == 0, err
    assert "1/1" in mimsweep("status", "s.yaml").stdout


@pytest.mark.slow
def test_mlflows_own_server_tells_its_remedy(here: Path, database: Path) -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["server", "--port", str(port), "--workers", "1", "--allowed-hosts", "only.example"]
    with open("log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command], stdout=log, stderr=log, env={**os.environ}
        )
        try:
            until(lambda: "startup complete" in Path("log").read_text())
            uri = f"http://127.0.0.1:{port}"
            said = refused(mimsweep("status", "smoke", "--tracking-uri", uri), 3)
        finally:
            process.terminate()
            process.wait()
    assert "start it with --allowed-hosts 127.0.0.1, or MLFLOW_SERVER_ALLOWED_HOSTS" in said
