"""How this process is told to stop, and that it does in time, whatever it waits for.

Ctrl-C, SIGTERM and SIGHUP (the terminal is gone) mean the same. The first raises KeyboardInterrupt
or, within `noted`, is noted; further ones change nothing. STOP_SECONDS after it the process ends as
it is: a thread sees to that, which the kernel wakes even while the main one is inside a library.

Of a process that isn't the program's own, as a notebook's, only the command ends: afterwards its
signals are as they were before, and a second signal raises KeyboardInterrupt whatever is closed.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130
"""Exit code of a command that was told to stop."""

STOP_SECONDS = 4.0
"""How long a process may take to end, once it is told to."""

STORE_SECONDS = 2.5
"""How much of that a store has that takes what it is given slowly, or not at all."""

AGAIN_SECONDS = 0.05
"""How soon a KeyboardInterrupt is raised again that came where Python ignores errors."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Hook = Callable[["sys.UnraisableHookArgs"], object]
_SHOW_CURSOR = "\x1b[?25h"


class Stop:
    """Whether this process was told to stop; there is one, as there is one set of signals.

    Attributes:
        asked: when, as `time.monotonic` has it; None: it was not.
        left: says, in a clause, what an end without further ado leaves to the next start.
        told: whether the main thread has said, or is about to, that the process was interrupted.
        ends_process: whether the process is the program's own, and ends with the command.
    """

    def __init__(self) -> None:
        """Nobody has asked."""
        self.asked: float | None = None
        self.left: Callable[[], str] = str
        self.told = False
        self.ends_process = False
        self._noting = False
        self._held = False
        self._late = False
        self._ignored = False

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Within it signals are heeded; once one has come, to the end of the program's process."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are the main thread's, which is somebody else's
            return
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
        woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by nohup
        numbers = SIGNALS[:2] if ignored else SIGNALS
        before = {number: signal.signal(number, self._hear) for number in numbers}
        hook, sys.unraisablehook = sys.unraisablehook, self._again_unless(sys.unraisablehook)
        try:
            yield
        finally:
            if self.asked is None or not self.ends_process:
                sys.unraisablehook = hook
                for number, handler in before.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(woken)
                os.close(writer)
                self.asked, self.told = None, False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Within it a signal is but noted in `asked`, so that all can be closed in order."""
        self._noting = True
        try:
            yield
        finally:
            self._noting, self.left = False, str

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it, in the main thread, KeyboardInterrupt waits for the end of the block."""
        self._held = threading.current_thread() is threading.main_thread()
        try:
            yield
        finally:
            self._held, late, self._late = False, self._late, False
        if late:
            raise KeyboardInterrupt

    def _hear(self, number: int, _: FrameType | None) -> None:
        first, self._ignored = self.asked is None or self._ignored, False
        if self.asked is None:
            self.asked = time.monotonic()
        if self._noting if first else self.ends_process:
            return
        if not self._held:
            raise KeyboardInterrupt
        self._late = True

    def _again_unless(self, others: Hook) -> Hook:
        """Returns a hook for errors that Python ignores, as in a `__del__`; `others` gets the rest.

        A KeyboardInterrupt that is raised there is raised again, soon, where it is heard.
        """

        def hook(found: "sys.UnraisableHookArgs") -> None:
            if found.exc_type is not KeyboardInterrupt:
                others(found)
                return
            self._ignored = True
            again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
            again.daemon = True
            again.start()

        return hook

    def _watch(self, reader: int) -> None:
        """Ends the process, some time after the first signal; returns when `reader` is closed."""
        with open(reader, "rb", buffering=0) as pipe:
            while number := pipe.read(1):
                if number[0] in SIGNALS and self.ends_process:
                    break
            else:
                return
            time.sleep(STOP_SECONDS)
            # In a thread of their own: standard error may take nothing.
            words = threading.Thread(target=self._tell, daemon=True)
            words.start()
            words.join(0.3)
            kill_children()
            os._exit(INTERRUPTED)

    def _tell(self) -> None:
        if not self.told:
            left = self.left()
            shown = _SHOW_CURSOR if os.isatty(2) else ""
            with suppress(OSError):
                os.write(2, f"{shown}mimsweep: {interrupted(left)}\n".encode())


def interrupted(left: str = "") -> str:
    """Returns what is said of a command that was told to stop, and of what it leaves."""
    return f"interrupted; {left}" if left else "interrupted"


@contextmanager
def deaf_children() -> Iterator[None]:
    """Within it processes are started that hear no signal to stop: this one ends them.

    A signal that another thread is given is heard here all the same: it waits until they are.
    """
    with STOP.held():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kill_children() -> None:
    """Kills all processes that this one has started, and theirs."""
    import psutil  # not for commands that end by themselves

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()


STOP = Stop()
