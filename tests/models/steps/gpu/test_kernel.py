"""The kernel of an epoch: in Triton's interpreter against float64, and compiled for real GPUs."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.odd.ending import slow
from tests.paths import ROOT

pytest.importorskip("triton", reason="this torch came without Triton")


def found(module: str, *arguments: str) -> dict[str, Any]:
    """What a module of this folder prints, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.models.steps.gpu.{module}", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.fixture(scope="module")
def interpreted() -> dict[str, Any]:
    return found("interpreted")


@pytest.mark.slow
@pytest.mark.xdist_group("triton")
def test_noise_is_that_of_a_cpu(interpreted: dict[str, Any]) -> None:
    assert interpreted["normals"] < 1e-6


@pytest.mark.slow
@pytest.mark.xdist_group("triton")
def test_items_of_toys_are_those_of_a_cpu(interpreted: dict[str, Any]) -> None:
    assert interpreted["mixture"] < 1e-5
    assert interpreted["toys"] < 1e-4


@pytest.mark.slow
@pytest.mark.xdist_group("triton")
def test_steps_are_those_of_autograd_in_float64(interpreted: dict[str, Any]) -> None:
    assert len(interpreted["steps"]) == 8
    for case, (tested, trained, gradient) in interpreted["steps"].items():
        assert tested < 2e-5, case
        assert trained < 2e-5, case
        assert gradient < 2e-5, case


@pytest.mark.parametrize(("capability", "features"), [slow(80, 16), slow(90, 16), (90, 32)])
def test_it_compiles_for_gpus_that_are_not_here(capability: int, features: int) -> None:
    """Shared memory is far below what two programs a processor have; few registers are spilled."""
    used = found("compiled", str(capability), str(features))
    print(f"sm_{capability}, {features} features: {used}")
    assert used["registers"] <= 255
    assert used["spilled"] <= 2048
    assert used["shared"] <= 80_000
