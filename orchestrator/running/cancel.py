"""Stops a sweep that is being run, from another process or another machine."""

import os
import signal
import sys
import time

from mimsweep.orchestrator.errors import SpecError, TrackingError
from mimsweep.orchestrator.tracking.owner import HEARTBEAT_SECONDS, STALE_SECONDS, Owner
from mimsweep.orchestrator.tracking.writer import Tracking

HERE_SECONDS = 15.0
"""How long an orchestrator of this machine may take to stop."""

TOLD_SECONDS = 5.0
"""How often it is told that it is waited for."""

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
            os.kill(owner.pid, signal.SIGCONT)  # else one that Ctrl-Z has stopped hears nothing
        except ProcessLookupError:
            return None  # it ended by itself
        except PermissionError as error:
            raise SpecError(
                f"{owner} runs {sweep} for another user: only they can stop it"
            ) from error
    else:
        tracking.cancel(sweep)
    told = time.monotonic()
    deadline = told + patience
    while (now := time.monotonic()) < deadline:
        time.sleep(0.3)
        if tracking.owner(sweep) is None:
            return str(owner)
        if now - told >= TOLD_SECONDS:
            told = now
            left = f"it is waited for, {deadline - now:.0f} s more at most"
            print(f"mimsweep: {owner} was asked to stop; {left}", file=sys.stderr)
    raise TrackingError(
        f"{sweep}: {owner} was asked to stop, but has not within {patience:.0f} s; {_more(owner)}"
    )


def _more(owner: Owner) -> str:
    """Says what may be done about an orchestrator that does not stop."""
    if owner.here:
        return f"`kill -KILL {owner.pid}` ends it, and the next start completes what is missing"
    last = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner.heartbeat))
    return (
        f"end it on {owner.host}; if it is dead, others may start {STALE_SECONDS:.0f} s after its "
        f"last heartbeat, which by its clock was at {last}"
    )
