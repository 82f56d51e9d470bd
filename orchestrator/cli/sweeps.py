"""The command `sweeps`: what is shipped."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from mimsweep.orchestrator.cli.options import as_json, tell_json


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def sweeps(ctx: click.Context, as_json: bool) -> None:
    """List the sweeps and searches that come with mimsweep; `sweeps copy NAME` makes one yours."""
    if ctx.invoked_subcommand:
        return
    from mimsweep.orchestrator.files.shipped import shipped

    there = list(shipped())
    if as_json:
        tell_json([asdict(each) for each in there])
        return
    width = max(len(each.name) for each in there)
    for each in there:
        click.echo(f"{each.name:<{width}}  {each.kind:<6}  {each.description}")


@sweeps.command()
@click.argument("name")
@as_json
def copy(name: str, as_json: bool) -> None:
    """Copy a shipped sweep here, with the table and the schema that it names."""
    from mimsweep.orchestrator.files import shipped

    copies = shipped.copy(name, Path())
    if as_json:
        tell_json({"copied": [str(path) for path in copies]})
        return
    for path in copies:
        click.echo(path)
