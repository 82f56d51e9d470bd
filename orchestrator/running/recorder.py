"""Writes what happens to runs to the tracking store, in order, off the training's path.

When the store fails, the call is made again until it succeeds; training goes on meanwhile. Results
are on disk (`orchestrator.running.spool`) until the store has them, so that an orchestrator that
dies during an outage loses none: the next one delivers them. What the store refuses for good is not
asked again: of a run (a user has deleted it) that run is forgotten, of all else it is raised.
"""

import json
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future

import yaml

from mimsweep.orchestrator.engines.base import EpochEnded, RunFailed, RunFinished
from mimsweep.orchestrator.errors import RefusedError, TrackingError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.running.calls import Calls
from mimsweep.orchestrator.running.progress import duration
from mimsweep.orchestrator.running.spool import Result, Row, Spool
from mimsweep.orchestrator.stopping import STOP
from mimsweep.orchestrator.tracking.owner import HEARTBEAT_SECONDS
from mimsweep.orchestrator.tracking.runs import PROFILE, SNAPSHOTS, WEIGHTS, Status
from mimsweep.orchestrator.tracking.writer import Tracking

FLUSH_SECONDS = 10.0
"""How long epochs are gathered before they are stored; a call to MLflow has its price."""


class Recorder:
    """One invocation's runs in the store.

    A single thread makes all calls to `tracking`, in the order in which they were asked for.

    Attributes:
        open: run_id of each run that was created here and has not ended, by run_key.
        unstored: the runs whose results the store refuses, with the reason; the spool keeps them.
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
        self.unstored: dict[RunSpec, str] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.cancelled = False
        self._tracking = tracking
        self._sweep = sweep
        self._parent_id = parent_id
        self._tags = tags
        self._spool = spool
        self._calls = Calls()
        self._epochs: dict[str, list[Row]] = {}
        self._stored: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._hurried = False
        self._flushed = self._beaten = time.monotonic()

    @property
    def outage(self) -> TrackingError | None:
        """What the store said when it failed last; None while it works."""
        return self._calls.outage

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
        """Creates runs, RUNNING, but those that are open already or were refused.

        Returns:
            what is done when they are stored.
        """

        def create() -> None:
            if self.outage:  # an earlier try may have created some of them
                self.open |= {
                    key: run_id
                    for key, run_id in self._tracking.children(self._sweep, self._parent_id).items()
                    if key in {run.run_key for run in runs}
                }
            known = {*self.open, *self._refused}
            new = [run for run in runs if run.run_key not in known]
            run_ids = self._tracking.create_runs(self._parent_id, new, self._tags, self.labels)
            self.open.update(zip((run.run_key for run in new), run_ids, strict=True))

        return self._calls.add(create)

    def find(self, codes: Mapping[str, str]) -> Future[dict[str, tuple[str, dict[str, float]]]]:
        """Looks for complete runs of any sweep, by run_key: their run_ids and metrics.

        Args:
            codes: by run_key, the users' code that it must have been trained with.
        """
        return self._calls.add(lambda: self._tracking.find_complete(codes))

    def note(self, tags: Mapping[str, str]) -> None:
        """Stores tags on the parent run."""
        self._calls.add(lambda: self._tracking.log_summary(self._parent_id, tags, {}))

    def also(self, call: Callable[[Tracking, str], None]) -> None:
        """Makes a call on the parent run, when it is its turn."""
        self._calls.add(lambda: call(self._tracking, self._parent_id))

    def epoch(self, event: EpochEnded) -> None:
        """Stores an epoch's metrics, soon. One that was told before (by a lost worker) is not."""
        epochs = self._epochs.setdefault(event.run_key, [])
        if not epochs or event.epoch > epochs[-1][0]:
            epochs.append((event.epoch, event.metrics))

    def finish(self, run: RunSpec, event: RunFinished) -> None:
        """Stores the results of a run, then makes it complete."""
        epochs = self._epochs.pop(run.run_key, [])
        parts = (event.metrics, event.weights, event.snapshots, event.profile)
        result = Result(run, epochs, *parts, event.processor, event.code)
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
        """Does what is due by the clock; raises what a call has raised, other than outages.

        Raises:
            RefusedError: the store refuses what isn't about one run: all that comes is in vain.
        """
        now = time.monotonic()
        self._calls.check()
        if now - self._flushed >= FLUSH_SECONDS:
            self._flushed = now
            for run_key in list(self._epochs):
                self._flush(run_key)
        if now - self._beaten >= HEARTBEAT_SECONDS and not self.outage:
            self._beaten = now
            self._calls.add(self._beat)

    def close(self, status: Status, counts: Mapping[str, float], patience: float) -> None:
        """Stores what is left, ends open runs as KILLED, then the parent run.

        Args:
            status: of the parent run.
            counts: metrics of the parent run.
            patience: seconds to wait, during an outage, for the store to take anything.

        Raises:
            TrackingError: it took nothing for longer, or refused; the spool keeps what it did not
                take.
        """
        self._hurried = STOP.asked is not None
        for run_key in list(self._epochs):
            self._flush(run_key)

        def close() -> None:
            for run_key in list(self.open):
                self._about(run_key, lambda run_id: self._tracking.kill([run_id]))
            complete = counts.get("runs_complete", 0) - len(self.unstored)
            end = {**counts, "runs_complete": complete} if self.unstored else counts
            worse: Status = "FAILED" if self.unstored and status == "FINISHED" else status
            self._tracking.finish_sweep(self._parent_id, worse, end)

        def tell(why: str, seconds: float) -> None:
            print(
                f"mimsweep: {self.left()}: {why}; it is tried for {duration(seconds)} more, and "
                "Ctrl-C leaves the rest to the next start",
                file=sys.stderr,
            )

        self._calls.close(self._calls.add(close), patience, tell)

    def left(self) -> str:
        """Says how many results wait on disk, for the next start, and what is left open."""
        waiting = self._spool.count()
        results = f"{waiting} results wait" if waiting != 1 else "1 result waits"
        return f"{results} on disk for the store" if waiting else "the store may show runs RUNNING"

    def _store(self, result: Result, first: int) -> None:
        """Stores a result whose run is open, but the epochs before index `first`."""
        key, at = result.run.run_key, _now()
        artifacts = {"spec.yaml": _spec_file(result.run), WEIGHTS: result.weights}
        if result.snapshots:
            artifacts[SNAPSHOTS] = result.snapshots
        if result.profile:
            artifacts[PROFILE] = json.dumps(result.profile).encode()

        def store(run_id: str) -> None:
            self._tracking.log_epochs(run_id, result.epochs[first:], at)
            self._tracking.finish(run_id, result.metrics, artifacts, at, result.tags)
            del self.open[key]
            self._spool.remove(key)

        def store_or_keep() -> None:
            if not self._about(key, store):
                self.unstored[result.run] = f"its result is on disk, but {self._refused[key]}"

        self._calls.add(store_or_keep)

    def _end(self, run: RunSpec, store: Callable[[str], None], may_be_new: bool = False) -> None:
        """Ends a run that has no results."""
        self._flush(run.run_key)
        self._epochs.pop(run.run_key, None)
        self._stored.pop(run.run_key, None)

        def store_and_forget(run_id: str) -> None:
            store(run_id)
            del self.open[run.run_key]

        def end() -> None:
            if not may_be_new or run.run_key in self.open:
                self._about(run.run_key, store_and_forget)

        self._calls.add(end)

    def _about(self, run_key: str, store: Callable[[str], None]) -> bool:
        """Makes a call about an open run; returns whether the store took it.

        A run that it refuses (it was deleted, say) is told once, and forgotten.

        Raises:
            RefusedError: it refuses the invocation itself.
        """
        if run_key in self._refused:
            return False
        try:
            store(self.open[run_key])
        except RefusedError as error:
            self._beat()  # raises if all of the invocation was deleted
            run_id = self.open.pop(run_key)
            self._refused[run_key] = str(error)
            print(f"mimsweep: MLflow's run {run_id} is forgotten: {error}", file=sys.stderr)
            return False
        return True

    def _beat(self) -> None:
        self.cancelled = self._tracking.heartbeat(self._parent_id)

    def _flush(self, run_key: str) -> None:
        epochs, first, at = self._epochs.get(run_key, []), self._stored.get(run_key, 0), _now()
        rows = epochs[first:]

        def store(run_id: str) -> None:
            # Told to stop, a run that has not ended is to be closed: the next start tells them all.
            if not self._hurried:
                self._tracking.log_epochs(run_id, rows, at)

        if rows:
            self._stored[run_key] = len(epochs)
            self._calls.add(lambda: self._about(run_key, store))


def _now() -> int:
    return round(time.time() * 1000)


def _spec_file(run: RunSpec) -> bytes:
    return yaml.safe_dump(run.model_dump(), sort_keys=False).encode()
