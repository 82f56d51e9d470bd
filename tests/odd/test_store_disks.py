"""Stores on disks that are full or can't be written, and writers killed in the middle."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.odd.ending import SWEEP, started, statuses, store_complete_runs, until
from tests.orchestrator.commands import mimsweep

CUT_OFF = """
import os, sqlite3
database = sqlite3.connect("mlflow.db")
database.execute("PRAGMA cache_size = 1")
database.execute("UPDATE runs SET status = 'FAILED', name = hex(randomblob(50000))")
os._exit(1)
"""
"""Ends in the middle of a write, of which a part is in the file already."""

FULL = "failed: there is no space left for it: make some on its disk, or in the quota"


@pytest.fixture
def disk(here: Path) -> Iterator[Path]:
    """The folder, on a disk of its own, with room for a sweep and not for a store."""
    if os.geteuid() != 0 or mounted("-t", "tmpfs", "-o", "size=300k", "full", here):
        pytest.skip("only root can mount a small disk")
    os.chdir(here)  # which is another folder now
    Path("s.yaml").write_text(SWEEP)
    yield here
    os.chdir("/")
    subprocess.run(["umount", "--lazy", here], check=True)


def mounted(*arguments: str | Path) -> int:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode


def ran(*arguments: str) -> tuple[int, str]:
    """Runs the sweep; returns the exit code, and what was said last."""
    with started("run", "s.yaml", "--workers", "1", *arguments) as program:
        code, _, err = program.end(120)
    return code, err.splitlines()[-1] if code else ""


def fill() -> None:
    """Leaves no room on the disk."""
    block = b"0" * 1024
    with open("filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(block)
        except OSError:
            return


@pytest.mark.slow
def test_a_start_killed_while_it_makes_the_store_leaves_nothing_for_long(here: Path) -> None:
    Path("s.yaml").write_text(SWEEP)
    Path(".mlflow.db.notes").write_text("a user's own")
    with started("run", "s.yaml", "--workers", "1") as program:
        until(lambda: list(here.glob(".mlflow.db.*-journal")) or Path("mlflow.db").exists())
        program.process.kill()
        program.process.communicate()
    assert len(list(here.glob(".mlflow.db.*"))) > 1
    assert ran() == (0, "")
    assert sorted(os.listdir()) == [
        ".mimsweep",
        ".mlflow.db.notes",
        "mlflow.db",
        "mlruns",
        "s.yaml",
    ]


@pytest.mark.slow
def test_a_full_disk_is_told_and_loses_nothing(disk: Path) -> None:
    code, said = ran()
    assert code == 3
    assert said.endswith(FULL)
    assert sorted(os.listdir()) == [".mimsweep", "s.yaml"]
    assert mounted("-o", "remount,size=20m", disk) == 0
    assert ran() == (0, "")
    fill()
    assert ran() == (0, "")  # all is complete: there is nothing to write
    code, said = ran("--set", "seed=1..3")
    assert code == 3
    assert said.endswith(FULL)
    assert "2/2 complete" in mimsweep("status", "s.yaml").stdout
    Path("filler").unlink()
    assert ran("--set", "seed=1..3") == (0, "")


@pytest.mark.slow
def test_a_store_that_cannot_be_written_is_told(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mounted("-o", "remount,size=20m", disk) == 0
    assert ran() == (0, "")
    assert mounted("-o", "remount,ro", disk) == 0
    os.chdir(tmp_path)  # where all but the store can be written
    Path("s.yaml").write_text(SWEEP)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{disk}/mlflow.db")
    code, said = ran("--set", "seed=1..3")
    assert code == 3
    assert said.endswith("this user may not write its file, or the folder of its file: see `ls -l`")
    with started("doctor") as program:
        code, out, _ = program.end()
    assert code == 3
    assert "FAIL store: " in out
    assert "can't be written" in out
    with started("status", "s.yaml") as program:
        code, out, _ = program.end()
    assert (code, out.splitlines()[0]) == (0, "s: 2/2 complete")


@pytest.mark.parametrize("command", ["status", "run", "doctor"])
def test_a_write_that_a_kill_cut_off_is_taken_back(here: Path, command: str) -> None:
    Path("s.yaml").write_text(SWEEP)
    store_complete_runs()
    subprocess.run([sys.executable, "-c", CUT_OFF], check=False)
    assert Path("mlflow.db-journal").stat().st_size > 1000
    done = mimsweep(command, *(["s.yaml"] if command != "doctor" else []))
    assert done.exit_code == 0, done.output
    assert not Path("mlflow.db-journal").exists()
    assert statuses() == ["FINISHED"] * 3
