"""Runs a command of mimsweep and tells what it took: time, CPU time, memory, a GPU's time."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from machine import ROOT

SAMPLE_SECONDS = 0.5


@dataclass(frozen=True)
class Usage:
    """What a command and all its processes used.

    Attributes:
        wall: seconds.
        cpu: seconds.
        memory: most bytes resident at one time, all processes added; pages that they share count
            for each.
        gpu: share of the time in which a kernel ran, by nvidia-smi; None without a GPU.
    """

    wall: float
    cpu: float
    memory: int
    gpu: float | None

    def cells(self) -> list[str]:
        """Returns the cells of a table: s, s, GiB, and the GPU's share if there is one."""
        cells = [f"{self.wall:,.1f}", f"{self.cpu:,.1f}", f"{self.memory / 2**30:.2f}"]
        return cells if self.gpu is None else [*cells, f"{self.gpu:.0%}"]


def mimsweep(folder: Path, *arguments: str) -> Usage:
    """Runs `mimsweep` with the code beside this file, in a folder; ends all if it fails."""
    data = Path(os.environ.get("MIMSWEEP_DATA_DIR", "data")).absolute()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MIMSWEEP_DATA_DIR": str(data)}
    command = [sys.executable, "-P", "-m", "mimsweep", *arguments]
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=sys.stderr)
    samples = _Samples(process.pid)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    samples.end()
    if process.returncode:
        raise SystemExit(f"mimsweep {' '.join(arguments)}: exit code {process.returncode}")
    return Usage(wall, used.ru_utime + used.ru_stime, samples.memory, samples.gpu)


class _Samples:
    """What a thread sees of a process and its children, now and then."""

    def __init__(self, pid: int) -> None:
        self.memory = 0
        self._busy: list[float] = []
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    @property
    def gpu(self) -> float | None:
        """The mean share of the time in which the GPUs were busy."""
        return sum(self._busy) / len(self._busy) if self._busy else None

    def end(self) -> None:
        """Ends the thread."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        gpus = True
        while not self._over.wait(SAMPLE_SECONDS):
            self.memory = max(self.memory, self._resident())
            gpus = gpus and self._ask_gpus()

    def _resident(self) -> int:
        total = 0
        try:
            for process in (self._process, *self._process.children(recursive=True)):
                total += process.memory_info().rss
        except psutil.NoSuchProcess:
            pass  # it has just ended: the next sample, or the last, has to do
        return total

    def _ask_gpus(self) -> bool:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            return False
        shares = [float(line) / 100 for line in told.stdout.split()]
        self._busy.append(sum(shares) / len(shares))
        return True
