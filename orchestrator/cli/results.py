"""The commands that read what was tracked: status, results, figures, report, verify, ui."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from mimsweep.orchestrator import defaults
from mimsweep.orchestrator.cli.options import (
    PathType,
    as_json,
    either_file,
    either_files,
    load,
    load_either,
    overrides,
    seeds_until_decided,
    sweep_file,
    sweep_files,
    tell,
    tracking_uri,
)
from mimsweep.orchestrator.defaults import data_dir
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.stopping import kill_children


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
        click.echo(json.dumps(found.to_json(), indent=2))
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
def results(
    sweep: Path, overrides: Sequence[str], tracking_uri: str | None, output: Path | None
) -> None:
    """Print or store the table of complete runs: a row per run."""
    from mimsweep.orchestrator.files.sweep import Sweep
    from mimsweep.orchestrator.showing import listing
    from mimsweep.orchestrator.showing.table import write_table
    from mimsweep.orchestrator.tracking.artifacts import missing_error
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = load_either(sweep, overrides)
    published = loaded.published if isinstance(loaded, Sweep) else None
    if output and any(path and _same(output, path) for path in (sweep, published)):
        raise SpecError(f"--output {output}: that is a file of {loaded.name}; name another")
    found = listing.results(loaded, resolve_uri(tracking_uri))
    table = found.table
    tell(found.lines)
    kept = output is not None and table.empty and output.exists()  # the table of earlier runs, say
    if output is None:
        click.echo(table.to_csv(index=False), nl=False)
    elif not kept:
        write_table(table, output)
        click.echo(f"{output}: {len(table)} of {len(found.runs)} runs", err=True)
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
def table(
    sweep: Path,
    overrides: Sequence[str],
    tracking_uri: str | None,
    rows: str | None,
    columns: str | None,
    metric: str | None,
    form: str,
    output: Path | None,
) -> None:
    """Print a table of means over seeds, for a paper: which is best, and how surely."""
    from mimsweep.orchestrator.showing.means import FORMS, Wanted, means, versions
    from mimsweep.orchestrator.showing.study import Study
    from mimsweep.orchestrator.showing.table import write_text
    from mimsweep.orchestrator.tracking.uri import resolve_uri
    from mimsweep.orchestrator.tracking.writer import Tracking

    loaded = load(sweep, overrides)
    study = Study(loaded, Tracking(resolve_uri(tracking_uri), create=False).require())
    given = ((text or "").split(",") for text in (rows, columns, metric))
    wanted = Wanted(*([name.strip() for name in names if name.strip()] for names in given))
    made = means(study, wanted)
    tell([study.others_line] if study.others_line else [])
    text = FORMS[form](made, versions(study.store.invocations(loaded.name)))
    if len(study.table) < len(loaded.runs):
        tell([f"{loaded.name}: {len(study.table)} of {len(loaded.runs)} runs are complete"])
    if output is None:
        click.echo(text, nl=False)
    elif _same(output, sweep):
        raise SpecError(f"--output {output}: that is a file of {loaded.name}; name another")
    else:
        write_text(text, output)
        click.echo(f"{output}: {loaded.name}", err=True)


def _same(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.samefile(other)


@click.command()
@sweep_files
@overrides
@tracking_uri
@click.option(
    "--output",
    metavar="DIR",
    type=PathType(file_okay=False),
    default=defaults.FIGURES,
    show_default=True,
    help="Gets a folder of figures for each sweep.",
)
@click.option(
    "--latent",
    is_flag=True,
    help="Draw also, from stored weights, what runs of two dimensions, or of images, learned.",
)
def figures(
    sweeps: Sequence[Path],
    overrides: Sequence[str],
    tracking_uri: str | None,
    output: Path,
    latent: bool,
) -> None:
    """Draw sweeps from their complete runs; store the figures on the parent run too."""
    from mimsweep.orchestrator.showing.output import draw_sweeps
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = [load(path, overrides) for path in sweeps]
    for line in draw_sweeps(loaded, resolve_uri(tracking_uri), output, latent, data_dir()):
        click.echo(line)


@click.command()
@either_files
@overrides
@tracking_uri
@click.option(
    "--output",
    metavar="FILE",
    type=PathType(dir_okay=False),
    default=defaults.REPORT,
    show_default=True,
    help="The HTML file.",
)
def report(
    sweeps: Sequence[Path], overrides: Sequence[str], tracking_uri: str | None, output: Path
) -> None:
    """Write one HTML file on sweeps and searches, to be sent to others; it needs no network."""
    from mimsweep.orchestrator.showing.output import report_on
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = [load_either(path, overrides) for path in sweeps]
    for line in report_on(loaded, resolve_uri(tracking_uri), output, data_dir()):
        click.echo(line)


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
    from mimsweep.orchestrator import looks
    from mimsweep.orchestrator.showing.judge import to_lines
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = load(sweep, overrides)
    found = looks.verify(loaded, resolve_uri(tracking_uri), seeds_until_decided)
    tell(found.lines)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        for judgement in found.judgements:
            click.echo("\n".join(to_lines(judgement)))
        if found.line:
            click.echo(found.line)
    sys.exit(0 if found.all_hold else 1)


@click.command()
@tracking_uri
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(1, 65535),
    default=5000,
    show_default=True,
    help="Port of the pages.",
)
def ui(tracking_uri: str | None, port: int) -> None:
    """Open MLflow's pages on the tracking store, at http://127.0.0.1:PORT."""
    import subprocess

    from mimsweep.orchestrator.tracking.uri import resolve_uri
    from mimsweep.orchestrator.tracking.writer import Tracking

    uri = resolve_uri(tracking_uri)
    # MLflow would make a store that isn't there, and end in a traceback of what is wrong with one.
    Tracking(uri, create=False).require()
    _require_port(port)
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    # Eight more processes, for jobs that we have none of, would take half a core from trainers.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ}
    # In a session of its own: told to stop by a terminal, MLflow ends late, or not at all.
    pages = subprocess.Popen(
        [*command, "--backend-store-uri", uri], env=environment, start_new_session=True
    )
    try:
        sys.exit(pages.wait())
    finally:
        kill_children()


def _require_port(port: int) -> None:
    """Sees to it that nobody else serves at a port: MLflow would say so, and exit with 0."""
    import socket

    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as MLflow's server does
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            raise SpecError(f"--port {port}: {error.strerror}; name another port") from error
