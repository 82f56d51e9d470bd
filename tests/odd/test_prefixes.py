"""A server behind a path of its host, by MLflow's own `--static-prefix`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench import MIMSWEEP
from tests.test_server_mode import free_port, until_open

pytestmark = pytest.mark.slow

SWEEP = "{name: s, fixed: {dataset: toy4, mid_dim: 10, epochs: 2, model: vae}, grid: {seed: 1..2}}"


@contextmanager
def server(folder: Path, *options: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    with (folder / "server.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--backend-store-uri", "sqlite:///server.db", *options],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        until_open(port, process, folder / "server.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def run(command: str, uri: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [MIMSWEEP, command, "s.yaml", "--tracking-uri", uri],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def test_a_sweep_is_tracked_behind_a_path(here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    with server(here, "--static-prefix", "/lab/mlflow") as host:
        check(host + "/lab/mlflow", host)


def check(uri: str, without: str) -> None:
    """All works at `uri`; at `without` the prefix it is told what is wrong."""
    wrong = run("run", without)
    assert wrong.returncode == 3, wrong.stderr
    assert "it answers 404" in wrong.stderr
    assert "no MLflow server answers there" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    trained = run("run", uri + "/")
    assert trained.returncode == 0, trained.stderr
    again = run("run", uri)
    assert (again.returncode, "all 2 runs are complete" in again.stderr) == (0, True), again
    results = run("results", uri)
    assert results.stdout.count("FINISHED") == 2, results
