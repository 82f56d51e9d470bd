"""One invocation of `mimsweep search`: from a search file to the best trial, with its evidence."""

import dataclasses
import json
import math
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from mimsweep.orchestrator.costs import cohort_limit
from mimsweep.orchestrator.engines.forgetting import forget
from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.planning import plan
from mimsweep.orchestrator.running.dispatch import Dispatcher
from mimsweep.orchestrator.running.invocation import (
    STATE_DIR,
    begin,
    checkpoint_dir,
    choose_engine,
    dispatch,
    make_engine,
    open_tracking,
    settle,
)
from mimsweep.orchestrator.running.policy import Options, Outcome
from mimsweep.orchestrator.running.progress import ProgressState, View
from mimsweep.orchestrator.search.reader import Summary
from mimsweep.orchestrator.search.study import Study
from mimsweep.orchestrator.search.trials import Trials
from mimsweep.orchestrator.stopping import STOP
from mimsweep.orchestrator.tracking.artifacts import files_in, written_since
from mimsweep.orchestrator.tracking.claim import SweepBusyError
from mimsweep.orchestrator.tracking.store import can_be_created
from mimsweep.orchestrator.tracking.writer import Tracking
from mimsweep.orchestrator.trying import check_parts


@dataclass(frozen=True)
class Found:
    """What an invocation of `search` came to.

    Attributes:
        outcome: of the runs.
        summary: of the trials.
        failed: why trials failed, by number.
        figures: the folder of the pictures.
    """

    outcome: Outcome
    summary: Summary
    failed: dict[int, str]
    figures: Path | None


def journal(search: Search) -> str:
    """Returns where the study is if no storage is named; optuna-dashboard opens it."""
    return str(STATE_DIR / "optuna" / f"{search.name}.log")


def run_search(
    search: Search, options: Options, storage: str | None, output: Path, view: View
) -> Found:
    """Makes the trials that are missing, then stores and draws what all of them show.

    Args:
        search: what to search.
        options: how to train.
        storage: of the study: a file, or the URL of a database; None: `journal`.
        output: gets a folder of figures.
        view: shows how it goes.

    Raises:
        SpecError: a device or data set is missing, or the study is of another search.
        TrackingError: a store can't be used, or another process runs this search.
    """
    check_parts([*search.corners()], options.data_dir)
    choice = choose_engine(options)
    there = Tracking(options.tracking_uri, create=not can_be_created(options.tracking_uri))
    if owner := there.owner(search.name):  # before the trials that it makes are taken for dead
        raise SweepBusyError(f"the search {search.name}", owner)
    study = Study(search, storage or journal(search))
    tracking = open_tracking(search.name, options, view)
    if study.closed:
        view.say(f"{len(study.closed)} trials that were cut off are closed, to be tried again")
    if study.retried:
        view.say(f"{len(study.retried)} trials that failed are tried again")
    if not study.left():
        view.say(f"{search.name}: all {study.goal} trials are made")
        study.close()
        return _found(Outcome({}), study, tracking, tracking.latest_parent(search.name), output)
    planned = partial(plan, search.name, _like_trials(search), (), options.cohort_size)
    choice = settle(choice, search.name, options, planned, view)
    with (
        STOP.noted(),
        closing(study),
        closing(make_engine(search.name, options, choice)) as engine,
    ):
        begun = begin(search.name, search.description, tracking, choice.kind, engine)
        begun.recorder.deliver(set(tracking.complete(search.name)))
        state = ProgressState(search.name, study.left() * len(search.seeds), 0, cost=math.nan)

        def limit(run: RunSpec) -> int:
            return options.cohort_size or cohort_limit(run, choice.kind)

        trials = Trials(study, begun.recorder, view, limit)
        dispatcher = Dispatcher(
            engine, begun.recorder, view, options.policy, state, trials, choice.kind
        )
        outcome = dispatch(dispatcher, begun)
        if not study.left():  # a sweep of that name may have checkpoints there too
            forget(checkpoint_dir(search.name), study.run_keys())
    view.say(state.line())
    return _found(outcome, study, tracking, begun.parent_id, output)


def _like_trials(search: Search) -> list[RunSpec]:
    """Returns as many runs as its trials train at once, at the last corner of its space."""
    params = {field: dimension.values[-1] for field, dimension in search.space.items()}
    count = len(search.seeds) * min(search.parallel, search.goal)
    return [search.run({**params, "seed": seed}) for seed in range(1, count + 1)]


def _found(
    outcome: Outcome, study: Study, tracking: Tracking, parent_id: str | None, output: Path
) -> Found:
    """Draws what the study shows, and stores it on the parent run."""
    summary, table = study.summary(), study.table()
    if not summary.complete or outcome.interrupted:
        return Found(outcome, summary, study.failed(), None)
    folder = output / study.search.name
    before = files_in(folder)
    _draw(study, table, folder)
    (folder / "search.json").write_text(json.dumps(dataclasses.asdict(summary), indent=2) + "\n")
    if parent_id:
        with written_since(folder, before) as drawn:
            tracking.log_folder(parent_id, drawn)
        tracking.log_summary(parent_id, *_evidence(study, summary))
    return Found(outcome, summary, study.failed(), folder)


def _evidence(study: Study, summary: Summary) -> tuple[dict[str, str], dict[str, float]]:
    """Returns tags and metrics that say what was found."""
    bests = summary.best if isinstance(summary.best, list) else [summary.best]
    tags = {"mimsweep.best": json.dumps(bests)[:4000]}
    for metric, importances in study.importances().items():
        tags[f"mimsweep.importance.{metric}"] = json.dumps(importances)
    metrics: dict[str, float] = {
        f"trials_{name}": getattr(summary, name) for name in ("complete", "pruned", "failed")
    }
    if len(bests) == 1:
        objectives = study.search.objectives
        values = zip(objectives, bests[0]["values"], strict=True)
        metrics |= {f"best_{objective.metric}": value for objective, value in values}
    return tags, metrics


def _draw(study: Study, table: pd.DataFrame, folder: Path) -> None:
    from mimsweep.dashboards.search.figures import draw_search
    from mimsweep.dashboards.search.panels import Search as Shown
    from mimsweep.dashboards.search.table import Objective

    search = study.search
    shown = Shown(
        name=search.name,
        description=search.description,
        objectives=[Objective(o.metric, o.maximize) for o in search.objectives],
        fields={field: dimension.log for field, dimension in search.space.items()},
        default=search.default,
        importances=study.importances(),
    )
    draw_search(table, shown, folder)
