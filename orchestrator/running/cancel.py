"""Stops a sweep that is being run, from another process or another machine."""

import os
import signal
import time

from mimsweep.orchestrator.errors import SpecError, TrackingError
from mimsweep.orchestrator.tracking.owner import HEARTBEAT_SECONDS
from mimsweep.orchestrator.tracking.writer import Tracking

HERE_SECONDS = 15.0
"""How long an orchestrator of this machine may take to stop."""

ELSEWHERE_SECONDS = 2 * HEARTBEAT_SECONDS
"""Likewise one that learns it from the store, with its next heartbeat."""


def cancel_sweep(tracking: Tracking, sweep: str) -> str | None:
    """Asks the living orchestrator of a sweep to stop, and waits until it has.

    Returns:
        the orchestrator that was stopped; None if none was running.

    Raises:
        SpecError: its process belongs to another user.
        TrackingError: it has not stopped in time.
    """
    owner = tracking.owner(sweep)
    if owner is None:
        return None
    patience = ELSEWHERE_SECONDS
    if owner.here:
        patience = HERE_SECONDS
        try:
            os.kill(owner.pid, signal.SIGTERM)
        except ProcessLookupError:
            return None  # it ended by itself
        except PermissionError as error:
            raise SpecError(
                f"{owner} runs {sweep} for another user: only they can stop it"
            ) from error
    else:
        tracking.cancel(sweep)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(0.3)
        if tracking.owner(sweep) is None:
            return str(owner)
    raise TrackingError(f"{sweep}: {owner} was asked to stop, but has not within {patience:.0f} s")
