"""One invocation, of `run` or `search`: its folders, its store, its engine, its end."""

import hashlib
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mimsweep.orchestrator.engines.auto import Planned, faster
from mimsweep.orchestrator.engines.base import Engine, Place
from mimsweep.orchestrator.engines.choice import Choice, choose
from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.running.dispatch import Dispatcher
from mimsweep.orchestrator.running.environment import environment_tags, keep
from mimsweep.orchestrator.running.policy import Options, Outcome
from mimsweep.orchestrator.running.progress import View
from mimsweep.orchestrator.running.recorder import Recorder
from mimsweep.orchestrator.running.spool import Spool
from mimsweep.orchestrator.stopping import STOP, STORE_SECONDS
from mimsweep.orchestrator.tracking.runs import Status
from mimsweep.orchestrator.tracking.writer import Tracking

END_SECONDS = 600.0
"""How long an invocation that is done waits for a store that takes nothing."""

CHECKPOINT_SECONDS = float(os.environ.get("MIMSWEEP_CHECKPOINT_SECONDS", "30"))
"""Time between two checkpoints of a cohort; tests make it shorter."""

STATE_DIR = Path(".mimsweep")
"""Gets what only this machine needs: logs of worker processes, checkpoints."""


@dataclass(frozen=True)
class Invocation:
    """What `run` and `search` work with: their parent run, its recorder, an engine."""

    parent_id: str
    recorder: Recorder
    engine: Engine


def open_tracking(name: str, options: Options, view: View) -> Tracking:
    """Opens the store, and closes what a dead orchestrator of this sweep left.

    Raises:
        TrackingError: the store can't be used, or its artifacts aren't where it says.
    """
    tracking = Tracking(options.tracking_uri)
    tracking.require_artifacts(name)
    if closed := tracking.close_dead(name):
        view.say(f"{len(closed)} runs that a dead orchestrator left RUNNING are closed as KILLED")
    return tracking


def make_engine(name: str, options: Options, choice: Choice, snapshots: bool = False) -> Engine:
    """Returns the engine that trains a sweep or search of that name."""
    place = Place(
        choice.kind, options.data_dir, checkpoint_dir(name), CHECKPOINT_SECONDS, snapshots
    )
    return choice.make(place, log_dir(name))


def begin(name: str, description: str, tracking: Tracking, kind: str, engine: Engine) -> Invocation:
    """Starts an invocation in the store, to be trained by an engine on that kind of device.

    Raises:
        TrackingError: the store can't be used, or another orchestrator runs this sweep.
    """
    folder = Path.cwd()
    tags = {**environment_tags(folder), "mimsweep.device": kind}
    parent_id = tracking.start_sweep(name, description, tags, {"sweep": name})
    recorder = Recorder(tracking, name, parent_id, tags, Spool(spool_dir(tracking, name)))
    recorder.also(partial(keep, folder=folder))
    return Invocation(parent_id, recorder, engine)


def dispatch(dispatcher: Dispatcher, begun: Invocation) -> Outcome:
    """Runs the dispatcher to its end or a signal, then ends the invocation in the store.

    To be called within `STOP.noted`.
    """
    recorder = begun.recorder
    STOP.left = lambda: f"{recorder.left()}; the same command completes what is missing"
    status: Status = "FAILED"
    patience = STORE_SECONDS
    outcome = Outcome({}, interrupted=True)
    try:
        outcome = dispatcher.run(lambda: STOP.asked is not None or recorder.cancelled)
        if outcome.interrupted:
            status = "KILLED"
        elif not outcome.gave_up:
            status, patience = "FAILED" if outcome.failed else "FINISHED", END_SECONDS
    finally:
        begun.engine.close()
        state = dispatcher.state
        counts = {"runs_complete": state.complete, "runs_failed": state.failed}
        try:
            recorder.close(status, counts, patience)
        except TrackingError as error:
            if not STOP.asked:
                raise
            left = f"{recorder.left()}, as {error}"
            outcome = replace(outcome, interrupted=True, left=left)
    outcome.failed.update(recorder.unstored)
    state.complete -= len(recorder.unstored)
    state.failed += len(recorder.unstored)
    return outcome


def choose_engine(options: Options) -> Choice:
    """Returns the engine that is wanted, and the device it is for."""
    which = (options.engine, options.device, options.workers)
    return choose(*which, options.gpus_per_worker, options.slurm)


def settle(choice: Choice, name: str, options: Options, planned: Planned, view: View) -> Choice:
    """Returns the choice or its rival, what trains faster, and says so; measures it for that.

    Args:
        choice: of `choose_engine`; there must be something to train.
        name: of the sweep or search.
        options: how to run it.
        planned: plans it for a device.
        view: where it is said.
    """
    if choice.rival is None:
        return choice
    logs = log_dir(name) / "auto"
    settled, line = faster(choice, choice.rival, planned, options.data_dir, logs)
    view.say(line)
    return settled


def checkpoint_dir(name: str) -> Path:
    """Returns where the checkpoints of a sweep are."""
    return STATE_DIR / "checkpoints" / name


def log_dir(name: str) -> Path:
    """Returns where the logs of a sweep's workers are."""
    return STATE_DIR / "logs" / name


def spool_dir(tracking: Tracking, name: str) -> Path:
    """Returns where results of a sweep wait for the store."""
    store = hashlib.sha256(tracking.uri.encode()).hexdigest()[:8]
    return STATE_DIR / "spool" / store / name
