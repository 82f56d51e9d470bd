"""Calls to the tracking store: made in order by one thread, again and again until it takes them."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any, TypeVar

from mimsweep.orchestrator.errors import RefusedError, TrackingError
from mimsweep.orchestrator.stopping import STOP, STORE_SECONDS

T = TypeVar("T")

SLOW_SECONDS = 10.0
"""How long a call to a store that works may take, at the end of an invocation."""

FIRST_TOLD_SECONDS, TOLD_SECONDS = 5.0, 30.0
"""After how long it is told that the store is waited for, and how often again."""

LONGEST_PAUSE = 10.0
"""Seconds between two tries of a call that fails."""


class Calls:
    """The calls of one invocation.

    Attributes:
        outage: what the store said when it failed last; None while it works.
    """

    def __init__(self) -> None:
        self.outage: TrackingError | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._calls: list[Future[Any]] = []
        self._give_up = threading.Event()
        self._progress = time.monotonic()

    def add(self, function: Callable[[], T]) -> Future[T]:
        """Has a call made after those that were added before."""
        call = self._thread.submit(self._persist, function)
        self._calls.append(call)
        return call

    def check(self) -> None:
        """Raises what a call has raised: a mistake of ours, or the store's refusal."""
        for call in [call for call in self._calls if call.done()]:
            self._calls.remove(call)
            call.result()

    def close(
        self, last: Future[None], patience: float, tell: Callable[[str, float], None]
    ) -> None:
        """Waits for the last call.

        Args:
            last: from `add`.
            patience: seconds to wait, during an outage, for the store to take anything.
            tell: is told now and then what is waited for, and how many seconds at most.

        Raises:
            TrackingError: the store took nothing for longer, refused, or had no more time as this
                process was told to stop.
        """
        self._progress = told = time.monotonic()
        pause = FIRST_TOLD_SECONDS
        while not last.done() and (left := self._left(patience)) > 0:
            wait_for([last], 0.1)
            if time.monotonic() - told >= pause:
                told, pause = time.monotonic(), TOLD_SECONDS
                tell(str(self.outage or "the tracking store has not taken all yet"), left)
        self._give_up.set()
        self._thread.shutdown(wait=not STOP.asked, cancel_futures=True)
        if not last.done() or last.cancelled():
            raise self.outage or TrackingError("the tracking store did not take all in time")
        if error := last.exception():
            raise self.outage or error

    def _left(self, patience: float) -> float:
        """Returns for how many seconds more the store is waited for."""
        now = time.monotonic()
        if STOP.asked:
            return STOP.asked + STORE_SECONDS - now
        # A store that works, but is slow, is left the time of its slowest call.
        limit = patience if self.outage else max(patience, SLOW_SECONDS)
        return self._progress + limit - now

    def _persist(self, function: Callable[[], T]) -> T:
        """Makes a call until it succeeds, is refused, or it is time to give up."""
        pause = 0.5
        while True:
            try:
                result = function()
            except RefusedError:
                raise
            except TrackingError as error:
                self.outage = error
                if self._give_up.wait(pause):
                    raise
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self.outage = None
                self._progress = time.monotonic()
                return result
