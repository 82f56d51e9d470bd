"""Who runs a sweep, and whether they still do: what a parent run's tags say about its process."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

HEARTBEAT = "mimsweep.heartbeat"
HEARTBEAT_SECONDS = 30.0
STALE_SECONDS = 120.0

_HOST, _PID, _STARTED = "mimsweep.host", "mimsweep.pid", "mimsweep.pid_started"
_MACHINE, _TICKS = "mimsweep.machine", "mimsweep.pid_ticks"
# psutil derives a start from the boot time, which moves as the clock is set.
_START_TOLERANCE = 2.0


@dataclass(frozen=True)
class Owner:
    """A process that runs a sweep.

    Attributes:
        host: Its host's name.
        pid: Its process id on that host.
        started: When the process started, seconds since the epoch. Tells it from a later process
            that was given the same pid.
        heartbeat: When it last said that it lives, seconds since the epoch.
        machine: Its `this_machine`; empty if it is of a version that didn't say.
        ticks: When it started, by a clock that nobody sets; None if that isn't known.
    """

    host: str
    pid: int
    started: float
    heartbeat: float
    machine: str = ""
    ticks: int | None = None

    @classmethod
    def this_process(cls) -> Owner:
        """The calling process, its heart beating now."""
        pid = os.getpid()
        started = psutil.Process(pid).create_time()
        now = time.time()
        return cls(socket.gethostname(), pid, started, now, this_machine(), _ticks(pid))

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Owner | None:
        """The owner that a parent run's tags name; None if they name none that there can be."""
        try:
            times = float(tags[_STARTED]), float(tags[HEARTBEAT])
            for each in times:
                time.localtime(each)  # raises of what is no time
            ticks = int(tags[_TICKS]) if _TICKS in tags else None
            owner = cls(tags[_HOST], int(tags[_PID]), *times, tags.get(_MACHINE, ""), ticks)
        except (KeyError, ValueError, OverflowError, OSError):
            return None
        return owner if owner.pid > 0 else None

    def tags(self) -> dict[str, str]:
        """What `from_tags` reads."""
        return {
            _HOST: self.host,
            _PID: str(self.pid),
            _STARTED: f"{self.started:.3f}",
            HEARTBEAT: f"{self.heartbeat:.3f}",
            _MACHINE: self.machine,
            **({} if self.ticks is None else {_TICKS: str(self.ticks)}),
        }

    @property
    def here(self) -> bool:
        """Whether its pid means the same process to us as to itself."""
        if self.host != socket.gethostname():
            return False
        return self.machine == this_machine() or (not self.machine and self._runs() is True)

    def alive(self) -> bool:
        """Whether the process still runs: seen if it can be, else by its heartbeat."""
        seen = self._runs() if self.here else None
        return time.time() - self.heartbeat <= STALE_SECONDS if seen is None else seen

    def _runs(self) -> bool | None:
        """Returns whether the process is one of this machine; None if that is hidden from us."""
        try:
            process = psutil.Process(self.pid)
            # A killed process stays as a zombie until its parent asks for it.
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if self.ticks is not None:
                return _ticks(self.pid) == self.ticks
            return abs(process.create_time() - self.started) <= _START_TOLERANCE
        except psutil.NoSuchProcess:
            return None if _hidden(self.pid) else False

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started))
        return f"process {self.pid} on {self.host}, started {since}"


def _hidden(pid: int) -> bool:
    """Returns whether there is a process that /proc doesn't show us (`hidepid`): another user's."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return False  # it is ours, and has just gone


def _ticks(pid: int) -> int | None:
    """When a process started, in ticks since the boot; None where the kernel doesn't say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])  # its name, in brackets, may have spaces


def this_machine() -> str:
    """Where a pid means one process: this boot of the kernel, and our PID namespace.

    Containers of one host may share its name, and its boot, but not that.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return sys.platform  # there are no namespaces: the host's name tells it from others
