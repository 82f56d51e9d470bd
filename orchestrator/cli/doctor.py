"""The command `doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mimsweep.orchestrator.cli.options import PathType, as_json, tell_json, tracking_uri
from mimsweep.orchestrator.defaults import data_dir


@click.command()
@tracking_uri
@click.option(
    "--move-artifacts",
    metavar="FOLDER",
    type=PathType(),
    help="First tell the store that its artifacts are in this folder now, of a project that was "
    "moved or copied; by MLflow's default it is called mlruns.",
)
@as_json
def doctor(tracking_uri: str | None, move_artifacts: Path | None, as_json: bool) -> None:
    """Check this machine and the tracking store: a line each, OK, WARN or FAIL."""
    from mimsweep.orchestrator.running.doctor import examine, exit_code
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    checks = []
    for check in examine(resolve_uri(tracking_uri), data_dir(), move_artifacts):
        checks.append(check)
        if not as_json:
            click.echo(f"{check.state:<5}{check.name}: {check.text}")
    if as_json:
        tell_json([vars(check) for check in checks])
    sys.exit(exit_code(checks))
