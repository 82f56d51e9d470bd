"""One invocation of `mimsweep run`: from a sweep to complete runs in the store."""

import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from orchestrator.dispatch import Dispatcher, Outcome
from orchestrator.engines.base import Place
from orchestrator.engines.local import LocalEngine, local_slots
from orchestrator.errors import SpecError
from orchestrator.plan import Plan, plan
from orchestrator.progress import View
from orchestrator.recorder import Recorder
from orchestrator.sweep import Sweep
from orchestrator.tracking import Tracking
from orchestrator.tracking_runs import Status

CLOSE_SECONDS = 2.0
"""How long an interrupted invocation waits for results that are not stored yet."""

CHECKPOINT_SECONDS = float(os.environ.get("MIMSWEEP_CHECKPOINT_SECONDS", "30"))
"""Time between two checkpoints of a cohort; tests make it shorter."""

STATE_DIR = Path(".mimsweep")
"""Gets what only this machine needs: logs of worker processes, checkpoints."""


@dataclass(frozen=True)
class Options:
    """How to run a sweep.

    Attributes:
        device: "auto", "cpu" or "cuda".
        workers: number of worker processes; None: one per GPU, else one per core.
        cohort_size: most runs in a cohort; None: chosen from the device.
        tracking_uri: of the store, from `tracking_store.resolve_uri`.
        data_dir: where data sets are.
    """

    device: str
    workers: int | None
    cohort_size: int | None
    tracking_uri: str
    data_dir: Path


def run_sweep(sweep: Sweep, options: Options, view: View) -> Outcome:
    """Trains the runs of a sweep that are not complete yet.

    Raises:
        SpecError: a device or data set is missing; nothing was written.
        TrackingError: the store can't be used, or another orchestrator runs this sweep.
    """
    kind, gpus = local_slots(options.device, options.workers)
    _check_data(sweep, options.data_dir)
    tracking = Tracking(options.tracking_uri)
    if closed := tracking.close_dead(sweep.name):
        view.say(f"{len(closed)} runs that a dead orchestrator left RUNNING are closed as KILLED")
    complete = tracking.complete(sweep.name)
    todo = plan(sweep.name, sweep.runs, complete, options.cohort_size, kind)
    if not todo.cohorts:
        view.say(f"{sweep.name}: all {len(todo.runs)} runs are complete")
        return Outcome({}, interrupted=False)
    tags = {**environment_tags(), "mimsweep.device": kind}
    parent_id = tracking.start_sweep(sweep.name, sweep.description, tags, {"sweep": sweep.name})
    recorder = Recorder(tracking, parent_id, tags)
    checkpoints = STATE_DIR / "checkpoints" / sweep.name
    place = Place(kind, options.data_dir, checkpoints, CHECKPOINT_SECONDS)
    engine = LocalEngine(gpus, place, STATE_DIR / "logs" / parent_id)
    outcome = _dispatch(todo, engine, recorder, view)
    if not outcome.failed and not outcome.interrupted:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return outcome


def _dispatch(todo: Plan, engine: LocalEngine, recorder: Recorder, view: View) -> Outcome:
    with _stop_signals() as interrupted:
        dispatcher = Dispatcher(todo, engine, recorder, view, interrupted)
        status: Status = "FAILED"
        patience: float | None = CLOSE_SECONDS
        try:
            outcome = dispatcher.run()
            if outcome.interrupted:
                status = "KILLED"
            else:
                status, patience = "FAILED" if outcome.failed else "FINISHED", None
        finally:
            engine.close()
            state = dispatcher.state
            counts = {"runs_complete": state.complete, "runs_failed": state.failed}
            recorder.close(status, counts, patience)
    view.say(state.line())
    return outcome


def _check_data(sweep: Sweep, data_dir: Path) -> None:
    """Loads, or downloads, the data sets that come as files before anything is started."""
    names = sorted({run.dataset for run in sweep.runs if not run.dataset.startswith("toy")})
    if not names:
        return
    from models.data import DataError, load  # torch, only for who needs it

    for name in names:
        try:
            load(name, data_dir)
        except DataError as error:
            raise SpecError(str(error)) from error


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Yields whether SIGINT or SIGTERM has come; a second one ends the process as usual."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def environment_tags() -> dict[str, str]:
    """Returns tags that say with what a run was made: versions, and the commit if there is one."""
    tags = {
        "mimsweep.version": importlib.metadata.version("mimsweep"),
        "mimsweep.torch": importlib.metadata.version("torch"),
        "mimsweep.python": ".".join(map(str, sys.version_info[:3])),
        "mimsweep.cores": str(os.cpu_count()),
    }
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return tags
    return {**tags, "mlflow.source.git.commit": commit.stdout.strip()}
