"""The command `search`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimsweep.orchestrator import defaults
from mimsweep.orchestrator.cli.options import PathType, as_json, tell_json, tracking_uri
from mimsweep.orchestrator.cli.training import cohort_limit_of, training
from mimsweep.orchestrator.errors import TrainingError

if TYPE_CHECKING:
    from mimsweep.orchestrator.files.search import Search
    from mimsweep.orchestrator.search.run import Found


@click.command()
@click.argument("search", type=PathType())
@tracking_uri
@click.option(
    "--trials",
    metavar="N",
    type=click.IntRange(min=1),
    help="Trials in all, earlier ones included; by default as many as the file says.",
)
@click.option(
    "--storage",
    metavar="URL",
    help="Optuna's storage: a database, or a journal file; by default .mimsweep/optuna/NAME.log.",
)
@training
@click.option(
    "--output",
    metavar="DIR",
    type=PathType(file_okay=False),
    default=defaults.FIGURES,
    show_default=True,
    help="Gets a folder of figures.",
)
@as_json
def search(
    search: Path,
    tracking_uri: str | None,
    trials: int | None,
    storage: str | None,
    output: Path,
    as_json: bool,
    cohort_size: str,
    **how: Any,  # noqa: ANN401
) -> None:
    """Search the best hyper-parameters; go on where it was left."""
    from mimsweep.orchestrator.files.search import load_search

    loaded = load_search(search)
    # Optuna and MLflow take seconds to load: not for a file that is wrong.
    from mimsweep.orchestrator.running.policy import training_options
    from mimsweep.orchestrator.running.progress import view
    from mimsweep.orchestrator.search.run import run_search

    if trials is not None:
        loaded = dataclasses.replace(loaded, trials=trials)
    options = training_options(tracking_uri, cohort_size=cohort_limit_of(cohort_size), **how)
    with view() as shown:
        found = run_search(loaded, options, storage, output, shown)
    if as_json:
        tell_json(dataclasses.asdict(found.summary))
    else:
        _tell(loaded, found)
    found.outcome.require_all()
    if found.failed:
        lines = [f"trial {number}: {reason}" for number, reason in found.failed.items()]
        raise TrainingError("\n  ".join([f"{len(lines)} trials failed:", *lines]))


def tell_plan(search: Search, complete: int, as_json: bool) -> None:
    """Prints what a search may cost at most."""
    from mimsweep.orchestrator.planning import plan_search

    planned = plan_search(search, complete)
    if as_json:
        tell_json(planned)
        return
    click.echo(f"{search.name}: {search.size}, {complete} complete")
    most = f"{planned['parallel']} trials at once, {planned['epochs']} epochs at most"
    click.echo(f"  {most}; searched: {', '.join(search.space)}")


def _tell(search: Search, found: Found) -> None:
    from mimsweep.orchestrator.search.trials import point

    summary = found.summary
    counts = ", ".join(f"{getattr(summary, n)} {n}" for n in ("complete", "pruned", "failed"))
    click.echo(f"{summary.study}: {summary.trials} trials ({counts})")
    bests = summary.best if isinstance(summary.best, list) else [summary.best]
    for best in filter(None, bests):
        values = zip(search.objectives, best["values"], strict=True)
        what = ", ".join(f"{objective.metric} {value:.5g}" for objective, value in values)
        click.echo(f"  best: trial {best['number']}, {point(best['params'])}: {what}")
    if found.figures:
        click.echo(f"  figures: {found.figures}")
