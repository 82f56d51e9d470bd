"""One invocation of `mimsweep run`: from a sweep to complete runs in the store."""

import hashlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from orchestrator.choices import IMAGE_SETS
from orchestrator.dispatch import Dispatcher, Outcome, Policy
from orchestrator.engines.base import Engine, Place
from orchestrator.engines.choice import Choice, choose
from orchestrator.errors import SpecError
from orchestrator.plan import plan
from orchestrator.progress import State, View
from orchestrator.recorder import Recorder
from orchestrator.spool import Spool
from orchestrator.sweep import Sweep
from orchestrator.tracking import Tracking
from orchestrator.tracking_runs import Status
from orchestrator.tracking_store import can_be_created

STOP_SECONDS, END_SECONDS = 2.0, 600.0
"""How long an invocation that is interrupted, or done, waits for a store that takes nothing."""

CHECKPOINT_SECONDS = float(os.environ.get("MIMSWEEP_CHECKPOINT_SECONDS", "30"))
"""Time between two checkpoints of a cohort; tests make it shorter."""

STATE_DIR = Path(".mimsweep")
"""Gets what only this machine needs: logs of worker processes, checkpoints."""


@dataclass(frozen=True)
class Options:
    """How to run a sweep.

    Attributes:
        engine: one of `engines.choice.ENGINES`.
        device: "auto", "cpu" or "cuda".
        workers: number of workers; None: one per GPU, else one per core.
        gpus_per_worker: of the Ray engine.
        cohort_size: most runs in a cohort; None: chosen from the device.
        tracking_uri: of the store, from `tracking_store.resolve_uri`.
        data_dir: where data sets are.
        policy: what to do about faults.
        fresh: whether to train complete runs anew too.
    """

    engine: str
    device: str
    workers: int | None
    gpus_per_worker: float
    cohort_size: int | None
    tracking_uri: str
    data_dir: Path
    policy: Policy
    fresh: bool


def run_sweep(sweep: Sweep, options: Options, view: View) -> Outcome:
    """Trains the runs of a sweep that are not complete yet.

    Raises:
        SpecError: a device or data set is missing; nothing was written.
        TrackingError: the store can't be used, or another orchestrator runs this sweep.
    """
    choice = None if options.engine == "ray" else choose_engine(options)
    check_data({run.dataset for run in sweep.runs}, options.data_dir)
    if choice and can_be_created(options.tracking_uri):
        # Everything is to be trained: the first worker loads torch while the store is made.
        kind, engine = _engine(sweep, options, choice)
        with closing(engine):
            return _run(sweep, options, view, lambda: (kind, engine))
    # A Ray takes seconds to start: not before there is something to do.
    return _run(
        sweep, options, view, lambda: _engine(sweep, options, choice or choose_engine(options))
    )


def _engine(sweep: Sweep, options: Options, choice: Choice) -> tuple[str, Engine]:
    return choice.kind, make_engine(sweep.name, options, choice, sweep.snapshots)


def _run(
    sweep: Sweep, options: Options, view: View, engine: Callable[[], tuple[str, Engine]]
) -> Outcome:
    """Trains what is missing by an engine, which comes with its kind of device."""
    tracking = open_tracking(sweep.name, options, view)
    checkpoints = checkpoint_dir(sweep.name)
    if options.fresh:
        for folder in (checkpoints, spool_dir(tracking, sweep.name)):
            shutil.rmtree(folder, ignore_errors=True)
    complete = set() if options.fresh else set(tracking.complete(sweep.name))
    if all(run.run_key in complete for run in sweep.runs):
        view.say(f"{sweep.name}: all {len(sweep.runs)} runs are complete")
        return Outcome({})
    kind, made = engine()
    with closing(made):
        begun = begin(sweep.name, sweep.description, tracking, kind, made)
        complete.update(begun.recorder.deliver(complete))
        todo = plan(sweep.name, sweep.runs, complete, options.cohort_size, kind, made.idle)
        state = State(sweep.name, len(todo.runs), len(todo.complete))
        dispatcher = Dispatcher(made, begun.recorder, view, options.policy, state)
        for cohort in todo.cohorts:
            dispatcher.add(cohort)
        outcome = dispatch(dispatcher, begun)
    view.say(state.line())
    if outcome == Outcome({}):
        shutil.rmtree(checkpoints, ignore_errors=True)
    return outcome


@dataclass(frozen=True)
class Invocation:
    """What `run` and `search` work with: their parent run, its recorder, an engine."""

    parent_id: str
    recorder: Recorder
    engine: Engine


def open_tracking(name: str, options: Options, view: View) -> Tracking:
    """Opens the store, and closes what a dead orchestrator of this sweep left."""
    tracking = Tracking(options.tracking_uri)
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
    tags = {**environment_tags(), "mimsweep.device": kind}
    parent_id = tracking.start_sweep(name, description, tags, {"sweep": name})
    recorder = Recorder(tracking, name, parent_id, tags, Spool(spool_dir(tracking, name)))
    return Invocation(parent_id, recorder, engine)


def dispatch(dispatcher: Dispatcher, begun: Invocation) -> Outcome:
    """Runs the dispatcher to its end or a signal, then ends the invocation in the store."""
    recorder = begun.recorder
    status: Status = "FAILED"
    patience = STOP_SECONDS
    with _stop_signals() as interrupted:
        try:
            outcome = dispatcher.run(lambda: interrupted() or recorder.cancelled)
            if outcome.interrupted:
                status = "KILLED"
            elif not outcome.gave_up:
                status, patience = "FAILED" if outcome.failed else "FINISHED", END_SECONDS
        finally:
            begun.engine.close()
            state = dispatcher.state
            counts = {"runs_complete": state.complete, "runs_failed": state.failed}
            recorder.close(status, counts, patience)
    return outcome


def choose_engine(options: Options) -> Choice:
    """Returns the engine that is wanted, and the device it is for."""
    return choose(options.engine, options.device, options.workers, options.gpus_per_worker)


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


def check_data(datasets: Collection[str], data_dir: Path) -> None:
    """Loads, or downloads, the data sets that come as files before anything is started."""
    names = sorted(name for name in datasets if not name.lower().startswith("toy"))
    if not names:
        return
    from models.data import DataError, load  # torch, only for who needs it
    from models.image_data import load_images

    for name in names:
        try:
            if name in IMAGE_SETS:
                load_images(name, data_dir)
            else:
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
