"""The kernel of an epoch: in Triton's interpreter against float64, and compiled for real GPUs."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.paths import ROOT

pytest.importorskip("triton", reason="this torch came without Triton")


@pytest.fixture(scope="module")
def interpreted() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.steps.gpu.interpreted"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.xdist_group("triton")
def test_noise_is_that_of_a_cpu(interpreted: dict[str, Any]) -> None:
    assert interpreted["normals"] < 1e-6


@pytest.mark.xdist_group("triton")
def test_items_of_toys_are_those_of_a_cpu(interpreted: dict[str, Any]) -> None:
    assert interpreted["mixture"] < 1e-5


@pytest.mark.xdist_group("triton")
def test_steps_are_those_of_autograd_in_float64(interpreted: dict[str, Any]) -> None:
    assert len(interpreted["steps"]) == 8
    for case, (tested, trained, gradient) in interpreted["steps"].items():
        assert tested < 2e-5, case
        assert trained < 2e-5, case
        assert gradient < 2e-5, case
