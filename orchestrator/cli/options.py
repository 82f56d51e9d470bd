"""What the commands share: options and arguments, and how they load their input."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimsweep.orchestrator import defaults
from mimsweep.orchestrator.errors import SpecError

if TYPE_CHECKING:
    from mimsweep.orchestrator.files.search import Search
    from mimsweep.orchestrator.files.sweep import Sweep


class PathType(click.Path):
    """A path, in which `~` is the home folder: behind `--output=` no shell sees to that."""

    def __init__(self, **how: Any) -> None:  # noqa: ANN401
        """Takes what `click.Path` takes."""
        super().__init__(path_type=Path, **how)

    def convert(
        self,
        value: Any,  # noqa: ANN401
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401
        """Returns the path."""
        return super().convert(os.path.expanduser(value), param, ctx)


_path = PathType()
sweep_file = click.argument("sweep", type=_path)
sweep_files = click.argument("sweeps", metavar="SWEEP...", nargs=-1, required=True, type=_path)
either_file = click.argument("sweep", metavar="FILE", type=_path)
either_files = click.argument("sweeps", metavar="FILE...", nargs=-1, required=True, type=_path)
seeds_until_decided = click.option(
    "--seeds-until-decided",
    metavar="N",
    type=click.IntRange(min=2),
    help="Add seeds until all claims are decided, N in all at most: twice as many, four times …, "
    "each time judged at a level of 5 % divided by the number of times.",
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
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for scripts (docs/agents.md)."
)
cohort_size = click.option(
    "--cohort-size",
    metavar="N|auto",
    default=defaults.COHORT_SIZE,
    show_default=True,
    help="Most runs trained as one stack.",
)
device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default=defaults.DEVICE,
    show_default=True,
    help="Where to train; auto: GPUs or CPU cores, what a short measurement finds faster; on a "
    "cluster GPUs if there are any.",
)


order = click.option(
    "--order",
    type=click.Choice(["cost", "overview"]),
    default=defaults.ORDER,
    show_default=True,
    help="What trains first: the longest; or one seed of every cell, for curves of the whole.",
)


def load(path: Path, overrides: Sequence[str]) -> Sweep:
    """Returns the sweep of a file, with fields replaced."""
    from mimsweep.orchestrator.files.sweep import load_sweep

    return load_sweep(path, overrides)


def load_either(path: Path, overrides: Sequence[str]) -> Sweep | Search:
    """Returns the sweep of a file, with fields replaced, or its search."""
    from mimsweep.orchestrator.files import search

    return search.load_either(path, overrides)


def tell(lines: Iterable[str]) -> None:
    """Says lines on the standard error, of a command whose output is for others."""
    for line in lines:
        click.echo(f"mimsweep: {line}", err=True)


def tell_json(made: object) -> None:
    """Prints what a command came to, for scripts."""
    click.echo(json.dumps(made, indent=2))


def command_for(
    name: str, file: Path | None, overrides: Sequence[str], tracking_uri: str | None
) -> str:
    """Returns a command to go on with, of the same modules, file, fields and store, for a shell."""
    words = ["mimsweep"]
    for module in click.get_current_context().find_root().params["modules"]:
        words += ["--import", module]
    words.append(name)
    if file is not None:
        shown = f"./{file}" if str(file).startswith("-") else str(file)  # else it is an option
        words += [shown, *(f"--set={override}" for override in overrides)]
    if tracking_uri:
        from mimsweep.orchestrator.tracking.uri import without_secrets

        words += ["--tracking-uri", without_secrets(tracking_uri, tracking_uri)]
    return shlex.join(words)


def add_modules(names: Sequence[str]) -> None:
    """Lets modules that add something be imported, here and in the workers.

    Raises:
        SpecError: one can't be imported.
    """
    if not names:
        return
    from mimsweep.models import registry

    present = os.environ.get(registry.VARIABLE, "")
    os.environ[registry.VARIABLE] = ",".join([present, *names] if present else names)
    try:
        registry.load()
    except registry.RegistrationError as error:
        raise SpecError(f"--import {error}") from error
