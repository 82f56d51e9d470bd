"""Paths with spaces given to `make`."""

import subprocess

import pytest

from tests.paths import ROOT


@pytest.mark.parametrize(
    ("target", "variable", "lines"),
    [
        ("run", "SWEEP", ["mimsweep run {}", "mimsweep figures {}"]),
        ("search", "SEARCH", ["mimsweep search {}"]),
    ],
)
def test_a_path_with_spaces_is_one_argument(target: str, variable: str, lines: list[str]) -> None:
    path = "my sweeps/a (b) & c.yaml"
    command = ["make", "--dry-run", "--old-file=.venv/.ready", target, f"{variable}={path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(line.format(f'"{path}"') in done.stdout for line in lines)
