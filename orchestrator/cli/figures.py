"""The commands that draw what was tracked: figures, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mimsweep.orchestrator import defaults
from mimsweep.orchestrator.cli.options import (
    PathType,
    as_json,
    either_files,
    load,
    load_either,
    overrides,
    sweep_files,
    tell_json,
    tracking_uri,
)
from mimsweep.orchestrator.defaults import data_dir
from mimsweep.orchestrator.errors import MissingError


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
@click.option(
    "--watch", is_flag=True, help="Draw again as runs get complete, until all have ended."
)
@as_json
def figures(
    sweeps: Sequence[Path],
    overrides: Sequence[str],
    tracking_uri: str | None,
    output: Path,
    latent: bool,
    watch: bool,
    as_json: bool,
) -> None:
    """Draw sweeps from their complete runs; store the figures on the parent run too."""
    from mimsweep.orchestrator.showing.output import draw_sweeps
    from mimsweep.orchestrator.showing.watch import as_they_grow
    from mimsweep.orchestrator.tracking.artifacts import files_in
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = [load(path, overrides) for path in sweeps]
    folders = {sweep.name: output / sweep.name for sweep in loaded}
    before = {name: files_in(folder) for name, folder in folders.items()}
    uri, lost = resolve_uri(tracking_uri), dict[str, MissingError]()
    for grown in as_they_grow(loaded, uri) if watch else [loaded]:
        names = [sweep.name for sweep in grown]
        lost = {name: error for name, error in lost.items() if name not in names}
        try:
            for line in draw_sweeps(grown, uri, output, latent, data_dir()):
                click.echo(line, err=as_json)
        except MissingError as error:  # the rest is drawn
            lost |= dict.fromkeys(names, error)
    if as_json:
        drawn = {name: files_in(folder) - before[name] for name, folder in folders.items()}
        paths = {n: sorted(str(folders[n] / file) for file, *_ in drawn[n]) for n in folders}
        tell_json({"figures": paths})
    if lost:
        raise next(iter(lost.values()))


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
@as_json
def report(
    sweeps: Sequence[Path],
    overrides: Sequence[str],
    tracking_uri: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Write one HTML file on sweeps and searches, to be sent to others; it needs no network."""
    from mimsweep.orchestrator.showing.output import report_on
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = [load_either(path, overrides) for path in sweeps]
    lost = None
    try:
        for line in report_on(loaded, resolve_uri(tracking_uri), output, data_dir()):
            click.echo(line, err=as_json)
    except MissingError as error:  # the page has the rest
        lost = error
    if as_json:
        tell_json({"report": str(output), "names": [each.name for each in loaded]})
    if lost:
        raise lost
