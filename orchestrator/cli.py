"""The command line: thin; each command loads what it needs when it runs.

Exit codes: 0 all complete; 1 some runs failed; 2 the input is wrong; 3 the tracking store can't be
reached; 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.errors import MimsweepError, SpecError, TrainingError

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.sweep import Sweep

INTERRUPTED = 130

sweep_file = click.argument("sweep", type=click.Path(path_type=Path))
sweep_files = click.argument(
    "sweeps", metavar="SWEEP...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
overrides = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Replace a field: one value, a list 2,10,20 or a range 1..3. May be given several times.",
)
tracking_uri = click.option(
    "--tracking-uri",
    metavar="URI",
    help="Tracking store; else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db in this folder.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
cohort_size = click.option(
    "--cohort-size",
    metavar="N|auto",
    default="auto",
    show_default=True,
    help="Most runs trained as one stack.",
)
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train; auto: GPUs if there are any.",
)


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
    loaded = _load(sweep, overrides)
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

    loaded = _load(sweep, overrides)
    size = _cohort_size(cohort_size)
    kind, _ = local_slots(device, 1)
    complete = _read_store(tracking_uri).complete(loaded.name)
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
@click.option("--engine", type=click.Choice(["local"]), default="local", show_default=True)
@device
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    help="Worker processes; by default one per GPU, else one per CPU core.",
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
    cohort_size: str,
    fail_fast: bool,
    max_failures: int | None,
    timeout: float,
    retries: int,
    fresh: bool,
) -> None:
    """Train the runs of a sweep that are not complete yet."""
    del engine  # one for now; the choice keeps scripts valid
    from orchestrator.dispatch import Policy
    from orchestrator.progress import view
    from orchestrator.run import Options, run_sweep
    from orchestrator.tracking_store import resolve_uri

    loaded = _load(sweep, overrides)
    options = Options(
        device=device,
        workers=workers,
        cohort_size=_cohort_size(cohort_size),
        tracking_uri=resolve_uri(tracking_uri),
        data_dir=_data_dir(),
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
@overrides
@tracking_uri
@as_json
def status(sweep: Path, overrides: Sequence[str], tracking_uri: str | None, as_json: bool) -> None:
    """Count the runs of a sweep by status."""
    loaded = _load(sweep, overrides)
    known = _read_store(tracking_uri).statuses(loaded.name)
    states = [known.get(run.run_key) for run in loaded.runs]
    counts = {"sweep": loaded.name, "total": len(states)} | {
        name.lower(): sum(state is not None and state.status == name for state in states)
        for name in ("FINISHED", "FAILED", "RUNNING", "KILLED")
    }
    counts["missing"] = sum(state is None for state in states)
    if as_json:
        click.echo(json.dumps(counts, indent=2))
        return
    click.echo(f"{loaded.name}: {counts['finished']}/{counts['total']} complete")
    for name in ("failed", "running", "killed", "missing"):
        if counts[name]:
            click.echo(f"  {counts[name]} {name}")
    for run, state in zip(loaded.runs, states, strict=True):
        if state is not None and state.status == "FAILED":
            click.echo(f"  {run.run_name} failed: {state.reason} (MLflow run {state.run_id})")


@main.command()
@sweep_file
@overrides
@tracking_uri
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .csv, .parquet or .json file; by default CSV to stdout.",
)
def results(
    sweep: Path, overrides: Sequence[str], tracking_uri: str | None, output: Path | None
) -> None:
    """Print or store the table of complete runs: a row per run."""
    from orchestrator.table import results_table, write_table

    loaded = _load(sweep, overrides)
    table = results_table(_read_store(tracking_uri).frame(loaded.name), loaded.runs)
    if output is None:
        click.echo(table.to_csv(index=False), nl=False)
    else:
        write_table(table, output)
        click.echo(f"{output}: {len(table)} of {len(loaded.runs)} runs", err=True)


@main.command()
@sweep_files
@tracking_uri
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("figures"),
    show_default=True,
    help="Gets a folder of figures for each sweep.",
)
def figures(sweeps: Sequence[Path], tracking_uri: str | None, output: Path) -> None:
    """Draw the curves of sweeps from their complete runs; store them on the parent run too."""
    from orchestrator.table import results_table
    from orchestrator.tracking import Tracking
    from orchestrator.tracking_store import resolve_uri

    loaded = [_load(path, ()) for path in sweeps]
    reader = _read_store(tracking_uri)
    drawn = 0
    for sweep in loaded:
        table = results_table(reader.frame(sweep.name), sweep.runs)
        if table.empty:
            click.echo(f"{sweep.name}: no complete runs yet, nothing to draw", err=True)
            continue
        folder = output / sweep.name
        _draw(sweep, table, folder)
        drawn += 1
        if parent_id := reader.latest_parent(sweep.name):
            Tracking(resolve_uri(tracking_uri)).log_folder(parent_id, folder)
        click.echo(f"{folder}: {len(table)} of {len(sweep.runs)} runs")
    if not drawn:
        raise SpecError("no sweep has complete runs; start one with `mimsweep run SWEEP`")


@main.command()
@tracking_uri
@click.option("--port", metavar="N", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(tracking_uri: str | None, port: int) -> None:
    """Open MLflow's pages on the tracking store, at http://127.0.0.1:PORT."""
    from orchestrator.tracking_store import resolve_uri

    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    os.execv(  # noqa: S606
        sys.executable, [*command, "--backend-store-uri", resolve_uri(tracking_uri)]
    )


def _load(path: Path, overrides: Sequence[str]) -> Sweep:
    from orchestrator.sweep import load_sweep

    return load_sweep(path, overrides)


def _read_store(tracking_uri: str | None) -> Any:  # noqa: ANN401
    from orchestrator.tracking import Tracking
    from orchestrator.tracking_store import resolve_uri

    return Tracking(resolve_uri(tracking_uri), create=False)


def _draw(sweep: Sweep, table: pd.DataFrame, folder: Path) -> None:
    from dashboards.figures import default_axes, draw

    axes = sweep.figures.model_dump() if sweep.figures else default_axes(table)
    try:
        draw(table, name=sweep.name, description=sweep.description, folder=folder, **axes)
    except ValueError as error:
        raise SpecError(f"{sweep.name}: {error}") from error


def _cohort_size(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise SpecError(f"--cohort-size {text}: it must be a whole number from 1, or auto")


def _data_dir() -> Path:
    return Path(os.environ.get("MIMSWEEP_DATA_DIR", "data"))
