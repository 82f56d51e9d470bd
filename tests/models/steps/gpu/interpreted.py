"""Run by `test_kernel.py` in a process of its own, in which Triton interprets all kernels.

Prints a JSON object: what was compared, and how far apart it was.
"""

import json
import os

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from mimsweep.models.data.toys import toy_mixture
from mimsweep.models.philox import Word, fill
from mimsweep.models.steps import eager
from mimsweep.models.steps.cpu import fused
from mimsweep.models.steps.gpu import launch
from mimsweep.models.steps.gpu.counted import normals
from mimsweep.models.steps.gpu.kernel import mixture
from mimsweep.models.streams import key
from tests.models.steps.cpu.test_fused import LR, RUNS, Case, Schedule, case_of, copy, norm

CASES = [
    ("mim", False, "tanh", 1, 1, 2, 128),
    ("mim", True, "tanh", 9, 2, 5, 100),
    ("mim", False, "tanh", 50, 10, 20, 128),
    ("mim", False, "tanh", 500, 2, 2, 128),
    ("amim", True, "relu", 33, 20, 20, 33),
    ("vae", False, "swish", 50, 2, 2, 128),
    ("vae", True, "tanh", 64, 17, 3, 256),
    ("ae", False, "relu", 40, 3, 20, 33),
]
"""(loss, inv_h, activation, H, Z, D, B)."""


@triton.jit
def store_normals(out, keys, step, epoch, ROWS: tl.constexpr, N: tl.constexpr):
    at = tl.arange(0, ROWS)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(out + at, normals(tl.load(keys), 0, 0, step, epoch, ROWS, N))


@triton.jit
def store_mixture(out, keys, means, scale, step, epoch, M, D, DP: tl.constexpr, N: tl.constexpr):
    at = tl.arange(0, DP)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(out + at, mixture(tl.load(keys), means, scale, step, epoch, M, D, DP, N))


def long_key(*name: str | int) -> Tensor:
    return torch.from_numpy(key(*name).view(np.int64).copy())


def of_normals() -> float:
    expected = np.empty((1, 1, 4, 256), np.float32)
    fill(expected, 256, key("a")[None], np.array([9], Word), 5, True)
    got = torch.empty(4, 256)
    store_normals[(1,)](got, long_key("a"), 5, 9, 4, 256)
    return float(np.abs(got.numpy() - expected[0, 0]).max())


def of_mixture(step: int) -> float:
    toy = toy_mixture("toy4_20", 4, 20)
    points, _ = toy.draw("train", 3, 7)
    got, means = torch.empty(32, 128), toy.means.float().contiguous()
    name = ("data", "toy4_20", "train", 3)
    store_mixture[(1,)](got, long_key(*name), means, toy.scale.float(), step, 7, 5, 20, 32, 128)
    return float((got[:20].T - points[step * 128 : (step + 1) * 128]).abs().max())


def trained(case: Case, steps: object) -> tuple[Tensor, Tensor]:
    """Tests on S minibatches, then trains on them; the losses of both."""
    coefficients = case.adam.coefficients([LR] * RUNS, [0] * RUNS, len(case.x))
    part = case.part(fused if steps is launch else steps)
    tested = steps.test_steps(case.objective, case.weights, part)  # type: ignore[attr-defined]
    schedule = Schedule(case.beta, *coefficients)
    arguments = (case.objective, case.weights, case.adam, part, schedule)
    return tested, steps.train_steps(*arguments)  # type: ignore[attr-defined]


def of_steps(loss: str, inv_h: bool, act: str, h: int, z: int, d: int, items: int) -> list[float]:
    """How far losses and Adam's first moment are from eager steps in float64, relatively."""
    part = case_of(loss, inv_h, 2, act, h, z, d, items, steps=2)
    got, truth = copy(part), part.double()
    mine, theirs = trained(got, launch), trained(truth, eager)
    losses = [
        float(((a - b).abs() / (1 + b.abs())).max()) for a, b in zip(mine, theirs, strict=True)
    ]
    error, size = norm(got.adam.first - truth.adam.first), norm(truth.adam.first)
    return [*losses, float((error / size).max())]


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {
        "normals": of_normals(),
        "mixture": max(of_mixture(step) for step in (0, 1, 77)),
        "steps": {"-".join(map(str, case)): of_steps(*case) for case in CASES},
    }
    print(json.dumps(found))
