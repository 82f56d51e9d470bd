"""Writes what happens to runs to the tracking store, in order, off the training's path."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any, ParamSpec, TypeVar

import yaml

from orchestrator.engines.base import EpochEnded, RunFailed, RunFinished
from orchestrator.spec import RunSpec
from orchestrator.tracking import Tracking
from orchestrator.tracking_owner import HEARTBEAT_SECONDS
from orchestrator.tracking_runs import Status

FLUSH_SECONDS = 10.0
"""How long epochs are gathered before they are stored; a call to MLflow has its price."""

P = ParamSpec("P")
R = TypeVar("R")


class Recorder:
    """One invocation's runs in the store.

    A single thread makes all calls to `tracking`, in the order in which they were asked for. A call
    that fails is raised by `check`, and by whoever waits for its result.

    Attributes:
        open: run_id of each run that was created here and has not ended, by run_key.
    """

    def __init__(self, tracking: Tracking, parent_id: str, tags: Mapping[str, str]) -> None:
        self.open: dict[str, str] = {}
        self._tracking = tracking
        self._parent_id = parent_id
        self._tags = tags
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._calls: list[Future[Any]] = []
        self._rows: dict[str, list[tuple[int, Mapping[str, float]]]] = {}
        self._last_epoch: dict[str, int] = {}
        self._flushed = self._beaten = time.monotonic()

    def create(self, runs: Sequence[RunSpec]) -> Future[None]:
        """Creates runs, RUNNING, but those that are open already; done when they are stored."""

        def create() -> None:
            new = [run for run in runs if run.run_key not in self.open]
            run_ids = self._tracking.create_runs(self._parent_id, new, self._tags)
            self.open.update(zip((run.run_key for run in new), run_ids, strict=True))

        return self._call(create)

    def epoch(self, event: EpochEnded) -> None:
        """Stores an epoch's metrics, soon. One that was told before (by a lost worker) is not."""
        if event.epoch > self._last_epoch.get(event.run_key, 0):
            self._last_epoch[event.run_key] = event.epoch
            self._rows.setdefault(event.run_key, []).append((event.epoch, event.metrics))

    def finish(self, run: RunSpec, event: RunFinished) -> None:
        """Stores the results of a run, then makes it complete."""
        artifacts = {"spec.yaml": _spec_file(run), "weights.safetensors": event.weights}
        rows = self._rows.pop(run.run_key, [])

        def finish() -> None:
            run_id = self.open[run.run_key]
            self._tracking.log_epochs(run_id, rows)
            self._tracking.finish(run_id, event.metrics, artifacts)
            del self.open[run.run_key]

        self._call(finish)

    def fail(self, run: RunSpec, event: RunFailed, details: str) -> None:
        """Stores that and why a run failed."""
        artifacts = {"spec.yaml": _spec_file(run)}
        if details:
            artifacts["traceback.txt"] = details.encode()
        rows = self._rows.pop(run.run_key, [])

        def fail() -> None:
            run_id = self.open[run.run_key]
            self._tracking.log_epochs(run_id, rows)
            self._tracking.fail(run_id, event.reason, artifacts)
            del self.open[run.run_key]

        self._call(fail)

    def tick(self) -> None:
        """Does what is due by the clock; raises what a call has raised.

        Raises:
            TrackingError: the store failed.
        """
        now = time.monotonic()
        if now - self._flushed >= FLUSH_SECONDS:
            self._flushed = now
            rows, self._rows = self._rows, {}
            self._call(self._log_epochs, rows)
        if now - self._beaten >= HEARTBEAT_SECONDS:
            self._beaten = now
            self._call(self._tracking.heartbeat, self._parent_id)
        done = [call for call in self._calls if call.done()]
        self._calls = [call for call in self._calls if not call.done()]
        for call in done:
            call.result()

    def _log_epochs(self, rows: Mapping[str, Sequence[tuple[int, Mapping[str, float]]]]) -> None:
        for run_key, epochs in rows.items():
            if run_key in self.open:
                self._tracking.log_epochs(self.open[run_key], epochs)

    def close(self, status: Status, counts: Mapping[str, float], patience: float | None) -> None:
        """Stores what is left, ends open runs as KILLED, then the parent run.

        Args:
            status: of the parent run.
            counts: metrics of the parent run.
            patience: seconds to wait for what is not stored yet; then it is given up. None: no
                limit.

        Raises:
            TrackingError: the store failed.
        """
        wait_for(self._calls, patience)
        self._thread.shutdown(wait=True, cancel_futures=True)
        for call in self._calls:
            if not call.cancelled():
                call.result()
        self._log_epochs(self._rows)
        self._tracking.kill(list(self.open.values()))
        self._tracking.finish_sweep(self._parent_id, status, counts)

    def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        call = self._thread.submit(function, *args, **kwargs)
        self._calls.append(call)
        return call


def _spec_file(run: RunSpec) -> bytes:
    return yaml.safe_dump(run.model_dump(), sort_keys=False).encode()
