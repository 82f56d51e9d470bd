"""The command line: thin; each command loads what it needs when it runs.

Exit codes: 0 all complete; 1 some runs failed; 2 the input is wrong; 3 the tracking store can't be
reached; 130 interrupted.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mimsweep.orchestrator.cli import figures as cli_figures
from mimsweep.orchestrator.cli import results as cli_results
from mimsweep.orchestrator.cli import search as cli_search
from mimsweep.orchestrator.cli.doctor import doctor
from mimsweep.orchestrator.cli.measure import measure
from mimsweep.orchestrator.cli.options import (
    add_modules,
    as_json,
    cohort_size,
    command_for,
    device,
    either_file,
    load,
    load_either,
    order,
    overrides,
    seeds_until_decided,
    sweep_file,
    tell,
    tell_json,
    tracking_uri,
)
from mimsweep.orchestrator.cli.schema import schema
from mimsweep.orchestrator.cli.streams import guarded
from mimsweep.orchestrator.cli.sweeps import sweeps
from mimsweep.orchestrator.cli.training import (
    cohort_limit_of,
    end_failed,
    end_interrupted,
    training,
)
from mimsweep.orchestrator.cli.ui import ui
from mimsweep.orchestrator.defaults import Order
from mimsweep.orchestrator.errors import MimsweepError, SpecError
from mimsweep.orchestrator.stopping import STOP
from mimsweep.orchestrator.surroundings import (
    in_sentences,
    leave_out_others,
    require_folder,
    system_refuses,
)


class _Commands(click.Group):
    """Ends a command that failed with a sentence and the error's exit code."""

    def main(self, *arguments: Any, **how: Any) -> Any:  # noqa: ANN401
        with guarded():
            try:
                with STOP.heeded():
                    return super().main(*arguments, **how)
            except MimsweepError as error:  # the help can't be printed
                end_failed(error)
            except RuntimeError as error:  # nor can the thread be had that heeds signals
                if not (refused := system_refuses(error)):
                    raise
                end_failed(SpecError(refused))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        try:
            with in_sentences():
                return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort) as stopped:
            end_interrupted(str(stopped))
        except MimsweepError as error:
            end_failed(error)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mimsweep")
@click.option(
    "--import",
    "modules",
    metavar="MODULE",
    multiple=True,
    help="Import a module that adds data sets, losses or distributions, from this folder or "
    "PYTHONPATH; MIMSWEEP_IMPORT does the same. May be given several times.",
)
def main(modules: Sequence[str]) -> None:
    """Train sweeps of latent-variable models as stacks, tracked in MLflow."""
    require_folder()
    add_modules(modules)


@main.command()
@either_file
@overrides
@as_json
def validate(sweep: Path, overrides: Sequence[str], as_json: bool) -> None:
    """Check a sweep or search file; write nothing."""
    from mimsweep.orchestrator.files.sweep import Sweep
    from mimsweep.orchestrator.files.yamlfile import shown_name

    loaded = load_either(sweep, overrides)
    if as_json:
        tell_json({"file": shown_name(sweep), **loaded.to_json()})
        return
    click.echo(f"{shown_name(sweep)}: {loaded.name}, {loaded.size}")
    if isinstance(loaded, Sweep):
        for line in loaded.files:
            click.echo(f"  {line}")


@main.command()
@either_file
@overrides
@tracking_uri
@cohort_size
@device
@order
@as_json
def plan(
    sweep: Path,
    overrides: Sequence[str],
    tracking_uri: str | None,
    cohort_size: str,
    device: str,
    order: Order,
    as_json: bool,
) -> None:
    """Show what would run, and in which cohorts; of a search, what it may cost at most."""
    from mimsweep.orchestrator.files.sweep import Sweep
    from mimsweep.orchestrator.showing.listing import open_list
    from mimsweep.orchestrator.showing.listing import planned as made_plan
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    loaded = load_either(sweep, overrides)
    size = cohort_limit_of(cohort_size)
    store = open_list(resolve_uri(tracking_uri))
    if not isinstance(loaded, Sweep):
        cli_search.tell_plan(loaded, len(store.complete(loaded.name)), as_json)
        return
    made = made_plan(loaded, store.statuses(loaded.name), size, device, order)
    tell(made.lines)
    planned = made.to_json()
    if as_json:
        tell_json(planned)
        return
    click.echo(f"{loaded.name}: {planned['runs']} runs, {planned['complete']} complete")
    for line in made.stale.lines:
        click.echo(f"  {line}")
    for cohort in planned["cohorts"]:
        spec = " ".join(f"{name}={value}" for name, value in cohort["spec"].items())
        click.echo(f"  {cohort['size']:>4} runs  {spec}")


@main.command()
@sweep_file
@overrides
@tracking_uri
@training
@order
@click.option("--fresh", is_flag=True, help="Train complete runs anew too.")
@click.option(
    "--fresh-stale",
    is_flag=True,
    help="Train those complete runs anew whose code, a user's, has changed since.",
)
@seeds_until_decided
@click.option(
    "--notify",
    metavar="URL",
    help="A webhook that gets JSON when the first run fails, and when all has ended.",
)
@as_json
def run(
    sweep: Path,
    overrides: Sequence[str],
    tracking_uri: str | None,
    cohort_size: str,
    seeds_until_decided: int | None,
    as_json: bool,
    **how: Any,  # noqa: ANN401
) -> None:
    """Train the runs of a sweep that are not complete yet."""
    from mimsweep.orchestrator.running.policy import training_options
    from mimsweep.orchestrator.running.progress import view
    from mimsweep.orchestrator.running.run import run_sweep

    loaded = load(sweep, overrides)
    options = training_options(tracking_uri, cohort_size=cohort_limit_of(cohort_size), **how)
    if seeds_until_decided is not None:
        from mimsweep.orchestrator.showing.looks import run_until_decided

        loaded, outcome = run_until_decided(
            loaded, seeds_until_decided, options, lambda line: tell([line])
        )
    else:
        with view() as shown:
            outcome = run_sweep(loaded, options, shown)
    if as_json and not outcome.interrupted:
        from mimsweep.orchestrator.showing.listing import standing

        tell_json(standing(loaded, options.tracking_uri).to_json())
    outcome.require_all()
    if str(sweep) != "-":  # the standard input has been read
        figures = command_for("figures", sweep, overrides, tracking_uri)
        ui = command_for("ui", None, (), tracking_uri)
        click.echo(f"`{figures}` draws it, `{ui}` shows its runs", err=True)


@main.command()
@either_file
@tracking_uri
@as_json
def cancel(sweep: Path, tracking_uri: str | None, as_json: bool) -> None:
    """Stop a sweep or search that is being run; what is complete stays."""
    from mimsweep.orchestrator.files.sweep import Sweep
    from mimsweep.orchestrator.running.cancel import cancel_sweep
    from mimsweep.orchestrator.tracking.uri import resolve_uri
    from mimsweep.orchestrator.tracking.writer import Tracking

    loaded = load_either(sweep, ())
    store = Tracking(resolve_uri(tracking_uri), create=False)
    stopped = cancel_sweep(store, loaded.name)
    if as_json:
        kind = "sweep" if isinstance(loaded, Sweep) else "search"
        tell_json({kind: loaded.name, "stopped": stopped})
        return
    if stopped is None:
        click.echo(f"{loaded.name} is not being run: nothing to cancel")
        return
    complete, command = set(store.complete(loaded.name)), "search"
    count = str(len(complete))
    if isinstance(loaded, Sweep):
        complete &= {run.run_key for run in loaded.runs}
        count, command = f"{len(complete)}/{len(loaded.runs)}", "run"
    click.echo(
        f"{loaded.name}: {stopped}, has stopped; {count} runs are complete, and "
        f"`{command_for(command, sweep, (), tracking_uri)}` goes on from there"
    )


for _command in (
    cli_results.status,
    cli_results.results,
    cli_figures.figures,
    cli_figures.report,
    cli_results.table,
    cli_results.verify,
    cli_search.search,
    doctor,
    measure,
    schema,
    sweeps,
    ui,
):
    main.add_command(_command)


def program() -> None:
    """The command `mimsweep`: `main`, with half of the time that Python itself takes saved."""
    STOP.ends_process = True
    leave_out_others()
    # MLflow's half a million objects stay; looking for garbage among them takes half a second.
    gc.set_threshold(200_000)
    code = 1

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    # The first to be registered is the last to be called. What would follow, taking every module
    # apart, takes a third of a second and changes nothing.
    atexit.register(leave)
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise
