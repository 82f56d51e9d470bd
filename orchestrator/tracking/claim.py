"""Which of several orchestrators has a sweep, and whether it still does. Knows no MLflow.

MLflow has no compare-and-swap, but on every store what one process has written the others then
read. So an orchestrator first writes its parent run, which ASKS for the sweep, then reads the
parents that are RUNNING, and HOLDS the sweep once it has read no other living one. Of two, the
one that wrote later reads the earlier: never do both hold it, whatever their clocks say. Who reads
one that holds it, or an elder that asks, gives way; who reads only younger ones waits for them to
do so. So one of all that start at once gets the sweep.

A holder renews its heartbeat, its lease, before any write that comes HEARTBEAT_SECONDS after the
last renewal. Where its process can't be seen, a heartbeat older than STALE_SECONDS means that it is
dead: the next to hold the sweep closes its parent. A holder that finds its parent closed has lost
the sweep, and writes nothing more. One that was stopped for so long that its lease ran out renews
it, then reads as one that asks does: another may have read the old heartbeat, but has written its
parent before that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from mimsweep.orchestrator.errors import RefusedError, TrackingError
from mimsweep.orchestrator.tracking.owner import (
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    STALE_SECONDS,
    Owner,
)
from mimsweep.orchestrator.tracking.runs import ASKS, CANCEL, CLAIM, HOLDS, Run, living_parents

_PAUSE = 0.2


class SweepBusyError(TrackingError):
    """Another living orchestrator runs this sweep: the request is refused, the store is fine."""

    exit_code = 2

    def __init__(self, what: str, owner: Owner) -> None:
        super().__init__(
            f"{what} is being run already, by {owner}: let it end, or stop it by `mimsweep cancel`"
        )
        self.owner = owner


class SweepLostError(RefusedError):
    """This orchestrator had the sweep, and has it no more: it must stop and write nothing."""


class Claim:
    """One orchestrator's claim on a sweep, by its parent run."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401
        sweep: str,
        parent: Run,
        running: Callable[[], Sequence[Run]],
    ) -> None:
        """Makes a claim that asks.

        Args:
            client: an `MlflowClient`.
            sweep: its name.
            parent: tagged ASKS, and with an owner.
            running: reads the parents of the sweep that are RUNNING.
        """
        self._client = client
        self._sweep = sweep
        self._parent = parent
        self._running = running
        self._renewed = time.time()
        self._lost: SweepLostError | None = None

    @property
    def _id(self) -> str:
        return str(self._parent.info.run_id)

    def get(self) -> None:
        """Waits until the sweep is ours, then closes the parents of the dead.

        Raises:
            SweepBusyError: another has it, or asked first.
            SweepLostError: the parent was closed meanwhile.
        """
        deadline = time.monotonic() + STALE_SECONDS / 2  # while our own lease lasts
        while True:
            running = self._running()
            if self._id not in {run.info.run_id for run in running}:
                raise self._lose("its parent run was closed or deleted")
            rivals = [pair for pair in living_parents(running) if pair[0].info.run_id != self._id]
            for run, owner in rivals:
                asks = run.data.tags.get(CLAIM) == ASKS
                if not asks or _age(run) < _age(self._parent) or time.monotonic() > deadline:
                    raise SweepBusyError(f"the sweep {self._sweep}", owner)
            if not rivals:
                break
            time.sleep(_PAUSE)
        for run in running:
            if run.info.run_id != self._id:
                self._client.set_terminated(run.info.run_id, "KILLED")
        self._client.set_tag(self._id, CLAIM, HOLDS)

    def renew(self) -> bool:
        """Says that the orchestrator lives; returns whether it was asked to stop.

        Raises:
            SweepLostError: the sweep isn't ours any more.
        """
        if self._lost:
            raise self._lost
        now = time.time()
        run = self._client.get_run(self._id)
        if run.info.status != "RUNNING" or run.info.lifecycle_stage != "active":
            raise self._lose(self._why_closed())
        self._client.set_tag(self._id, HEARTBEAT, f"{now:.3f}")
        if abs(now - self._renewed) > STALE_SECONDS:
            try:
                self.get()
            except SweepBusyError as error:
                raise self._lose(f"{error.owner} has it now") from None
        self._renewed = now
        return CANCEL in run.data.tags

    def check(self) -> None:
        """Renews the lease if that is due; raises as `renew` does."""
        if self._lost or abs(time.time() - self._renewed) >= HEARTBEAT_SECONDS:
            self.renew()

    def _why_closed(self) -> str:
        """Says why the parent is RUNNING no more."""
        try:
            others = [owner for _, owner in living_parents(self._running())]
        except RefusedError as error:
            return str(error)
        what = "closed or deleted" + "".join(f", {owner} has it now" for owner in others[:1])
        return f"its parent run was {what}"

    def _lose(self, why: str) -> SweepLostError:
        self._lost = SweepLostError(
            f"this process has lost the sweep {self._sweep} (last heartbeat "
            f"{time.time() - self._renewed:.0f} s ago): {why}; it stops, and stores nothing more"
        )
        return self._lost


def _age(run: Run) -> tuple[int, str]:
    return (run.info.start_time, run.info.run_id)
