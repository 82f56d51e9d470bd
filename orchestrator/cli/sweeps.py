"""The command `sweeps`: what is shipped."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from mimsweep.orchestrator.cli.options import as_json


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
        click.echo(json.dumps([asdict(each) for each in there], indent=2))
        return
    width = max(len(each.name) for each in there)
    for each in there:
        click.echo(f"{each.name:<{width}}  {each.kind:<6}  {each.description}")


@sweeps.command()
@click.argument("name")
def copy(name: str) -> None:
    """Copy a shipped sweep here, with the table and the schema that it names."""
    from mimsweep.orchestrator.files import shipped

    for path in shipped.copy(name, Path()):
        click.echo(path)
