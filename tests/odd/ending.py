"""The program started in a process of its own, to be told to stop in all ways."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.tracking.writer import Tracking

MIMSWEEP = Path(sys.executable).with_name("mimsweep")
SWEEP = """\
name: s
fixed: {dataset: toy4, mid_dim: 10, epochs: 2, warmup: 1, model: vae}
grid: {seed: 1..2}
figures: {x: seed, hue: model, metrics: [nll]}
"""
ENDLESS = SWEEP.replace("epochs: 2, warmup: 1", "epochs: 1000000, warmup: 1000000")
STOP_SECONDS = 5.0
ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def slow(*values: object) -> Any:
    """Values of a parameter for which a test is slow."""
    return pytest.param(*values, marks=pytest.mark.slow)


def stop_between_writes(process: "subprocess.Popen[str]", folder: Path) -> None:
    """Stops a process, as Ctrl-Z does in a terminal, where it has no lock of a folder's store."""

    def free() -> bool:
        process.send_signal(signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(folder / "mlflow.db", timeout=0.5)) as store:
                store.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            return False
        return True

    until(free)


class Program:
    """A process of the program in a session of its own, as a terminal makes one."""

    def __init__(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> None:
        self.process = subprocess.Popen(
            [MIMSWEEP, *arguments],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def signal(self, *numbers: int) -> None:
        """Sends signals to the group, as a terminal does, one soon after the other."""
        for number in numbers:
            os.killpg(self.process.pid, number)
            time.sleep(0.3)

    def end(self, seconds: float = 60) -> tuple[int, str, str]:
        """Waits for the end; returns exit code, and what was printed."""
        out, err = self.process.communicate(timeout=seconds)
        for text in (out, err):
            assert "Traceback" not in (text or ""), text
            assert "Exception ignored" not in (text or ""), text
        return self.process.returncode, out, err

    def stopped(self, *numbers: int) -> str:
        """Sends signals; returns what was said last by a program that ended in time."""
        start = time.monotonic()
        self.signal(*numbers)
        code, _, err = self.end()
        assert code == 130, err
        assert time.monotonic() - start < STOP_SECONDS
        return err.splitlines()[-1]


@contextmanager
def started(
    *arguments: str,
    environment: dict[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> Iterator[Program]:
    """Yields a process of the program, which is gone afterwards."""
    program = Program(*arguments, environment=environment, stdout=stdout, stderr=stderr)
    try:
        yield program
    finally:
        program.process.kill()
        with program.process:  # closes its pipes, too: of a test that failed, others would suffer
            pass


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def rows(query: str) -> list[tuple[object, ...]]:
    """What the store of this folder has."""
    if not Path("mlflow.db").exists():
        return []
    with closing(sqlite3.connect("file:mlflow.db?mode=rw", uri=True, timeout=20)) as database:
        return database.execute(query).fetchall()


def statuses() -> list[str]:
    """The statuses of all runs of this folder's store."""
    return [str(status) for (status,) in rows("SELECT status FROM runs ORDER BY start_time")]


@contextmanager
def locked() -> Iterator[None]:
    """Within it another process, so to speak, holds the lock of the store's file."""
    with closing(sqlite3.connect("mlflow.db", timeout=20)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.rollback()


def store_complete_runs() -> None:
    """Stores the runs of s.yaml in this folder as complete."""
    tracking = Tracking("sqlite:///mlflow.db")
    sweep = load_sweep(Path("s.yaml"))
    parent_id = tracking.start_sweep(sweep.name, "", {}, {})
    for run_id in tracking.create_runs(parent_id, sweep.runs, {}):
        tracking.log_epochs(run_id, [(1, {"train_loss": 2.0, "test_loss": 2.5, "beta": 1.0})])
        tracking.finish(run_id, {"nll": 1.0}, {})
    tracking.finish_sweep(parent_id, "FINISHED", {})
