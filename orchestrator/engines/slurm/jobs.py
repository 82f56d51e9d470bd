"""A job as the orchestrator sees it: the near end of the messages of its worker."""

import time
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, cast

from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    EpochEnded,
    Event,
    RunFailed,
    RunFinished,
)
from mimsweep.orchestrator.engines.slurm.commands import BY_OTHERS, BY_SLURM, State
from mimsweep.orchestrator.engines.slurm.mail import Broken, Left, Log, Up
from mimsweep.orchestrator.engines.slurm.worker import events_of, words_of


class Job:
    """A job of Slurm's, or what is left of it.

    Attributes:
        id: Slurm's, of an element of an array `12_0`.
        state: as Slurm told it last.
        worker: whether it is there already, is there, or has left.
        broken: why it can't train, if it has said so.
        cohort: that it trains.
        used: when it last had something to do, as `time.monotonic` has it.
        asked: when it was asked for, likewise.
    """

    def __init__(self, name: str, box: Path, log: Path, farthest: MutableMapping[str, int]) -> None:
        """`farthest` has of each run the last epoch that was told, by any job."""
        self.id = name
        self.state = State("PENDING")
        self.worker: Literal["expected", "there", "gone"] = "expected"
        self.broken = ""
        self.cohort: int | None = None
        self.used = self.asked = time.monotonic()
        self._box = box
        self._log = log
        self._orders = Log(box / "orders")
        self._words = Log(words_of(box, 0))
        self._events: Log | None = None
        self._farthest = farthest
        self._came_farther = False
        self._cohorts = 0

    @property
    def free(self) -> bool:
        """Whether it waits for a cohort."""
        return self.worker == "there" and self.cohort is None

    def train(self, cohort: int, orders: Sequence[object]) -> None:
        """Has its worker train a cohort; the first of its orders are the runs.

        Raises:
            OSError: messages can't be written; it trains none.
        """
        events = Log(events_of(self._box, cohort))
        for what in orders:
            self._orders.append((self.state.starts, cohort, what))
        self.cohort, self._events, self._came_farther = cohort, events, False
        self._cohorts += 1

    def order(self, what: object) -> None:
        """Tells its worker something of its cohort.

        Raises:
            OSError: it can't be written.
        """
        self._orders.append((self.state.starts, self.cohort, what))

    def hear(self) -> list[Event]:
        """Returns what has happened to its cohort since the last call."""
        words = self._words.read()  # first: the last of them comes after all events
        events: list[Event] = []
        if Up() in words:
            self.worker = "there"
            self.used = time.monotonic()
        for message in self._events.read() if self._events else ():
            events += cast("list[Event]", message)
        for event in events:
            self._note(event)
        for word in words:
            if isinstance(word, Left):
                self.worker = "gone"
                excused = not word.at_limit or not self._fruitless
                reason = f"the worker of Slurm job {self.id} has left: {word.reason}"
                events += self.lose(reason, excused)
            elif isinstance(word, Broken):
                self.worker, self.broken = "gone", word.reason
                events += self.lose(word.reason, excused=True)
        return events

    @property
    def _fruitless(self) -> bool:
        """Whether its cohort has had the whole time of this job, and came no farther in it."""
        return self._cohorts == 1 and not self._came_farther

    def _note(self, event: Event) -> None:
        if isinstance(event, CohortEnded | CohortLost):
            self._leave()
        elif isinstance(event, RunFinished | RunFailed):
            self._came_farther = True
        elif isinstance(event, EpochEnded) and event.epoch > self._farthest.get(event.run_key, 0):
            self._farthest[event.run_key] = event.epoch
            self._came_farther = True

    def _leave(self) -> None:
        if self._events:
            with suppress(OSError):
                self._events.path.unlink()
        self.cohort = self._events = None
        self.used = time.monotonic()

    def learn(self, state: State) -> list[Event]:
        """Takes note of how the job is, and returns what that does to its cohort."""
        events: list[Event] = []
        if state.starts > self.state.starts:
            events += self.hear()
            events += self.lose(f"Slurm has put job {self.id} back into the queue", excused=True)
            self.worker, self._cohorts = "expected", 0
            self._words = Log(words_of(self._box, state.starts))
        self.state = state
        if state.ended:
            events += self.hear()
            # What people end again and again before it comes any farther will never be trained.
            excused = state.name in BY_SLURM or (state.name in BY_OTHERS and not self._fruitless)
            too_large = state.name == "OUT_OF_MEMORY"
            reason = f"Slurm job {self.id} has ended, {state.shown}"
            events += self.lose(reason, excused, too_large)
        return events

    def lose(self, reason: str, excused: bool, too_large: bool = False) -> list[Event]:
        """Returns that its cohort is lost, if it has one."""
        if self.cohort is None:
            return []
        lost = CohortLost(self.cohort, reason, f"see {self._log}", too_large, excused)
        self._leave()
        return [lost]

    def last_words(self, lines: int = 3) -> str:
        """Returns the last lines that it printed, and where they are."""
        try:
            text = self._log.read_text(errors="replace")
        except OSError:
            return f"{self._log} can't be read: are this folder's files seen on all nodes?"
        last = [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
        return "\n  ".join([f"{self._log} ends with:", *last]) if last else f"{self._log} is empty"
