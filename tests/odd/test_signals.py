"""Commands that are told to stop: once or again, by whatever signal, while whatever fails."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from mimsweep.orchestrator.stopping import STOP, deaf_children
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.odd.ending import (
    ALL,
    ENDLESS,
    STOP_SECONDS,
    SWEEP,
    locked,
    rows,
    slow,
    started,
    statuses,
    store_complete_runs,
    until,
)

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

SEARCH = """\
name: small
description: a search
fixed: {dataset: toy4, model: vae, mid_dim: 4, epochs: 1000000}
seeds: 1..2
space: {warmup: {int: [100000, 900000]}}
objective: {metric: nll, direction: minimize}
trials: 5
parallel: 2
"""
GOES_ON = "the same command completes what is missing"
TRAINS = "SELECT 1 FROM tags WHERE key = 'mimsweep.run_key'"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete sweep."""
    folder = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "s.yaml").write_text(SWEEP)
        store_complete_runs()
    return folder


@pytest.fixture
def endless(here: Path, stored: Path) -> Path:
    """A folder with a sweep and a search that don't end by themselves, and a store."""
    (here / "s.yaml").write_text(ENDLESS)
    (here / "small.yaml").write_text(SEARCH)
    shutil.copy(stored / "mlflow.db", here)
    return here


def training() -> int:
    """How many runs are RUNNING in this folder's store, their parent apart."""
    query = f"SELECT count(*) FROM runs WHERE status = 'RUNNING' AND run_uuid IN ({TRAINS})"
    ((count,),) = rows(query.replace("SELECT 1", "SELECT run_uuid"))
    assert isinstance(count, int)
    return count


@pytest.mark.parametrize("number", [signal.SIGHUP, *map(slow, (signal.SIGINT, signal.SIGTERM))])
@pytest.mark.parametrize("command", ["run s.yaml", slow("search small.yaml")])
def test_each_signal_ends_a_run_and_a_search_in_order(
    endless: Path, number: int, command: str
) -> None:
    with started(*command.split(), "--workers", "1") as program:
        until(lambda: training() >= 2)
        assert program.stopped(number) == f"mimsweep: interrupted; {GOES_ON}"
    assert set(statuses()) == {"FINISHED", "KILLED"}


def test_a_signal_that_comes_while_mlflow_loads_ends_a_run(endless: Path) -> None:
    with started("run", "s.yaml") as program:
        time.sleep(0.5)
        assert program.stopped(*ALL) == "mimsweep: interrupted"


def test_a_signal_that_comes_where_python_ignores_errors_is_heard(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Odd:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)

    def forget_one_and_wait() -> None:
        Odd()
        time.sleep(20)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), STOP.heeded():
        forget_one_and_wait()
    assert time.monotonic() - start < STOP_SECONDS
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["run s.yaml", slow("search small.yaml")])
@pytest.mark.parametrize("numbers", [ALL, *map(slow, ([signal.SIGINT], [signal.SIGINT] * 3))])
def test_a_locked_store_keeps_nobody(endless: Path, numbers: list[int], command: str) -> None:
    with started(*command.split(), "--workers", "1") as program:
        until(lambda: training() >= 2)
        time.sleep(1)
        with locked():
            said = program.stopped(*numbers)
    assert said.startswith("mimsweep: interrupted; the store may show runs RUNNING")
    assert said.endswith(GOES_ON)
    tracking = Tracking("sqlite:///mlflow.db")
    assert tracking.owner("s") is None
    assert not [s for s in tracking.statuses("s").values() if s.status == "RUNNING"]


@pytest.mark.slow
def test_a_store_that_is_locked_from_the_start_keeps_nobody(endless: Path) -> None:
    with locked(), started("run", "s.yaml", "--workers", "1") as program:
        time.sleep(6)
        assert program.stopped(signal.SIGINT, signal.SIGINT).startswith("mimsweep: interrupted")
    assert statuses() == ["FINISHED"] * 3


@pytest.mark.parametrize(
    ("command", "seconds"),
    [
        ("figures s.yaml", 1.5),
        *(
            slow(command, seconds)
            for command in ("figures s.yaml", "report s.yaml", "status s.yaml", "plan small.yaml")
            for seconds in (0.2, 0.4, 0.8, 3.0)
        ),
    ],
)
def test_other_commands_end_without_a_traceback(
    stored: Path, here: Path, command: str, seconds: float
) -> None:
    shutil.copy(stored / "mlflow.db", here)
    (here / "s.yaml").write_text(SWEEP)
    (here / "small.yaml").write_text(SEARCH)
    with started(*command.split()) as program:
        time.sleep(seconds)
        start = time.monotonic()
        if program.process.poll() is None:
            program.signal(signal.SIGINT, signal.SIGINT)
        code, _, err = program.end()
        assert time.monotonic() - start < STOP_SECONDS
    before_it_loads = [(-signal.SIGINT, "")] if seconds < 0.5 else []  # as told below
    assert (code, err) in [(0, ""), (130, "mimsweep: interrupted\n"), *before_it_loads]


def test_a_signal_waits_until_a_process_is_started() -> None:
    """Else what is started reads half of what it is given, and ends with a traceback."""
    whole = []

    def start_as_told_to_stop() -> None:
        with deaf_children():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
            whole.append(True)

    with pytest.raises(KeyboardInterrupt), STOP.heeded():
        start_as_told_to_stop()
    assert whole


def test_a_signal_that_comes_while_the_command_line_loads_needs_no_traceback(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "click.py").write_text("print(flush=True); import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(here), prepend=os.pathsep)
    command = [sys.executable, "-m", "mimsweep", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10)[1] == b""
    assert process.returncode == -signal.SIGINT  # which shells call 130


@pytest.mark.parametrize("number", [signal.SIGINT, *map(slow, (signal.SIGTERM, signal.SIGHUP))])
@pytest.mark.parametrize("served", [False, slow(True)])
def test_pages_end_with_all_their_processes(
    stored: Path, here: Path, number: int, served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION")
    shutil.copy(stored / "mlflow.db", here)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def answers() -> bool:
        with suppress(OSError):
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1))
        return False

    with started("ui", "--port", str(port)) as program:
        process = psutil.Process(program.process.pid)
        until(answers if served else process.children)
        children = process.children(recursive=True)
        assert not any("jobs" in " ".join(child.cmdline()) for child in children)
        time.sleep(1)
        assert program.stopped(number, number) == "mimsweep: interrupted"
    assert psutil.wait_procs(children, 3)[1] == []


@pytest.mark.slow
def test_nohup_keeps_a_run_alive(endless: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with started("run", "s.yaml", "--workers", "1") as program:
            until(lambda: training() >= 2)
            program.signal(signal.SIGHUP)
            time.sleep(1)
            assert program.process.poll() is None
            program.stopped(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)
