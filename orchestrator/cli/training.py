"""What the commands that train share: their options, and how commands end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

from mimsweep.orchestrator import defaults
from mimsweep.orchestrator.cli.options import cohort_size, device
from mimsweep.orchestrator.errors import MimsweepError, SpecError
from mimsweep.orchestrator.stopping import INTERRUPTED, STOP, interrupted

C = TypeVar("C", bound=Callable[..., Any])

engine = click.option(
    "--engine",
    type=click.Choice(["local", "ray", "slurm", "inline"]),
    default=defaults.ENGINE,
    show_default=True,
    help="Where workers are: processes of this machine, actors of the Ray cluster at RAY_ADDRESS "
    "(else of a Ray started here), jobs of a Slurm cluster, or this process, for debugging.",
)
workers = click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    help="Workers; by default one per GPU or, on a CPU, per core. With Slurm most jobs at once, "
    "which must be said.",
)
gpus_per_worker = click.option(
    "--gpus-per-worker",
    metavar="GPUS",
    type=click.FloatRange(min=0, min_open=True),
    default=defaults.GPUS_PER_WORKER,
    show_default=True,
    help="Of each worker on a cluster's GPUs; with Ray a fraction lets workers share one.",
)
slurm = click.option(
    "--slurm",
    metavar="KEY=VALUE",
    multiple=True,
    help="An option of Slurm's jobs, by sbatch's long name: partition=gpu, time=4:00:00. May be "
    "given several times.",
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
    default=defaults.RETRIES,
    show_default=True,
    help="How often a lost cohort is tried again before it is split to find the guilty run.",
)


def training(command: C) -> C:
    """Adds the options of `running.policy.training_options` to a command."""
    for option in (
        retries,
        timeout,
        max_failures,
        fail_fast,
        cohort_size,
        slurm,
        gpus_per_worker,
        workers,
        device,
        engine,
    ):
        command = option(command)
    return command


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
