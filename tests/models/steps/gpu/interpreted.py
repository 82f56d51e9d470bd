"""Run by `test_kernel.py` in a process of its own, in which Triton interprets all kernels.

Prints a JSON object: what was compared, and how far apart it was.
"""

import json
import os

os.environ["TRITON_INTERPRET"] = "1"

from dataclasses import replace

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from mimsweep.models.data.toys import toy_mixture
from mimsweep.models.losses.base import Objective
from mimsweep.models.losses.named import objective as make_objective
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.philox import Word, fill
from mimsweep.models.steps import eager
from mimsweep.models.steps.adam import Adam
from mimsweep.models.steps.base import Minibatches
from mimsweep.models.steps.cpu import fused
from mimsweep.models.steps.gpu import launch
from mimsweep.models.steps.gpu.counted import normals
from mimsweep.models.steps.gpu.kernel import mixture
from mimsweep.models.steps.sampling import Sampler
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


def by_kernel(case: Case) -> list[Tensor]:
    """Tests on S minibatches, then trains on them; both losses, and Adam's first moment."""
    coefficients = case.adam.coefficients([LR] * RUNS, [0] * RUNS, len(case.x))
    part = case.part(fused)
    tested = launch.test_steps(case.objective, case.weights, part)
    schedule = Schedule(case.beta, *coefficients)
    trained = launch.train_steps(case.objective, case.weights, case.adam, part, schedule)
    return [tested, trained, case.adam.first]


def by_eager(case: Case) -> list[Tensor]:
    """The same; runs of MIM have decoder samples from β = 1 on."""
    kinds = [[row for row in range(RUNS) if (case.beta[row, 0] >= 1) == kind] for kind in (0, 1)]
    trained, first = torch.zeros(RUNS).double(), torch.zeros_like(case.adam.first)
    for rows, names in zip(kinds, (["z"], ["z", "anchor", "x"]), strict=True):
        if rows:
            features = {n: f for n, f in case.counted.features.items() if n in names}
            part = case.rows(rows)
            part.counted = replace(part.counted, features=features)
            trained[rows] = part.train(eager).double()
            first[rows] = part.adam.first
    return [case.test(eager), trained, first]


def of_steps(loss: str, inv_h: bool, act: str, h: int, z: int, d: int, items: int) -> list[float]:
    """How far losses and Adam's first moment are from eager steps in float64, relatively."""
    part = case_of(loss, inv_h, 2, act, h, z, d, items, steps=2)
    mine, theirs = by_kernel(copy(part)), by_eager(part.double())
    losses = [
        float(((a - b).abs() / (1 + b.abs())).max())
        for a, b in zip(mine[:2], theirs[:2], strict=True)
    ]
    return [*losses, float((norm(mine[2] - theirs[2]) / norm(theirs[2])).max())]


def of_toys() -> list[float]:
    """How far an epoch's first steps are, with items drawn in the kernel, from those given."""
    toy = toy_mixture("toy4", 4, 2)
    model = LatentModel(2, 2, 9, 2, "tanh", 1e-6)
    objective = make_objective("mim", model)
    sampler, seed_epochs = Sampler(toy, 128, 2, torch.device("cpu")), [(1, 4), (2, 7), (1, 5)]
    names = objective.noise_names(decoder_samples=True)
    (drawn,) = sampler.minibatches("train", seed_epochs, names, toys=True)
    (given,) = sampler.minibatches("train", seed_epochs, names)
    assert len(drawn) == len(given) == 78
    drawn = Minibatches(drawn.given, replace(drawn.source, count=2), 128)  # type: ignore[type-var]
    given = Minibatches(given.x[:2], replace(given.source, count=2), 128)  # type: ignore[type-var]
    states = [taught(objective, batches) for batches in (drawn, given)]
    return [float((a - b).abs().max()) for a, b in zip(*states, strict=True)]


def taught(objective: Objective, batches: Minibatches) -> list[Tensor]:
    """Weights after two steps, and the losses."""
    weights = torch.cat([initial_weights(objective.model.shapes(), seed) for seed in range(RUNS)])
    adam = Adam.zeros(weights)
    schedule = Schedule(torch.ones(RUNS, 1), *adam.coefficients([LR] * RUNS, [0] * RUNS, 2))
    return [launch.train_steps(objective, weights, adam, batches, schedule), weights]


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {
        "normals": of_normals(),
        "mixture": max(of_mixture(step) for step in (0, 1, 77)),
        "toys": max(of_toys()),
        "steps": {"-".join(map(str, case)): of_steps(*case) for case in CASES},
    }
    print(json.dumps(found))
