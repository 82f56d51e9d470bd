"""The far side of the Ray engine: what trains on a node. It knows no Ray, which calls it."""

import importlib
import socket
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field

from mimsweep.orchestrator.engines.base import CohortEnded, CohortLost, Command, Event, Place
from mimsweep.orchestrator.files.spec import RunSpec

GATHER_SECONDS = 0.1
"""How long an actor gathers events before it sends them."""


@dataclass
class Actor:
    """Trains cohorts on a node of the cluster; each of its methods is called in its own thread."""

    place: Place
    _events: list[Event] = field(default_factory=list)
    _commands: list[tuple[int, Command]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def node(self) -> str:
        """Returns the name of the node; that it does says that the actor is up.

        Raises:
            ImportError: it will never be: torch, or the same mimsweep, can't be loaded there.
        """
        importlib.import_module("mimsweep.orchestrator.engines.training")
        return socket.gethostname()

    def train(self, number: int, runs: Sequence[RunSpec]) -> None:
        """Trains a cohort; `events` tells what happens."""
        try:
            from mimsweep.orchestrator.engines.training import train  # torch, only for who trains

            for event in train(number, runs, self.place, lambda: self._take_commands(number)):
                self._tell(event)
        except Exception as error:  # the import: not the same mimsweep is installed here
            reason = f"{type(error).__name__}: {error}"
            self._tell(CohortLost(number, reason, traceback.format_exc()))

    def events(self) -> list[Event]:
        """Waits for events, and returns them."""
        with self._changed:
            self._changed.wait_for(lambda: self._events)
            # A message has its price: gather some, unless it is the end that is waited for.
            self._changed.wait_for(
                lambda: isinstance(self._events[-1], CohortEnded | CohortLost), GATHER_SECONDS
            )
            events, self._events = self._events, []
        return events

    def command(self, number: int, command: Command) -> None:
        """Tells a cohort in training to drop runs or let some join."""
        with self._changed:
            self._commands.append((number, command))

    def _tell(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def _take_commands(self, number: int) -> list[Command]:
        with self._changed:
            taken, self._commands = self._commands, []
        return [command for cohort, command in taken if cohort == number]
