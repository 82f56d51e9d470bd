"""Faults for a real sweep: each is injected at random times; afterwards all must be as without.

Used by `test_faults.py` (each fault once) and `soak.py` (at random, for minutes).
"""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil

from tests.bench import Bench


def kill_worker(bench: Bench) -> None:
    """A worker process is killed."""
    _signal_worker(bench, signal.SIGKILL)


def kill_workers_again_and_again(bench: Bench) -> None:
    """Workers are killed three times."""
    for _ in range(3):
        _signal_worker(bench, signal.SIGKILL)
        time.sleep(bench.random.uniform(0.5, 2))


def hang_worker(bench: Bench) -> None:
    """A worker hangs for good."""
    _signal_worker(bench, signal.SIGSTOP)


def interrupt(bench: Bench) -> None:
    """Ctrl-C."""
    _signal(bench, signal.SIGINT)
    assert bench.wait(10) in (130, 0)


def terminate(bench: Bench) -> None:
    """SIGTERM, as Slurm and spot machines send it."""
    _signal(bench, signal.SIGTERM)
    assert bench.wait(10) in (130, 0)


def kill_orchestrator(bench: Bench) -> None:
    """The orchestrator is killed."""
    _signal(bench, signal.SIGKILL)


def kill_orchestrator_twice(bench: Bench) -> None:
    """The orchestrator is killed, and the next one too."""
    for _ in range(2):
        _signal(bench, signal.SIGKILL)
        bench.wait()
        bench.start()
        time.sleep(bench.random.uniform(2, 6))


def kill_everything(bench: Bench) -> None:
    """Power cut: orchestrator and workers die at once."""
    for process in bench.processes():
        with suppress(psutil.Error):
            process.kill()


def damage_checkpoints(bench: Bench) -> None:
    """The orchestrator is killed, and its checkpoints are cut short."""
    kill_everything(bench)
    bench.wait()
    for path in bench.checkpoints():
        os.truncate(path, path.stat().st_size // 2)


def remove_state(bench: Bench) -> None:
    """A user removes .mimsweep while the sweep runs, and a worker dies."""
    command = ["rm", "-rf", bench.folder / ".mimsweep"]
    while subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode:
        pass  # a checkpoint was written there meanwhile
    _signal_worker(bench, signal.SIGKILL)


def lock_store(bench: Bench) -> None:
    """Another process holds SQLite's lock for longer than MLflow waits."""
    with closing(sqlite3.connect(bench.folder / "mlflow.db", timeout=20)) as database:
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(bench.random.uniform(21, 25))
        database.rollback()


def fill_disk(bench: Bench) -> None:
    """The disk has no room for checkpoints and spooled results, then a worker dies."""
    state = bench.folder / ".mimsweep"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "full", state], check=True)
    try:
        with suppress(OSError):
            (state / "fill").write_bytes(b"0" * 2**20)
        time.sleep(bench.random.uniform(1, 2))
        _signal_worker(bench, signal.SIGKILL)
        bench.wait()
    finally:
        subprocess.run(["umount", "-l", state], check=True)


def exhaust_memory(bench: Bench) -> None:
    """The workers can't allocate memory for a while."""
    limits = {}
    for worker in bench.workers():
        with suppress(psutil.Error):
            limits[worker] = worker.rlimit(psutil.RLIMIT_AS)
            worker.rlimit(psutil.RLIMIT_AS, (1, limits[worker][1]))
    time.sleep(bench.random.uniform(0.5, 1.5))
    for worker, limit in limits.items():
        with suppress(psutil.Error):
            worker.rlimit(psutil.RLIMIT_AS, limit)


def stop_server(bench: Bench) -> None:
    """The tracking server is down for a while."""
    bench.stop_server()
    time.sleep(bench.random.uniform(5, 10))
    bench.serve()


def hang_server(bench: Bench) -> None:
    """The tracking server does not answer for a while."""
    assert bench.server is not None
    os.killpg(bench.server.pid, signal.SIGSTOP)
    time.sleep(bench.random.uniform(5, 10))
    os.killpg(bench.server.pid, signal.SIGCONT)


def kill_orchestrator_while_server_is_down(bench: Bench) -> None:
    """The tracking server is down, then the orchestrator is killed with results on disk."""
    bench.stop_server()
    time.sleep(bench.random.uniform(5, 10))
    kill_everything(bench)
    bench.wait()
    bench.serve()


Fault = Callable[[Bench], None]
FAULTS: list[Fault] = [
    kill_worker,
    kill_workers_again_and_again,
    hang_worker,
    interrupt,
    terminate,
    kill_orchestrator,
    kill_orchestrator_twice,
    kill_everything,
    damage_checkpoints,
    remove_state,
    lock_store,
    exhaust_memory,
    fill_disk,
    stop_server,
    hang_server,
    kill_orchestrator_while_server_is_down,
]
ON_SERVER: set[Fault] = {stop_server, hang_server, kill_orchestrator_while_server_is_down}
AS_ROOT: set[Fault] = {fill_disk}


def run_with(fault: Fault | None, folder: Path, seed: int) -> Bench:
    """Runs the sweep to completion with a fault in its middle; the caller closes the bench."""
    bench = Bench(folder, seed)
    if fault is hang_worker:
        bench.options = ["--timeout", "12"]
    if fault in (kill_workers_again_and_again, exhaust_memory):
        bench.options = ["--retries", "10"]
    if fault in ON_SERVER:
        bench.serve()
    bench.start()
    if fault is not None:
        bench.until_training()
        fault(bench)
    bench.complete()
    return bench


def _signal(bench: Bench, number: int) -> None:
    assert bench.process is not None
    with suppress(ProcessLookupError):
        bench.process.send_signal(number)


def _signal_worker(bench: Bench, number: int) -> None:
    if workers := bench.workers():
        with suppress(psutil.Error):
            bench.random.choice(workers).send_signal(number)
