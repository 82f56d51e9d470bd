"""Standard output and error that are full, closed, or read by nobody: by the shell, as users do."""

import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mimsweep.orchestrator.tracking.writer import Tracking
from tests.odd.ending import (
    ENDLESS,
    MIMSWEEP,
    SWEEP,
    rows,
    slow,
    started,
    statuses,
    store_complete_runs,
    until,
)

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

FULL = "mimsweep: standard output can't be written: No space left on device\n"
CLOSED = "mimsweep: standard output can't be written: Bad file descriptor\n"
COMMANDS = [
    "--help",
    "validate s.yaml",
    *map(
        slow,
        (
            "results s.yaml",
            "plan s.yaml",
            "plan s.yaml --json",
            "status s.yaml",
            "figures s.yaml",
            "report s.yaml",
            "verify s.yaml",
            "run --help",
            "sweeps",
            "doctor",
        ),
    ),
]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        claims = "claims: [{claim: little, metric: nll, less: {model: vae}, than: 2}]\n"
        (folder / "s.yaml").write_text(SWEEP + claims)
        store_complete_runs()
    return folder


@pytest.fixture(autouse=True)
def _files(here: Path, stored: Path) -> None:
    shutil.copytree(stored, here, dirs_exist_ok=True)


def shell(command: str) -> tuple[int, str]:
    """Exit code of the last part of a pipe that failed, and what came on standard error."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("mimsweep", str(MIMSWEEP), 1)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_cannot_be_written_is_told(command: str) -> None:
    assert shell(f"mimsweep {command} >/dev/full") == (2, FULL)
    assert shell(f"mimsweep {command} >&-") == (2, CLOSED)
    assert shell(f"mimsweep {command} >/dev/full 2>/dev/full") == (2, "")


@pytest.mark.parametrize("command", ["sweeps", slow("results s.yaml"), slow("doctor")])
def test_a_reader_that_has_enough_ends_a_command_quietly(command: str) -> None:
    code, err = shell(f"mimsweep {command} | head -c 1 >/dev/null")
    assert code in (0, 1)  # 0 if all was written before
    assert err == ""
    assert shell(f"mimsweep {command} | sleep 0") in [(0, ""), (1, "")]


def test_an_error_that_cannot_be_told_keeps_its_exit_code() -> None:
    for streams in ("2>/dev/full", "2>&-", "2>&1 | sleep 0"):
        assert shell(f"mimsweep validate none.yaml {streams}") == (2, "")


@pytest.mark.parametrize("streams", ["2>/dev/full", *map(slow, ("2>&- >&-", "2>&1 | head -1"))])
def test_a_view_that_cannot_be_written_stops_no_training(here: Path, streams: str) -> None:
    (here / "mlflow.db").unlink()
    code, err = shell(f"mimsweep run s.yaml --workers 1 {streams}")
    assert (code, err) == (0, "")
    assert statuses() == ["FINISHED"] * 3
    assert len(Tracking("sqlite:///mlflow.db").complete("s")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("hung_up", [True, False])
def test_a_terminal_that_goes_ends_a_run_but_under_nohup(here: Path, hung_up: bool) -> None:
    (here / "mlflow.db").unlink()
    (here / "s.yaml").write_text(ENDLESS)
    ours, theirs = pty.openpty()
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL if hung_up else signal.SIG_IGN)
    try:
        with started("run", "s.yaml", stdout=theirs, stderr=theirs) as program:
            os.close(theirs)
            until(lambda: os.read(ours, 4096) and statuses().count("RUNNING") == 3)
            time.sleep(1)
            os.close(ours)
            program.signal(signal.SIGHUP)  # as a shell does; the kernel, only to who has it
            time.sleep(3)
            if not hung_up:
                assert program.process.poll() is None
                program.signal(signal.SIGTERM)
            assert program.end()[0] == 130
    finally:
        signal.signal(signal.SIGHUP, before)
    assert set(statuses()) == {"KILLED"}
    assert rows("SELECT 1 FROM runs WHERE status = 'RUNNING'") == []
