"""The command line: thin; each command loads what it needs when it runs.

Exit codes: 0 all complete; 1 some runs failed; 2 the input is wrong; 3 the tracking store can't be
reached; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator import cli_results
from orchestrator.cli_options import (
    as_json,
    cohort_size,
    data_dir,
    device,
    load,
    overrides,
    read_store,
    sweep_file,
    tracking_uri,
)
from orchestrator.errors import MimsweepError, SpecError, TrainingError

INTERRUPTED = 130


class _Commands(click.Group):
    """Ends a command that failed with a sentence and the error's exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except MimsweepError as error:
            click.echo(f"mimsweep: {error}", err=True)
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("mimsweep: interrupted", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mimsweep")
def main() -> None:
    """Train sweeps of latent-variable models as stacks, tracked in MLflow."""


@main.command()
@sweep_file
@overrides
def validate(sweep: Path, overrides: Sequence[str]) -> None:
    """Check a sweep file; write nothing."""
    loaded = load(sweep, overrides)
    click.echo(f"{sweep}: {loaded.name}, {len(loaded.runs)} runs")


@main.command()
@sweep_file
@overrides
@tracking_uri
@cohort_size
@device
@as_json
def plan(
    sweep: Path,
    overrides: Sequence[str],
    tracking_uri: str | None,
    cohort_size: str,
    device: str,
    as_json: bool,
) -> None:
    """Show what would run, and in which cohorts; write nothing."""
    from orchestrator.engines.local import local_slots
    from orchestrator.plan import plan as make_plan

    loaded = load(sweep, overrides)
    size = _cohort_size(cohort_size)
    kind, _ = local_slots(device, 1)
    complete = read_store(tracking_uri).complete(loaded.name)
    planned = make_plan(loaded.name, loaded.runs, complete, size, kind).to_json()
    if as_json:
        click.echo(json.dumps(planned, indent=2))
        return
    click.echo(f"{loaded.name}: {planned['runs']} runs, {planned['complete']} complete")
    for cohort in planned["cohorts"]:
        spec = " ".join(f"{name}={value}" for name, value in cohort["spec"].items())
        click.echo(f"  {cohort['size']:>4} runs  {spec}")


@main.command()
@sweep_file
@overrides
@tracking_uri
@click.option(
    "--engine",
    type=click.Choice(["local", "ray", "inline"]),
    default="local",
    show_default=True,
    help="Where workers are: processes of this machine, actors of the Ray cluster at RAY_ADDRESS "
    "(else of a Ray started here), or this process, for debugging.",
)
@device
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    help="Workers; by default one per GPU, else one per CPU core.",
)
@click.option(
    "--gpus-per-worker",
    metavar="GPUS",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Of each worker of the Ray engine on GPUs; a fraction lets workers share one.",
)
@cohort_size
@click.option("--fail-fast", is_flag=True, help="Stop everything when a run fails.")
@click.option(
    "--max-failures",
    metavar="N",
    type=click.IntRange(min=1),
    help="Stop everything when so many runs have failed.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=1800,
    show_default=True,
    help="A cohort that ends no epoch for so long is lost, and tried again.",
)
@click.option(
    "--retries",
    metavar="N",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="How often a lost cohort is tried again before it is split to find the guilty run.",
)
@click.option("--fresh", is_flag=True, help="Train complete runs anew too.")
def run(
    sweep: Path,
    overrides: Sequence[str],
    tracking_uri: str | None,
    engine: str,
    device: str,
    workers: int | None,
    gpus_per_worker: float,
    cohort_size: str,
    fail_fast: bool,
    max_failures: int | None,
    timeout: float,
    retries: int,
    fresh: bool,
) -> None:
    """Train the runs of a sweep that are not complete yet."""
    from orchestrator.dispatch import Policy
    from orchestrator.progress import view
    from orchestrator.run import Options, run_sweep
    from orchestrator.tracking_store import resolve_uri

    loaded = load(sweep, overrides)
    options = Options(
        engine=engine,
        device=device,
        workers=workers,
        gpus_per_worker=gpus_per_worker,
        cohort_size=_cohort_size(cohort_size),
        tracking_uri=resolve_uri(tracking_uri),
        data_dir=data_dir(),
        policy=Policy(retries, timeout, 1 if fail_fast else max_failures),
        fresh=fresh,
    )
    with view() as shown:
        outcome = run_sweep(loaded, options, shown)
    if outcome.interrupted:
        click.echo("mimsweep: interrupted; the same command completes what is missing", err=True)
        sys.exit(INTERRUPTED)
    if outcome.failed:
        lines = [f"{run.run_name}: {reason}" for run, reason in outcome.failed.items()]
        raise TrainingError("\n  ".join([f"{len(lines)} runs failed:", *lines]))


@main.command()
@sweep_file
@tracking_uri
def cancel(sweep: Path, tracking_uri: str | None) -> None:
    """Stop a sweep that is being run; what is complete stays."""
    from orchestrator.cancel import cancel_sweep

    loaded = load(sweep, ())
    store = read_store(tracking_uri)
    stopped = cancel_sweep(store, loaded.name)
    if stopped is None:
        click.echo(f"{loaded.name} is not being run: nothing to cancel")
        return
    complete = set(store.complete(loaded.name)) & {run.run_key for run in loaded.runs}
    click.echo(
        f"{loaded.name}: {stopped}, has stopped; {len(complete)}/{len(loaded.runs)} runs are "
        f"complete, and `mimsweep run {sweep}` goes on from there"
    )


@main.command()
@tracking_uri
@as_json
def doctor(tracking_uri: str | None, as_json: bool) -> None:
    """Check this machine and the tracking store: a line each, OK, WARN or FAIL."""
    from orchestrator.doctor import examine, exit_code
    from orchestrator.tracking_store import resolve_uri

    checks = []
    for check in examine(resolve_uri(tracking_uri), data_dir()):
        checks.append(check)
        if not as_json:
            click.echo(f"{check.state:<5}{check.name}: {check.text}")
    if as_json:
        click.echo(json.dumps([vars(check) for check in checks], indent=2))
    sys.exit(exit_code(checks))


def _cohort_size(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise SpecError(f"--cohort-size {text}: it must be a whole number from 1, or auto")


for _command in (
    cli_results.status,
    cli_results.results,
    cli_results.figures,
    cli_results.report,
    cli_results.verify,
    cli_results.ui,
):
    main.add_command(_command)
