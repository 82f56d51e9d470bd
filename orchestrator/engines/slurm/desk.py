"""Talks to Slurm without waiting for it: its commands may take a minute, or fail for a while."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TypeVar

from mimsweep.orchestrator.engines.slurm import commands, submission
from mimsweep.orchestrator.engines.slurm.commands import GONE, State
from mimsweep.orchestrator.engines.slurm.slots import Flags
from mimsweep.orchestrator.errors import TrainingError

MOST = 1000
"""Jobs in an array, at most; Slurm's own limit is 1,001 if nobody has said another."""

T = TypeVar("T")


@dataclass(frozen=True)
class Told:
    """What Slurm has told of all jobs.

    Attributes:
        asked: when it was asked, as `time.monotonic` has it.
        states: by job.
    """

    asked: float
    states: Mapping[str, State]


class Desk:
    """Submits jobs, asks how they are, and ends them, each in a thread.

    Attributes:
        refusal: why Slurm takes no job at present, in a sentence; "" if it does, or none is wanted.
        silence: why it says nothing of jobs at present, likewise.
        most: jobs that are submitted at once, fewer where more were refused.
    """

    def __init__(self, folder: Path, name: str, flags: Flags, ask: float, refused: float) -> None:
        """Does nothing yet.

        Args:
            folder: gets the scripts of jobs, and what they print.
            name: of the jobs.
            flags: of each job, from `slots.slurm_slots`.
            ask: seconds between two questions, or tries.
            refused: seconds for which Slurm may take no job.
        """
        self.refusal = self.silence = ""
        self.most, self._tried = MOST, 0
        self._folder = folder
        self._name = name
        self._flags = flags
        self._every = ask
        self._patience = refused
        self._refused_since = self._again = self._last_asked = 0.0
        self._submitted: Future[list[str]] | None = None
        self._asked: Future[dict[str, State]] | None = None
        self._ending: set[str] = set()

    @property
    def ready(self) -> bool:
        """Whether jobs may be submitted."""
        return self._submitted is None and time.monotonic() >= self._again

    def submit(self, calls: Sequence[Callable[[], None]]) -> None:
        """Submits a job for each call; `taken` says when Slurm has them."""
        self._tried = len(calls)
        self._submitted = _in_thread(
            lambda: submission.submit(calls, self._folder, self._name, self._flags)
        )

    def taken(self, needed: bool) -> list[str]:
        """Returns the ids of the jobs that were submitted, once.

        Args:
            needed: whether there are no others.

        Raises:
            TrainingError: they are needed, and Slurm has taken none for too long.
        """
        if self._submitted is None or not self._submitted.done():
            return []
        submitted, self._submitted = self._submitted, None
        now = time.monotonic()
        try:
            taken = submitted.result()
        except TrainingError as error:
            self._refused_since = self._refused_since if self.refusal else now
            self.refusal = str(error)
            self._again = now + self._every
            self.most = max(1, self._tried // 2)  # a user may have so many in the queue
            if needed and now - self._refused_since >= self._patience:
                raise
            return []
        self.refusal, self.most = "", MOST
        return taken

    def told(self, soon: bool) -> Told | None:
        """Returns how all jobs are, once for each time that Slurm was asked; asks it when due.

        Args:
            soon: whether something is expected to have changed.
        """
        told = None
        if self._asked and self._asked.done():
            asked, self._asked = self._asked, None
            error = asked.exception()
            self.silence = f"Slurm says nothing of its jobs: {error}" if error else ""
            if not error:
                told = Told(self._last_asked, asked.result())
                self._end_again(told)
        every = min(self._every, 5.0) if soon else self._every
        if not self._asked and time.monotonic() - self._last_asked >= every:
            self._last_asked = time.monotonic()
            self._asked = _in_thread(commands.states)
        return told

    def end(self, job: str) -> None:
        """Has a job ended, by asking for it again and again."""
        self._ending.add(job)
        _in_thread(lambda: commands.end({job}))

    def _end_again(self, told: Told) -> None:
        gone = State(GONE)
        self._ending = {job for job in self._ending if not told.states.get(job, gone).ended}
        if self._ending:
            ending = set(self._ending)
            _in_thread(lambda: commands.end(ending))

    def close(self, jobs: Collection[str]) -> None:
        """Ends jobs, those that are being submitted, and those that were to be ended, in time."""
        ids = {*jobs, *self._ending}
        if self._submitted:
            wait([self._submitted], timeout=1.0)
            if self._submitted.done() and not self._submitted.exception():
                ids.update(self._submitted.result())
        self._submitted, self._ending = None, set()
        commands.end(ids, commands.HURRIED_SECONDS)


def _in_thread(call: Callable[[], T]) -> Future[T]:
    """Calls in a thread, which the end of the process doesn't wait for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
