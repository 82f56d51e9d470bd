"""The command `ui`."""

from __future__ import annotations

import os
import sys

import click

from mimsweep.orchestrator.cli.options import tracking_uri
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.stopping import kill_children


@click.command()
@tracking_uri
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(1, 65535),
    default=5000,
    show_default=True,
    help="Port of the pages.",
)
def ui(tracking_uri: str | None, port: int) -> None:
    """Open MLflow's pages on the tracking store, at http://127.0.0.1:PORT."""
    import subprocess

    from mimsweep.orchestrator.tracking.uri import resolve_uri
    from mimsweep.orchestrator.tracking.writer import Tracking

    uri = resolve_uri(tracking_uri)
    # MLflow would make a store that isn't there, and end in a traceback of what is wrong with one.
    Tracking(uri, create=False).require()
    _require_port(port)
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    # Eight more processes, for jobs that we have none of, would take half a core from trainers.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ}
    # In a session of its own: told to stop by a terminal, MLflow ends late, or not at all.
    pages = subprocess.Popen(
        [*command, "--backend-store-uri", uri], env=environment, start_new_session=True
    )
    try:
        sys.exit(pages.wait())
    finally:
        kill_children()


def _require_port(port: int) -> None:
    """Sees to it that nobody else serves at a port: MLflow would say so, and exit with 0."""
    import socket

    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as MLflow's server does
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            raise SpecError(f"--port {port}: {error.strerror}; name another port") from error
