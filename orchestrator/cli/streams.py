"""Standard output and standard error that may be full, closed, or read by nobody any more."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from mimsweep.orchestrator.errors import SpecError


@contextmanager
def guarded() -> Iterator[None]:
    """Within it what can't be printed ends the command if it is output, and else nothing.

    Raises:
        SpecError: standard output can't be written; on a broken pipe the process exits quietly.
    """
    _fill_closed()
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, _Stream(sys.stdout, _end))
    sys.stderr = cast(TextIO, _Stream(sys.stderr, lambda _: None))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Stream:
    """A stream that goes nowhere from the first error on, which `fail` is told each time."""

    def __init__(self, stream: TextIO, fail: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._fail = fail
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            self._error = error
            with suppress(OSError):  # what is still in its buffer would fail again at the exit
                _open_null(os.O_WRONLY, self._stream.fileno())
        if self._error:  # again, as click passes over errors when it looks at a stream
            self._fail(self._error)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)


def _end(error: OSError) -> None:
    if error.errno == errno.EPIPE:
        sys.exit(1)  # `| head` has what it wants
    raise SpecError(f"standard output can't be written: {error.strerror}") from None


def _fill_closed() -> None:
    """Opens what was closed as the process started: else a store's file would be taken for it.

    What is written there fails, as it should.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _open_null(os.O_RDONLY, number)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _open_null(mode: int, number: int) -> None:
    null = os.open(os.devnull, mode)
    if null != number:
        os.dup2(null, number)
        os.close(null)
