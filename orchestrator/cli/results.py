"""The commands that read what was tracked as numbers: status, results, table, verify."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mimsweep.orchestrator.cli.options import (
    PathType,
    as_json,
    either_file,
    load,
    load_either,
    overrides,
    seeds_until_decided,
    sweep_file,
    tell,
    tell_json,
    tracking_uri,
)
from mimsweep.orchestrator.errors import SpecError


@click.command()
@either_file
@overrides
@tracking_uri
@as_json
def status(sweep: Path, overrides: Sequence[str], tracking_uri: str | None, as_json: bool) -> None:
    """Count the runs of a sweep or search by status."""
    from mimsweep.orchestrator.showing.listing import standing
    from mimsweep.orchestrator.tracking.runs import processors_line
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    found = standing(load_either(sweep, overrides), resolve_uri(tracking_uri))
    tell(found.lines)
    if as_json:
        tell_json(found.to_json())
        return
    counts = found.counts
    most = ", at most" if found.kind == "search" else ""
    click.echo(f"{found.name}: {counts['finished']}/{found.total} complete{most}")
    for name in ("failed", "running", "killed", "missing"):
        if counts[name]:
            click.echo(f"  {counts[name]} {name}")
    for line in found.stale.lines:
        click.echo(f"  {line}")
    if line := processors_line(state for _, state in found.states if state is not None):
        click.echo(f"  {line}")
    log = Path(".mimsweep", "logs", found.name)
    for name, state in found.states:
        if state is not None and state.status == "FAILED":
            click.echo(f"  {name} failed: {state.reason} (MLflow run {state.run_id})")
            if log.is_dir():
                click.echo(f"    log: {log}")


@click.command()
@either_file
@overrides
@tracking_uri
@click.option(
    "--output",
    metavar="FILE",
    type=PathType(dir_okay=False),
    help="A .csv, .parquet or .json file; by default CSV to stdout.",
)
@as_json
def results(
    sweep: Path,
    overrides: Sequence[str],
    tracking_uri: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Print or store the table of complete runs: a row per run."""
    from mimsweep.orchestrator.files.sweep import Sweep
    from mimsweep.orchestrator.showing import listing
    from mimsweep.orchestrator.showing.table import write_table
    from mimsweep.orchestrator.tracking.artifacts import missing_error
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = load_either(sweep, overrides)
    published = loaded.published if isinstance(loaded, Sweep) else None
    _require_other(output, loaded.name, sweep, published)
    kind = "sweep" if isinstance(loaded, Sweep) else "search"
    found = listing.results(loaded, resolve_uri(tracking_uri))
    table = found.table
    tell(found.lines)
    kept = output is not None and table.empty and output.exists()  # the table of earlier runs, say
    if output is not None and not kept:
        write_table(table, output)
        click.echo(f"{output}: {len(table)} of {len(found.runs)} runs", err=True)
    if as_json:
        tell_json({kind: loaded.name, **found.to_json()})
    elif output is None:
        click.echo(table.to_csv(index=False), nl=False)
    if found.lost:
        raise missing_error(found.lost)
    if table.empty:
        own = "" if isinstance(loaded, Sweep) else " of its own"
        left = f"; {output} is left as it was" if kept else ""
        tell([f"{loaded.name}: no run{own} is complete yet{left}"])


@click.command()
@sweep_file
@overrides
@tracking_uri
@click.option("--rows", metavar="F[,F]", help="Fields that make the rows; else the figures' hue.")
@click.option("--columns", metavar="F[,F]", help="Fields that make the columns; else their x.")
@click.option("--metric", metavar="M[,M]", help="Metrics, a block each; else the figures'.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["latex", "markdown", "html", "csv"]),
    default="markdown",
    show_default=True,
    help="Of the table; csv has a row per cell, with whole numbers.",
)
@click.option(
    "--output", metavar="FILE", type=PathType(dir_okay=False), help="A file; else to stdout."
)
@as_json
def table(
    sweep: Path,
    overrides: Sequence[str],
    tracking_uri: str | None,
    rows: str | None,
    columns: str | None,
    metric: str | None,
    form: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Print a table of means over seeds, for a paper: which is best, and how surely."""
    from mimsweep.orchestrator.showing.means import FORMS, Wanted, means, to_json, versions
    from mimsweep.orchestrator.showing.study import Study
    from mimsweep.orchestrator.showing.table import write_text
    from mimsweep.orchestrator.tracking.uri import resolve_uri
    from mimsweep.orchestrator.tracking.writer import Tracking

    loaded = load(sweep, overrides)
    _require_other(output, loaded.name, sweep, loaded.published)
    study = Study(loaded, Tracking(resolve_uri(tracking_uri), create=False).require())
    given = ((text or "").split(",") for text in (rows, columns, metric))
    wanted = Wanted(*([name.strip() for name in names if name.strip()] for names in given))
    made = means(study, wanted)
    tell([study.others_line] if study.others_line else [])
    text = FORMS[form](made, versions(study.store.invocations(loaded.name)))
    if len(study.table) < len(loaded.runs):
        tell([f"{loaded.name}: {len(study.table)} of {len(loaded.runs)} runs are complete"])
    if output is not None:
        write_text(text, output)
        click.echo(f"{output}: {loaded.name}", err=True)
    if as_json:
        tell_json(to_json(made))
    elif output is None:
        click.echo(text, nl=False)


def _require_other(output: Path | None, name: str, *files: Path | None) -> None:
    """Refuses to write over a file that a sweep or search of that name has."""
    for file in filter(None, files):
        if output and output.exists() and file.exists() and output.samefile(file):
            raise SpecError(f"--output {output}: that is a file of {name}; name another")


@click.command()
@sweep_file
@overrides
@tracking_uri
@seeds_until_decided
@as_json
def verify(
    sweep: Path,
    overrides: Sequence[str],
    tracking_uri: str | None,
    seeds_until_decided: int | None,
    as_json: bool,
) -> None:
    """Judge the claims of a sweep: holds, fails, undecided. Exit code 0 only if all hold."""
    from mimsweep.orchestrator.showing import looks
    from mimsweep.orchestrator.showing.judge import to_lines
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = load(sweep, overrides)
    found = looks.verify(loaded, resolve_uri(tracking_uri), seeds_until_decided)
    tell(found.lines)
    if as_json:
        tell_json(found.to_json())
    else:
        for judgement in found.judgements:
            click.echo("\n".join(to_lines(judgement)))
        if found.line:
            click.echo(found.line)
    sys.exit(0 if found.all_hold else 1)
