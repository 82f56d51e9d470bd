"""`mimsweep run`: from a sweep to complete runs in the store."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from mimsweep.orchestrator.engines.auto import Planned
from mimsweep.orchestrator.engines.base import Engine
from mimsweep.orchestrator.engines.choice import Choice
from mimsweep.orchestrator.engines.forgetting import forget, keys_in
from mimsweep.orchestrator.errors import SpecError, TrackingError
from mimsweep.orchestrator.files.choices import IMAGE_SETS, is_toy
from mimsweep.orchestrator.files.spec import VARIES_IN_COHORT, RunSpec
from mimsweep.orchestrator.files.sweep import Sweep
from mimsweep.orchestrator.planning import Plan, by_agreement, plan
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

_ALL_ONE = (*VARIES_IN_COHORT, "mid_dim", "layers", "act")
"""Fields that make no difference to whether a loss is right."""


def run_sweep(sweep: Sweep, options: Options, view: View) -> Outcome:
    """Trains the runs of a sweep that are not complete yet.

    Raises:
        SpecError: a device or data set is missing, or users' code is wrong; nothing was written.
        TrackingError: the store can't be used, or another orchestrator runs this sweep.
    """
    choice = None if options.engine == "ray" else choose_engine(options)
    check_data(batch_sizes(sweep.runs), options.data_dir)
    keep_files(sweep.runs)
    check_networks(sweep.runs, options.data_dir)
    check_losses(sweep.runs, options.data_dir)
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
        todo = planned(kind, made.idle)
        view.say(expected(todo, kind, made.idle))
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


def batch_sizes(runs: Iterable[RunSpec]) -> dict[str, set[int]]:
    """Returns the batch sizes that each data set is used with."""
    found: dict[str, set[int]] = {}
    for run in runs:
        if run.of_file:
            continue  # was checked as it was found
        found.setdefault(run.dataset, set()).add(run.batch_size)
    return found


def keep_files(runs: Iterable[RunSpec]) -> None:
    """Keeps what is in data files as it is trained on, before anything is started.

    Raises:
        SpecError: a file has changed since it was found.
    """
    files = {run.file for run in runs if run.file}
    if not files:
        return
    from mimsweep.models.data.files.found import keep
    from mimsweep.models.data.files.reading import FileError

    for file in files:
        try:
            keep(file)
        except FileError as error:
            raise SpecError(str(error)) from error


def check_data(batch_sizes: Mapping[str, Collection[int]], data_dir: Path) -> None:
    """Loads, or downloads, data sets before anything is started, and tries those of a user's.

    Args:
        batch_sizes: those that each data set is used with, by its name; toys are passed over.
        data_dir: where data sets are.

    Raises:
        SpecError: one is missing, or isn't what a data set is held to.
    """
    names = sorted(name for name in batch_sizes if not is_toy(name))
    if not names:
        return
    from mimsweep.models.data.binarised import load_images  # torch, only for who needs it
    from mimsweep.models.data.loading import load
    from mimsweep.models.data.users import UsersData, examine
    from mimsweep.models.registry import users_code

    for name in names:
        with users_code(SpecError):
            if name in IMAGE_SETS:
                load_images(name, data_dir)
                continue
            data = load(name, data_dir)
            if isinstance(data, UsersData):
                examine(data, batch_sizes[name])


def check_networks(runs: Iterable[RunSpec], data_dir: Path) -> None:
    """Tries users' networks before anything is started, each of a kind once.

    Args:
        runs: those that will be trained; networks of ours are passed over.
        data_dir: where data sets are.

    Raises:
        SpecError: one isn't what a network is held to.
    """
    kinds = by_agreement(run for run in runs if run.users_networks)
    if not kinds:
        return
    from mimsweep.models.nets.trying import examine  # torch, only for who needs it
    from mimsweep.models.registry import users_code
    from mimsweep.models.settings import ours
    from mimsweep.orchestrator.engines.training import cohort_of, of_data, plain_data_of

    tried = set()
    with users_code(SpecError), ours():
        sets = {of_data(run): plain_data_of(run, data_dir) for run, *_ in kinds}
        for run, *_ in kinds:
            data = sets[of_data(run)]
            for network in cohort_of([run]).objective(data).model.users_networks:
                sizes = (network.inputs, network.outputs, run.mid_dim, run.layers, run.act)
                kind = (network.name, network.part, *sizes, *run.declared.items())
                if kind not in tried:
                    tried.add(kind)
                    examine(network, data)


def check_losses(runs: Iterable[RunSpec], data_dir: Path) -> None:
    """Tries users' losses before anything is started, each with all that it may meet.

    Args:
        runs: those that will be trained; losses of ours are passed over.
        data_dir: where data sets are.

    Raises:
        SpecError: one isn't what a loss is held to.
    """
    kinds: dict[tuple[Any, ...], RunSpec] = {}
    for run in runs:
        if run.users_loss:
            kinds.setdefault(tuple(value for name, value in run if name not in _ALL_ONE), run)
    if not kinds:
        return
    from mimsweep.models.registry import users_code  # torch, only for who needs it
    from mimsweep.models.settings import ours
    from mimsweep.models.training.trying import SEED, examine
    from mimsweep.orchestrator.engines.training import cohort_of, of_data, plain_data_of

    with users_code(SpecError), ours():
        sets = {of_data(run): plain_data_of(run, data_dir) for run in kinds.values()}
        items = {fields: data.draw("train", SEED, 1)[0] for fields, data in sets.items()}
        for run in kinds.values():
            fields = of_data(run)
            examine(cohort_of([run]).objective(sets[fields]), items[fields])
