"""What the commands that train share: their options, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from mimsweep.orchestrator.cli.options import cohort_size, data_dir, device
from mimsweep.orchestrator.errors import MimsweepError, SpecError, TrainingError
from mimsweep.orchestrator.stopping import INTERRUPTED, STOP, interrupted

if TYPE_CHECKING:
    from mimsweep.orchestrator.running.invocation import Options
    from mimsweep.orchestrator.running.policy import Outcome

C = TypeVar("C", bound=Callable[..., Any])

engine = click.option(
    "--engine",
    type=click.Choice(["local", "ray", "inline"]),
    default="local",
    show_default=True,
    help="Where workers are: processes of this machine, actors of the Ray cluster at RAY_ADDRESS "
    "(else of a Ray started here), or this process, for debugging.",
)
workers = click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    help="Workers; by default one per GPU or, on a CPU, per core.",
)
gpus_per_worker = click.option(
    "--gpus-per-worker",
    metavar="GPUS",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Of each worker of the Ray engine on GPUs; a fraction lets workers share one.",
)
fail_fast = click.option("--fail-fast", is_flag=True, help="Stop everything when a run fails.")
max_failures = click.option(
    "--max-failures",
    metavar="N",
    type=click.IntRange(min=1),
    help="Stop everything when so many runs have failed.",
)
timeout = click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="A cohort that ends no epoch, and no measures, for so long is lost, and tried again; by "
    "default four times what they take by estimate, at least 1800 s.",
)
retries = click.option(
    "--retries",
    metavar="N",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="How often a lost cohort is tried again before it is split to find the guilty run.",
)


def training(command: C) -> C:
    """Adds the options of `training_options` to a command."""
    for option in (
        retries,
        timeout,
        max_failures,
        fail_fast,
        cohort_size,
        gpus_per_worker,
        workers,
        device,
        engine,
    ):
        command = option(command)
    return command


def training_options(
    tracking_uri: str | None,
    *,
    cohort_size: str,
    fail_fast: bool,
    max_failures: int | None,
    timeout: float | None,
    retries: int,
    fresh: bool = False,
    fresh_stale: bool = False,
    **where: Any,  # noqa: ANN401
) -> Options:
    """Returns how to train, as the command line says."""
    from mimsweep.orchestrator.running.invocation import Options
    from mimsweep.orchestrator.running.policy import Policy
    from mimsweep.orchestrator.tracking.uri import resolve_uri

    return Options(
        cohort_size=cohort_limit_of(cohort_size),
        tracking_uri=resolve_uri(tracking_uri),
        data_dir=data_dir(),
        policy=Policy(retries, timeout, 1 if fail_fast else max_failures),
        fresh=fresh,
        fresh_stale=fresh_stale,
        **where,
    )


def end(outcome: Outcome) -> None:
    """Ends the command with the exit code of what it came to."""
    if outcome.interrupted:
        left = f"{outcome.left}; " if outcome.left else ""
        end_interrupted(f"{left}the same command completes what is missing")
    if outcome.failed:
        lines = [f"{run.run_name}: {reason}" for run, reason in outcome.failed.items()]
        raise TrainingError("\n  ".join([f"{len(lines)} runs failed:", *lines]))


def end_failed(error: MimsweepError) -> NoReturn:
    """Ends a command with an error's sentence and exit code."""
    click.echo(f"mimsweep: {error}", err=True)
    sys.exit(error.exit_code)


def end_interrupted(left: str) -> NoReturn:
    """Ends a command that was told to stop; `left` says what it leaves, if anything."""
    STOP.told = True
    click.echo(f"mimsweep: {interrupted(left)}", err=True)
    sys.exit(INTERRUPTED)


def cohort_limit_of(text: str) -> int | None:
    """Returns the value of `--cohort-size`: None for auto."""
    if text == "auto":
        return None
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise SpecError(f"--cohort-size {text}: it must be a whole number from 1, or auto")
