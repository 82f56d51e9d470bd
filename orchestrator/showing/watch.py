"""Sweeps that are being run, looked at again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from mimsweep.orchestrator.files.sweep import Sweep
from mimsweep.orchestrator.showing.listing import open_list

PAUSE = 5.0
"""Seconds between two looks at the store, at least."""

SHARE = 5.0
"""How many times as long as drawing took it rests at least: trainers need the machine."""


def as_they_grow(sweeps: Sequence[Sweep], uri: str) -> Iterator[list[Sweep]]:
    """Yields those of which more runs are complete than before, until no run is to be waited for.

    That is when each is complete or has failed.

    Args:
        sweeps: to be looked at; none need have runs yet.
        uri: of their store, which need not be there yet.

    Raises:
        TrackingError: it can't be read.
    """
    known = [0] * len(sweeps)
    while True:
        store = open_list(uri)
        counts, over = [], True
        for sweep in sweeps:
            states = store.statuses(sweep.name)
            done = {key for key, state in states.items() if state.status == "FINISHED"}
            ended = done | {key for key, state in states.items() if state.status == "FAILED"}
            counts.append(sum(run.key_among(done) in done for run in sweep.runs))
            over &= all(run.key_among(ended) in ended for run in sweep.runs)
        grown = [s for s, now, old in zip(sweeps, counts, known, strict=True) if now > old]
        started = time.monotonic()
        if grown:
            yield grown
        known = counts
        if over:
            return
        time.sleep(max(PAUSE, SHARE * (time.monotonic() - started)))
