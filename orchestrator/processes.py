"""Processes that help a command: as many as it has tasks for, and gone when it ends."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from mimsweep.orchestrator.errors import MimsweepError
from mimsweep.orchestrator.stopping import deaf_children


class Processes(ProcessPoolExecutor):
    """A pool whose processes hear no signals: an error, or Ctrl-C, kills them at once."""

    def __init__(self, count: int, prepare: Callable[[], None]) -> None:
        """Makes a pool of at most `count` processes; each calls `prepare` as it starts."""
        super().__init__(count, multiprocessing.get_context("spawn"), prepare)

    def submit(self, /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        """Has a function called in a process, which may be started for it."""
        with deaf_children(), _without_main():
            return super().submit(*args, **kwargs)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Waits for what was submitted, unless the command failed meanwhile.

        Raises:
            MimsweepError: it failed because one of the processes has ended by itself.
        """
        if kind is not None:
            for process in multiprocessing.active_children():
                process.kill()
        self.shutdown(cancel_futures=kind is not None)
        if kind is BrokenProcessPool:
            raise MimsweepError(
                "a process of this command was killed, or could not be started; if the machine ran "
                "out of memory, give the command fewer files"
            ) from None


@contextmanager
def _without_main() -> Iterator[None]:
    """Within it processes are started that don't import what this one was started as.

    Nothing of ours is there. A user's script would be run again, in each of them.
    """
    before = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = before
