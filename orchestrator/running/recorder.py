"""Writes what happens to runs to the tracking store, in order, off the training's path.

When the store fails, the call is made again until it succeeds; training goes on meanwhile. Results
are on disk (`orchestrator.running.spool`) until the store has them, so that an orchestrator that
dies during an outage loses none: the next one delivers them.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any, TypeVar

import yaml

from mimsweep.orchestrator.engines.base import EpochEnded, RunFailed, RunFinished
from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.running.spool import Result, Row, Spool
from mimsweep.orchestrator.tracking.owner import HEARTBEAT_SECONDS
from mimsweep.orchestrator.tracking.runs import PROFILE, SNAPSHOTS, WEIGHTS, Status
from mimsweep.orchestrator.tracking.writer import Tracking

T = TypeVar("T")

FLUSH_SECONDS = 10.0
"""How long epochs are gathered before they are stored; a call to MLflow has its price."""

SLOW_SECONDS = 10.0
"""How long a call to a store that works may take, at the end of an invocation."""

LONGEST_PAUSE = 10.0
"""Seconds between two tries of a call that fails."""


class Recorder:
    """One invocation's runs in the store.

    A single thread makes all calls to `tracking`, in the order in which they were asked for.

    Attributes:
        open: run_id of each run that was created here and has not ended, by run_key.
        outage: what the store said when it failed last; None while it works.
        labels: tags of runs to be created, by run_key, beside those that all have.
        cancelled: whether `mimsweep cancel` has asked, through the store, for everything to stop.
    """

    def __init__(
        self,
        tracking: Tracking,
        sweep: str,
        parent_id: str,
        tags: Mapping[str, str],
        spool: Spool,
    ) -> None:
        self.open: dict[str, str] = {}
        self.outage: TrackingError | None = None
        self.labels: dict[str, dict[str, str]] = {}
        self.cancelled = False
        self._tracking = tracking
        self._sweep = sweep
        self._parent_id = parent_id
        self._tags = tags
        self._spool = spool
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._calls: list[Future[Any]] = []
        self._give_up = threading.Event()
        self._epochs: dict[str, list[Row]] = {}
        self._stored: dict[str, int] = {}
        self._flushed = self._beaten = self._progress = time.monotonic()

    def deliver(self, complete: Collection[str]) -> list[str]:
        """Stores the results that an earlier orchestrator left in the spool.

        Args:
            complete: keys of runs that the store has; their results are dropped.

        Returns:
            the keys of the others, which need no training.
        """
        delivered = []
        for result in list(self._spool.results()):
            if result.run.run_key in complete:
                self._spool.remove(result.run.run_key)
                continue
            self.create([result.run])
            self._store(result, first=0)
            delivered.append(result.run.run_key)
        return delivered

    def forget(self, run_keys: Collection[str]) -> None:
        """Drops results of runs that an earlier orchestrator left in the spool."""
        for run_key in run_keys:
            self._spool.remove(run_key)

    def create(self, runs: Sequence[RunSpec]) -> Future[None]:
        """Creates runs, RUNNING, but those that are open already; done when they are stored."""

        def create() -> None:
            if self.outage:  # an earlier try may have created some of them
                self.open |= {
                    key: run_id
                    for key, run_id in self._tracking.children(self._sweep, self._parent_id).items()
                    if key in {run.run_key for run in runs}
                }
            new = [run for run in runs if run.run_key not in self.open]
            run_ids = self._tracking.create_runs(self._parent_id, new, self._tags, self.labels)
            self.open.update(zip((run.run_key for run in new), run_ids, strict=True))

        return self._call(create)

    def find(self, run_keys: Sequence[str]) -> Future[dict[str, tuple[str, dict[str, float]]]]:
        """Looks for complete runs of any sweep; see `Tracking.find_complete`."""
        return self._call(lambda: self._tracking.find_complete(run_keys))

    def note(self, tags: Mapping[str, str]) -> None:
        """Stores tags on the parent run."""
        self._call(lambda: self._tracking.log_summary(self._parent_id, tags, {}))

    def epoch(self, event: EpochEnded) -> None:
        """Stores an epoch's metrics, soon. One that was told before (by a lost worker) is not."""
        epochs = self._epochs.setdefault(event.run_key, [])
        if not epochs or event.epoch > epochs[-1][0]:
            epochs.append((event.epoch, event.metrics))

    def finish(self, run: RunSpec, event: RunFinished) -> None:
        """Stores the results of a run, then makes it complete."""
        epochs = self._epochs.pop(run.run_key, [])
        parts = (event.metrics, event.weights, event.snapshots, event.profile)
        result = Result(run, epochs, *parts)
        try:
            self._spool.put(result)
        except OSError as error:
            print(f"mimsweep: {run.run_name} is not spooled: {error}", file=sys.stderr)
        self._store(result, first=self._stored.pop(run.run_key, 0))

    def fail(self, run: RunSpec, event: RunFailed, details: str) -> None:
        """Stores that and why a run failed."""
        artifacts = {"spec.yaml": _spec_file(run)}
        if details:
            artifacts["traceback.txt"] = details.encode()
        self._end(run, lambda run_id: self._tracking.fail(run_id, event.reason, artifacts))

    def drop(self, run: RunSpec, reason: str) -> None:
        """Stores that a run was stopped, KILLED, and why; of one not created yet, nothing."""
        self._end(run, lambda run_id: self._tracking.kill([run_id], reason), may_be_new=True)

    def tick(self) -> None:
        """Does what is due by the clock; raises what a call has raised, other than outages."""
        now = time.monotonic()
        for call in [call for call in self._calls if call.done()]:
            self._calls.remove(call)
            call.result()
        if now - self._flushed >= FLUSH_SECONDS:
            self._flushed = now
            for run_key in list(self._epochs):
                self._flush(run_key)
        if now - self._beaten >= HEARTBEAT_SECONDS and not self.outage:
            self._beaten = now
            self._call(self._beat)

    def close(self, status: Status, counts: Mapping[str, float], patience: float) -> None:
        """Stores what is left, ends open runs as KILLED, then the parent run.

        Args:
            status: of the parent run.
            counts: metrics of the parent run.
            patience: seconds to wait, during an outage, for the store to take anything.

        Raises:
            TrackingError: it took nothing for longer; the spool keeps what it did not take.
        """
        for run_key in list(self._epochs):
            self._flush(run_key)

        def close() -> None:
            self._tracking.kill(list(self.open.values()))
            self._tracking.finish_sweep(self._parent_id, status, counts)

        closing = self._call(close)
        self._progress = time.monotonic()
        while not closing.done():
            # A store that works, but is slow, is left the time of its slowest call.
            limit = patience if self.outage else max(patience, SLOW_SECONDS)
            if time.monotonic() - self._progress >= limit:
                break
            wait_for([closing], 0.1)
        self._give_up.set()
        self._thread.shutdown(wait=True, cancel_futures=True)
        if closing.cancelled() or closing.exception():
            raise self.outage or TrackingError("the tracking store did not take all results")

    def _store(self, result: Result, first: int) -> None:
        """Stores a result whose run is open, but the epochs before index `first`."""
        key, at = result.run.run_key, _now()
        artifacts = {"spec.yaml": _spec_file(result.run), WEIGHTS: result.weights}
        if result.snapshots:
            artifacts[SNAPSHOTS] = result.snapshots
        if result.profile:
            artifacts[PROFILE] = json.dumps(result.profile).encode()

        def store() -> None:
            run_id = self.open[key]
            self._tracking.log_epochs(run_id, result.epochs[first:], at)
            self._tracking.finish(run_id, result.metrics, artifacts, at)
            del self.open[key]
            self._spool.remove(key)

        self._call(store)

    def _end(self, run: RunSpec, store: Callable[[str], None], may_be_new: bool = False) -> None:
        """Ends a run that has no results."""
        self._flush(run.run_key)
        self._epochs.pop(run.run_key, None)
        self._stored.pop(run.run_key, None)

        def end() -> None:
            if may_be_new and run.run_key not in self.open:
                return
            store(self.open[run.run_key])
            del self.open[run.run_key]

        self._call(end)

    def _beat(self) -> None:
        self.cancelled = self._tracking.heartbeat(self._parent_id)

    def _flush(self, run_key: str) -> None:
        epochs, first, at = self._epochs.get(run_key, []), self._stored.get(run_key, 0), _now()
        rows = epochs[first:]
        if rows:
            self._stored[run_key] = len(epochs)
            self._call(lambda: self._tracking.log_epochs(self.open[run_key], rows, at))

    def _call(self, function: Callable[[], T]) -> Future[T]:
        call = self._thread.submit(self._persist, function)
        self._calls.append(call)
        return call

    def _persist(self, function: Callable[[], T]) -> T:
        """Makes a call until it succeeds, or it is time to give up."""
        pause = 0.5
        while True:
            try:
                result = function()
            except TrackingError as error:
                self.outage = error
                if self._give_up.wait(pause):
                    raise
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self.outage = None
                self._progress = time.monotonic()
                return result


def _now() -> int:
    return round(time.time() * 1000)


def _spec_file(run: RunSpec) -> bytes:
    return yaml.safe_dump(run.model_dump(), sort_keys=False).encode()
