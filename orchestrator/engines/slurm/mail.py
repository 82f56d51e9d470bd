"""Messages between processes that share a file system, and nothing else.

A log has one writer, which appends, and one reader, which opens it anew for each look: only then is
a network file system bound to show what has been written. That a file is there at all it may not
show for a minute; so whoever is to read a log makes it.
"""

import os
import pickle
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

_HEAD = Struct(">QI")
"""Before each message: its size in bytes, and its checksum."""


@dataclass(frozen=True)
class Up:
    """A worker is there, the first thing that it says."""


@dataclass(frozen=True)
class Left:
    """A worker was told to go, the last thing that it says.

    Attributes:
        reason: a clause.
        at_limit: whether its job's time is over, for all it knows.
    """

    reason: str
    at_limit: bool


@dataclass(frozen=True)
class Broken:
    """A worker can't train anything, the last thing that it says; `reason` is a sentence."""

    reason: str


class Log:
    """A log, to be appended to or to be read."""

    def __init__(self, path: Path) -> None:
        """Makes its file, if there is none and it can be made."""
        self.path = path
        self._end = 0
        with suppress(OSError):
            path.touch()

    def append(self, message: object) -> None:
        """Adds a message.

        Raises:
            FileNotFoundError: somebody has removed the file.
            OSError: it can't be written; the next message takes its place.
        """
        content = pickle.dumps(message)
        framed = _HEAD.pack(len(content), zlib.crc32(content)) + content
        with self.path.open("r+b") as file:
            file.seek(self._end)
            file.write(framed)
        self._end += len(framed)

    def read(self) -> list[object]:
        """Returns the messages that are new, as far as they are there in whole."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._end)
                content = file.read()
        except OSError:  # the network file system is away, or somebody has removed it
            return []
        messages, at = [], 0
        while len(content) - at > _HEAD.size:
            size, checksum = _HEAD.unpack_from(content, at)
            start = at + _HEAD.size
            part = content[start : start + size]
            if len(part) < size or zlib.crc32(part) != checksum or not size:
                break
            # Nobody else may write there.
            messages.append(pickle.loads(part))  # noqa: S301
            at = start + size
        self._end += at
        return messages


def silence(alive: Path, own: Path) -> float:
    """Returns for how many seconds a file was not touched, by the clock of its file system.

    Args:
        alive: the file.
        own: another one there, of this process, which is touched.

    Raises:
        FileNotFoundError: one of them is not there any more.
    """
    os.utime(own)
    with alive.open("rb") as file, own.open("rb") as mine:  # else times may be old ones
        return os.fstat(mine.fileno()).st_mtime - os.fstat(file.fileno()).st_mtime
