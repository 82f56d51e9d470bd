"""`mimsweep run`: from a sweep to complete runs in the store."""

from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from mimsweep.orchestrator.engines.auto import Planned
from mimsweep.orchestrator.engines.base import Engine
from mimsweep.orchestrator.engines.choice import Choice
from mimsweep.orchestrator.engines.forgetting import forget, keys_in
from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.files.sweep import Sweep
from mimsweep.orchestrator.notify import Webhook, check_webhook
from mimsweep.orchestrator.planning import Plan, plan
from mimsweep.orchestrator.running.dispatch import Dispatcher
from mimsweep.orchestrator.running.invocation import (
    begin,
    checkpoint_dir,
    choose_engine,
    dispatch,
    make_engine,
    open_tracking,
    settle,
)
from mimsweep.orchestrator.running.policy import Options, Outcome
from mimsweep.orchestrator.running.progress import ProgressState, View, duration
from mimsweep.orchestrator.stale import find_stale
from mimsweep.orchestrator.stopping import STOP
from mimsweep.orchestrator.tracking.store import can_be_created
from mimsweep.orchestrator.tracking.writer import Tracking
from mimsweep.orchestrator.trying import check_parts


def run_sweep(sweep: Sweep, options: Options, view: View) -> Outcome:
    """Trains the runs of a sweep that are not complete yet, and tells a webhook if one is named.

    Raises:
        SpecError: a device or data set is missing, or users' code is wrong; nothing was written.
        TrackingError: the store can't be used, or another orchestrator runs this sweep.
    """
    if options.notify is None:
        return _trained(sweep, options, view)
    check_webhook(options.notify)
    webhook = Webhook(options.notify, sweep.name, len(sweep.runs), view)
    try:
        outcome = _trained(sweep, options, webhook)
    except BaseException as error:
        webhook.abort(error)
        raise
    webhook.end(outcome)
    return outcome


def _trained(sweep: Sweep, options: Options, view: View) -> Outcome:
    """Trains the runs of a sweep that are not complete yet."""
    choice = None if options.engine == "ray" else choose_engine(options)
    check_parts(sweep.runs, options.data_dir)
    if choice and not choice.rival and can_be_created(options.tracking_uri):
        # Everything is to be trained: the first worker loads torch while the store is made.
        kind, engine = _engine(sweep, options, choice)
        with closing(engine):
            return _run(sweep, options, view, lambda _: (kind, engine))

    # Ray takes seconds to start, measuring too: not before there is something to do.
    def started(planned: Planned) -> tuple[str, Engine]:
        chosen = settle(choice or choose_engine(options), sweep.name, options, planned, view)
        return _engine(sweep, options, chosen)

    return _run(sweep, options, view, started)


def _engine(sweep: Sweep, options: Options, choice: Choice) -> tuple[str, Engine]:
    return choice.kind, make_engine(sweep.name, options, choice, sweep.snapshots)


def _run(
    sweep: Sweep, options: Options, view: View, engine: Callable[[Planned], tuple[str, Engine]]
) -> Outcome:
    """Trains what is missing by an engine, which comes with its kind of device, for a plan."""
    tracking = open_tracking(sweep.name, options, view)
    checkpoints, keys = checkpoint_dir(sweep.name), {run.run_key for run in sweep.runs}
    states = tracking.statuses(sweep.name)
    complete = {key for key, state in states.items() if state.status == "FINISHED"}
    stale = find_stale(sweep.runs, states)
    if not options.fresh:
        for line in stale.lines:
            view.say(f"{sweep.name}: {line}")
    again = keys if options.fresh else set(stale.parts) if options.fresh_stale else set()
    complete -= again
    if keys <= complete:
        view.say(f"{sweep.name}: all {len(sweep.runs)} runs are complete")
        return Outcome({})
    planned = partial(plan, sweep.name, sweep.runs, complete, options.cohort_size)
    kind, made = engine(planned)
    with STOP.noted(), closing(made):
        begun = begin(sweep.name, sweep.description, tracking, kind, made)
        if again:  # not before the sweep is ours: another may be training it
            forget(checkpoints, again)
            begun.recorder.forget(again)
        if older := _older(sweep, checkpoints):
            view.say(
                f"{sweep.name}: the checkpoints of {len(older)} runs are of an older mimsweep, "
                "with other random numbers: these runs start anew"
            )
        complete.update(begun.recorder.deliver(complete))
        todo = planned(kind, made.slots, options.order)
        view.say(expected(todo, kind, made.slots))
        if todo.eager:
            view.say(todo.eager)
        state = ProgressState(sweep.name, len(todo.runs), len(todo.complete))
        dispatcher = Dispatcher(made, begun.recorder, view, options.policy, state, device=kind)
        for cohort in todo.cohorts:
            dispatcher.add(cohort)
        outcome = dispatch(dispatcher, begun)
    if outcome == Outcome({}):
        outcome.failed.update(_lost(sweep, tracking))
        state.complete -= len(outcome.failed)
        state.failed += len(outcome.failed)
    view.say(state.line())
    if outcome == Outcome({}):
        # Killed runs of other fields may go on from theirs.
        forget(checkpoints, keys | _older(sweep, checkpoints))
    return outcome


def _older(sweep: Sweep, checkpoints: Path) -> set[str]:
    """Returns the keys, by older versions, of runs that have checkpoints."""
    there = keys_in(checkpoints)
    return there and there & {key for run in sweep.runs for key in run.older_keys}


def _lost(sweep: Sweep, tracking: Tracking) -> dict[RunSpec, str]:
    """Returns the runs that were stored, but that a user has deleted or edited meanwhile."""
    with suppress(TrackingError):  # it took all that there was to store
        complete = tracking.complete(sweep.name)
        why = "its result was stored, but its MLflow run was deleted or edited since then"
        return {run: why for run in sweep.runs if run.run_key not in complete}
    return {}


def expected(todo: Plan, kind: str, slots: int) -> str:
    """Returns what is about to be trained, and how long it takes where that is known."""
    runs, cohorts = len(todo.runs) - len(todo.complete), len(todo.cohorts)
    text = f"{todo.sweep}: {runs} of {len(todo.runs)} runs to train, in {cohorts} cohorts"
    seconds = todo.cpu_seconds(slots)
    if kind != "cpu" or seconds < 60 or todo.eager:  # what a user's code computes we don't know
        return text
    minutes = duration(60 * round(seconds / 60)).removesuffix(" 0 s")
    return f"{text}; about {minutes} if none stops early and nothing else runs"
