"""A worker process: trains the cohorts that come through a pipe, and streams events back.

Run as `python -m mimsweep.orchestrator.engines.worker FD`. Up the pipe it says first that it is
`Up`. Down the pipe come a `Place` first, then cohorts (number, runs), and, while one is in
training, commands to it. It ends when the other end is closed, so no worker outlives its
orchestrator by more than an epoch.
"""

import os
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

from mimsweep.orchestrator.engines.base import Command, Drop, Join, Place, Up
from mimsweep.orchestrator.engines.training import train


def main(fd: str) -> None:
    """Serves the pipe until it is closed."""
    pipe = Connection(int(fd))
    try:
        pipe.send(Up())
        place: Place = pipe.recv()
        while True:
            message = pipe.recv()
            if isinstance(message, Drop | Join):
                continue  # it came after the end of its cohort
            number, runs = message
            for event in train(number, runs, place, lambda: _commands(pipe)):
                pipe.send(event)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _commands(pipe: Connection) -> Iterator[Command]:
    while pipe.poll():
        yield pipe.recv()


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a thread that a user's code has started may never end
