"""Cohorts in this process, for debugging: breakpoints stop, tracebacks are printed."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout

from mimsweep.orchestrator.engines.base import CohortEnded, CohortLost, Command, Event, Place
from mimsweep.orchestrator.errors import TrainingError
from mimsweep.orchestrator.files.spec import RunSpec


class InlineEngine:
    """An engine (see `orchestrator.engines.base`) of one slot that trains while `events` is called.

    A crash of torch is a crash of the orchestrator, and a cohort that hangs can't be cancelled.
    """

    def __init__(self, place: Place) -> None:
        """Makes the slot; `place` is where cohorts train."""
        self._place = place
        self._cohort: int | None = None
        self._training: Iterator[Event] = iter(())
        self._commands: list[Command] = []
        self._lost: list[Event] = []

    @property
    def slots(self) -> int:
        """The number of slots."""
        return 1

    @property
    def idle(self) -> int:
        """The number of free slots."""
        return int(self._cohort is None)

    @property
    def waiting(self) -> Mapping[int, str]:
        """None: a slot is free when its worker is there."""
        return {}

    def submit(self, cohort: int, runs: Sequence[RunSpec]) -> None:
        """Starts to train a cohort; it goes on in `events`."""
        try:  # torch, only for who trains here
            from mimsweep.orchestrator.engines.training import train
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise TrainingError(f"torch, and what trains, can't be loaded: {reason}") from error

        assert self._cohort is None
        self._cohort = cohort
        self._commands = []
        self._training = train(cohort, runs, self._place, self._take_commands)

    def events(self, timeout: float) -> list[Event]:
        """Trains for about `timeout` seconds, to the next event at least; returns the events."""
        events, self._lost = self._lost, []
        if self._cohort is None:
            if not events:
                time.sleep(timeout)
            return events
        deadline = time.monotonic() + timeout
        # What a user's code prints must not be taken for ours: JSON, for one.
        with redirect_stdout(sys.stdout if sys.stdout.isatty() else sys.stderr):
            for event in self._training:
                events.append(event)
                if isinstance(event, CohortEnded | CohortLost):
                    self._end()
                if isinstance(event, CohortLost):
                    print(event.details, file=sys.stderr)
                if time.monotonic() >= deadline:
                    break
        return events

    def command(self, cohort: int, command: Command) -> None:
        """Tells the cohort in training to drop runs or let some join."""
        if cohort == self._cohort:
            self._commands.append(command)

    def cancel(self, cohort: int, reason: str) -> None:
        """Leaves the cohort in training where it is; `CohortLost` comes with `reason`."""
        if cohort == self._cohort:
            self._end()
            self._lost.append(CohortLost(cohort, reason, ""))

    def close(self) -> None:
        """Leaves the cohort in training where it is."""
        self._end()

    def _end(self) -> None:
        self._cohort = None
        self._training = iter(())

    def _take_commands(self) -> list[Command]:
        taken, self._commands = self._commands, []
        return taken
