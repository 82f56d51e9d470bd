"""The command `schema`."""

from __future__ import annotations

import json

import click

from mimsweep.orchestrator.errors import SpecError


@click.command()
@click.option("--search", is_flag=True, help="Of search files, instead of sweep files.")
def schema(search: bool) -> None:
    """Print the JSON schema of sweep files, for editors; with --import, of your own parts too."""
    from mimsweep.orchestrator.files.schema.documents import search_schema, sweep_schema

    try:
        made = search_schema() if search else sweep_schema()
    except ValueError as error:  # what users have written can't be imported
        raise SpecError(str(error)) from error
    click.echo(json.dumps(made, indent=1, ensure_ascii=False))
