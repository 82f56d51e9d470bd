"""The command `measure`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mimsweep.orchestrator.cli.options import (
    as_json,
    load,
    overrides,
    sweep_file,
    tell_json,
    tracking_uri,
)
from mimsweep.orchestrator.defaults import data_dir
from mimsweep.orchestrator.errors import TrainingError


@click.command()
@sweep_file
@overrides
@tracking_uri
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    help="Processes that measure; by default one per CPU core.",
)
@as_json
def measure(
    sweep: Path,
    overrides: Sequence[str],
    tracking_uri: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Measure complete runs anew from their stored weights, without training them."""
    from mimsweep.orchestrator.running.measure import measure_sweep
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = load(sweep, overrides)
    failed: list[dict[str, str]] = []
    count = 0
    for each in measure_sweep(loaded, resolve_uri(tracking_uri), data_dir(), workers):
        count += 1
        if each.reason:
            failed.append({"run_name": each.run.run_name, "reason": each.reason})
            click.echo(f"  {each.run.run_name}: {each.reason}", err=True)
    measured, total = count - len(failed), len(loaded.runs)
    if as_json:
        told = {"sweep": loaded.name, "total": total, "measured": measured, "failures": failed}
        tell_json(told)
    else:
        click.echo(f"{loaded.name}: {measured} of {total} runs measured")
    if failed:
        raise TrainingError(f"{len(failed)} runs could not be measured")
