"""Cohorts in worker processes of this machine, one process per GPU or CPU core."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from mimsweep.orchestrator.engines.base import CohortEnded, CohortLost, Command, Event, Place, Up
from mimsweep.orchestrator.errors import SpecError, TrainingError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.gpus import Gpus, find_gpus

# glibc gives buffers this size back to the kernel at each free, and every operation of a training
# step would fault its pages in anew (a quarter of a step in a stack of ten).
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000"}
STARTS = 3
"""So many workers in a row that can't be started are one too many."""

LAST_LINES = 3
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class LocalEngine:
    """An engine (see `orchestrator.engines.base`) with one worker process for each slot.

    The first worker starts at once, as it takes seconds to load torch, the others as cohorts come;
    all stay. A worker that ends by itself is a lost slot: its log stays in the log folder. One that
    ends before it is up (torch can't be loaded, say) loses no cohort: another is started for that,
    but after STARTS of them in a row `events` raises.
    """

    def __init__(self, gpus: Sequence[str | None], place: Place, log_dir: Path) -> None:
        """Makes the slots.

        Args:
            gpus: of each slot, what `CUDA_VISIBLE_DEVICES` is to be for its worker, if anything.
            place: where cohorts train.
            log_dir: gets what workers print, a file each.
        """
        self._gpus = list(gpus)
        self._place = place
        self._log_dir = log_dir
        self._workers: dict[int, _Worker] = {}
        self._failed_starts = 0
        self._start(0)

    @property
    def slots(self) -> int:
        """The number of slots."""
        return len(self._gpus)

    @property
    def idle(self) -> int:
        """The number of free slots."""
        return len(self._gpus) - sum(w.cohort is not None for w in self._workers.values())

    @property
    def waiting(self) -> Mapping[int, str]:
        """None: workers are started at once."""
        return {}

    def submit(self, cohort: int, runs: Sequence[RunSpec]) -> None:
        """Starts to train a cohort in a free slot, in a worker that is there if one is."""
        started = [slot for slot, worker in self._workers.items() if worker.cohort is None]
        slot = next(iter(started or sorted(set(range(len(self._gpus))) - set(self._workers))))
        if slot not in self._workers:
            self._start(slot)
        self._workers[slot].submit(cohort, runs)

    def _start(self, slot: int) -> None:
        log = self._log_dir / f"worker-{slot}.log"
        self._workers[slot] = _Worker(self._gpus[slot], self._place, log)

    def events(self, timeout: float) -> list[Event]:
        """Returns what has happened, waiting up to `timeout` seconds for something to."""
        if not self._workers:
            time.sleep(timeout)
        by_pipe = {worker.pipe: slot for slot, worker in self._workers.items()}
        events: list[Event] = []
        for ready in wait(list(by_pipe), timeout):
            assert isinstance(ready, Connection)
            slot = by_pipe[ready]
            worker = self._workers[slot]
            was_up = worker.up
            events += worker.events()
            if worker.up and not was_up:
                self._failed_starts = 0
            if worker.dead:
                del self._workers[slot]
            if worker.failed:
                self._start_again(slot, worker)
        return events

    def _start_again(self, slot: int, failed: "_Worker") -> None:
        self._failed_starts += 1
        if self._failed_starts >= STARTS:
            raise TrainingError(f"no worker can be started: {failed.failed}; {failed.last_words()}")
        if failed.cohort is not None:
            self._start(slot)
            self._workers[slot].submit(failed.cohort, failed.runs)

    def command(self, cohort: int, command: Command) -> None:
        """Tells a cohort in training to drop runs or let some join."""
        for worker in self._workers.values():
            if worker.cohort == cohort:
                worker.send(command)

    def cancel(self, cohort: int, reason: str) -> None:
        """Kills the worker that trains a cohort; `CohortLost` comes with `reason`."""
        for worker in self._workers.values():
            if worker.cohort == cohort:
                worker.kill(reason)

    def close(self) -> None:
        """Kills all workers."""
        for worker in self._workers.values():
            worker.kill("closed")
            worker.end()
        self._workers.clear()


class _Worker:
    """One worker process, and this end of its pipe.

    Attributes:
        cohort: that it trains, of these runs.
        up: whether all that it imports was there.
        dead: whether it has ended.
        failed: why it ended, if it did by itself before it was up.
    """

    def __init__(self, gpu: str | None, place: Place, log: Path) -> None:
        self.cohort: int | None = None
        self.runs: Sequence[RunSpec] = ()
        self.up = self.dead = False
        self.failed = ""
        self._reason: str | None = None
        self._log = log
        ours, theirs = socket.socketpair()
        environment = {**os.environ, **KEEP_MEMORY, **ONE_THREAD}
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        log.parent.mkdir(parents=True, exist_ok=True)
        # -P: a folder `models` where the user happens to be is not ours. -u: what a user's code
        # prints is in the log when the worker is killed.
        command = [sys.executable, "-P", "-u", "-m", "mimsweep.orchestrator.engines.worker"]
        with theirs, log.open("ab") as output:
            self._log_start = output.tell()
            # A session of its own: Ctrl-C in the terminal is the orchestrator's to handle.
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.pipe = Connection(ours.detach())
        self.send(place)

    def submit(self, cohort: int, runs: Sequence[RunSpec]) -> None:
        self.cohort, self.runs = cohort, runs
        self.send((cohort, list(runs)))

    def send(self, message: object) -> None:
        # A worker that has just died is noticed by `events`.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(message)

    def events(self) -> list[Event]:
        """Returns what is in the pipe; at its end, that the worker is dead."""
        events: list[Event] = []
        try:
            while self.pipe.poll():
                event: Event | Up = self.pipe.recv()
                if isinstance(event, Up):
                    self.up = True
                    continue
                events.append(event)
                if isinstance(event, CohortEnded | CohortLost):
                    self.cohort = None
        except (EOFError, OSError):  # OSError: reset, or killed in the middle of a message
            reason = self.end()
            if self.cohort is not None and not self.failed:
                events.append(CohortLost(self.cohort, reason, f"see {self._log}"))
        return events

    def kill(self, reason: str) -> None:
        """Kills the process; `events` then says that it is dead, and why."""
        self._reason = reason
        self._process.kill()

    def end(self) -> str:
        """Waits for the process, which has closed its pipe or was killed; returns why it ended."""
        self.dead = True
        self.pipe.close()
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._reason:
            return self._reason
        if code < 0:
            reason = f"the worker process was killed by {signal.Signals(-code).name}"
        else:
            reason = f"the worker process ended with exit code {code}"
        if not self.up and code != -signal.SIGKILL:  # that comes from outside
            self.failed = reason
        return reason

    def last_words(self) -> str:
        """Returns the last lines that it printed, and where they are."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").split("\n")
        last = [line.rstrip() for line in lines if line.strip()][-LAST_LINES:]
        return "\n  ".join([f"{self._log} ends with:", *last]) if last else "it printed nothing"


def local_slots(device: str, workers: int | None) -> tuple[str, list[str | None]]:
    """Returns the kind of device, "cpu" or "cuda", and the GPU of each slot (None on a CPU).

    Args:
        device: "cpu", "cuda", or "auto": GPUs if there are any.
        workers: number of slots; None: one per GPU, else one per core. On several GPUs the slots
            take turns.

    Raises:
        SpecError: "cuda" is wanted and no GPU is visible.
    """
    found = find_gpus() if device != "cpu" else Gpus([])
    if device == "cuda" and not found.names:
        raise SpecError(f"--device cuda: no GPU is visible: {found.why}")
    if gpus := found.names:
        return "cuda", [gpus[slot % len(gpus)] for slot in range(workers or len(gpus))]
    return "cpu", [None] * (workers or len(os.sched_getaffinity(0)))
