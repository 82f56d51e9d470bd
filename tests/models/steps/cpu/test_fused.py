"""Fused steps against torch's autograd, and against the same in float64 as truth."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mimsweep.models import elementary
from mimsweep.models.layout import padded
from mimsweep.models.losses.base import Noise, Objective
from mimsweep.models.losses.method import Method
from mimsweep.models.losses.named import objective as make_objective
from mimsweep.models.nets.latent import LatentModel, Options
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.steps import eager
from mimsweep.models.steps.adam import Adam
from mimsweep.models.steps.base import Minibatches, Schedule
from mimsweep.models.steps.counted import Counted
from mimsweep.models.steps.cpu import fused
from mimsweep.models.streams import normals
from tests.paths import ROOT

RUNS, LR = 3, 1e-3
CPU = torch.device("cpu")
LOSSES = [*product(["mim", "amim", "vae"], [False, True]), ("ae", False)]
SHAPES = [(1, 1, 2, 33), (9, 2, 5, 100), (50, 3, 20, 128), (9, 1, 2, 128), (50, 2, 2, 100)]
CASES = [
    (*loss, layers, act, *shape)
    for (loss, layers, act), shape in zip(
        product(LOSSES, [1, 2, 3], ["tanh", "relu", "swish"]), cycle(SHAPES)
    )
]
"""(loss, inv_h, layers, activation, H, Z, D, B); five shapes and 63 others, in turn."""


@dataclass
class Case:
    """Arguments of `train_steps`, and what comes of it."""

    objective: Objective
    weights: Tensor
    adam: Adam
    x: Tensor
    counted: Counted
    beta: Tensor
    items: int

    def train(self, steps: Any) -> Tensor:
        runs = len(self.weights)
        coefficients = self.adam.coefficients([LR] * runs, [0] * runs, len(self.x))
        schedule = Schedule(self.beta, *coefficients)
        part = self.part(steps)
        return steps.train_steps(self.objective, self.weights, self.adam, part, schedule)

    def test(self, steps: Any) -> Tensor:
        return steps.test_steps(self.objective, self.weights, self.part(steps))

    def part(self, steps: Any) -> Minibatches:
        """Fused steps draw their noise; eager ones are given it, in the precision of all else."""
        if steps is fused:
            return Minibatches(self.x, self.counted, self.items)
        parts = vars(self.counted.drawn(CPU)).items()
        noise = {name: None if t is None else t.to(self.x) for name, t in parts}
        return Minibatches(self.x, Noise(**noise), self.items)  # type: ignore[arg-type]

    def rows(self, rows: list[int]) -> "Case":
        seed_epochs = [self.counted.seed_epochs[row] for row in rows]
        return replace(
            self,
            x=self.x[:, rows].mT.contiguous().mT,
            counted=replace(self.counted, seed_epochs=seed_epochs),
            adam=self.adam.rows(torch.tensor(rows)),
            weights=self.weights[rows],
            beta=self.beta[rows],
        )

    def double(self) -> "Case":
        weights = self.weights.detach().double()
        return replace(
            self,
            x=self.x.double(),
            weights=weights,
            adam=Adam.zeros(weights),
            beta=self.beta.double(),
        )


def case_of(
    loss: str, inv_h: bool, layers: int, act: str, h: int, z: int, d: int, items: int, steps: int
) -> Case:
    model = LatentModel(d, z, h, layers, act, 0.02, fixed_encoder_scale=loss == "ae")
    objective = make_objective(loss, model, inv_h)
    weights = torch.cat([initial_weights(model.shapes(), seed) for seed in range(RUNS)])
    x = normals(("x", h, items), (steps, RUNS, d, padded(items)))
    x[..., items:] = x[..., :1]
    features = {"z": z, "anchor": z, "x": d} if loss == "mim" else {"z": z}
    seed_epochs = [(seed, h) for seed in range(RUNS)]
    counted = Counted(features, frozenset(), "train", seed_epochs, 3, steps, items)
    # At β = 1 log p(x|z) cancels from A-MIM − H: what autograd then has in float32 is rounding.
    beta = torch.tensor([[0.25], [0.5], [0.9 if (loss, inv_h) == ("amim", True) else 1.0]])
    return Case(objective, weights, Adam.zeros(weights), x.mT, counted, beta, items)


def copy(part: Case) -> Case:
    return part.rows(list(range(RUNS)))


def norm(tensor: Tensor) -> Tensor:
    return tensor.detach().double().norm(dim=-1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_first_step_is_that_of_autograd(case: Any) -> None:
    """Adam's first moment is 0.1·gradient: its error is that of sums of B float32 in two orders.

    Errors are relative to a run's whole gradient, as single components can cancel. A step is lr in
    the gradient's direction, by component: where that is rounding noise, the step may differ.
    """
    part = case_of(*case, steps=1)
    expected, got = copy(part), copy(part)
    truth = part.double()
    for loss, exact in (
        (got.test(fused), truth.test(eager)),
        (got.train(fused), truth.train(eager)),
    ):
        torch.testing.assert_close(loss, exact.float(), rtol=1e-5, atol=5e-5)
    expected.train(eager)
    gradient = norm(expected.adam.first)
    assert (norm(got.adam.first - expected.adam.first) < 1e-5 * gradient).all()
    scale = norm(expected.adam.second)
    assert (norm(got.adam.second - expected.adam.second) < 1e-5 * scale).all()
    clear = expected.adam.first.abs() > 1e-3 * gradient[:, None]
    difference = (got.weights - expected.weights.detach()).abs()
    assert difference[clear].max() < 0.02 * LR
    assert difference.max() < 2.001 * LR


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_no_less_exact_than_autograd_in_float32(case: Any) -> None:
    """After 4 steps; relu is left out: a run apart is on another side of a kink, by chance."""
    part = case_of(*case, steps=4)
    truth, autograd, got = part.double(), copy(part), copy(part)
    losses = truth.train(eager), autograd.train(eager), got.train(fused)
    # Terms cancel; and Adam's first steps are ±lr even where the gradient is nothing but rounding.
    floor = 2e-5 * (1 + losses[0].abs())
    assert ((losses[2] - losses[0]).abs() <= 3 * (losses[1] - losses[0]).abs() + floor).all()
    if part.objective.model.act == "relu":
        return
    for name in ("first", "second"):
        exact = getattr(truth.adam, name)
        error, usual = (norm(getattr(p.adam, name).double() - exact) for p in (got, autograd))
        assert (error <= 4 * usual + 1e-6 * norm(exact)).all(), name


def test_a_run_is_the_same_alone_and_in_parts_bit_for_bit() -> None:
    part = case_of("mim", True, 2, "tanh", 9, 2, 5, 100, steps=4)
    together = copy(part)
    total = together.train(fused)
    for row in range(RUNS):
        alone = part.rows([row])
        assert torch.equal(alone.train(fused), total[[row]])
        assert torch.equal(alone.weights, together.weights[[row]])
        assert torch.equal(alone.adam.second, together.adam.second[[row]])
        assert torch.equal(alone.test(fused), together.test(fused)[[row]])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
@pytest.mark.parametrize(("loss", "act"), [("mim", "tanh"), ("vae", "swish"), ("ae", "relu")])
@pytest.mark.parametrize("where", ["weights", "x"])
def test_a_failing_run_is_seen_and_touches_no_other(
    bad: float, loss: str, act: str, where: str
) -> None:
    part = case_of(loss, False, 2, act, 9, 2, 5, 33, steps=2)
    good = copy(part)
    expected = good.train(fused)
    if where == "weights":
        part.weights[1, 3] = bad
    else:
        part.x[:, 1, 7, 2] = bad
    by_autograd, got = copy(part).train(eager), copy(part)
    total = got.train(fused)
    assert torch.equal(total.isfinite(), by_autograd.isfinite())
    assert torch.equal(total[[0, 2]], expected[[0, 2]])
    assert torch.equal(got.weights[[0, 2]], good.weights[[0, 2]])


@pytest.mark.slow
def test_compiled_here_or_loaded_it_gives_the_same_bits(tmp_path: Path) -> None:
    code = """
from tests.models.cohorts import COHORT, events_by_run
from dataclasses import replace
for model in ("mim", "vae"):
    for key, events in events_by_run(replace(COHORT, model=model, mid_dim=50)).items():
        print(key, events[:-1], events[-1].metrics)
        print({name: weight.tolist() for name, weight in events[-1].weights.items()})
"""
    paths = os.pathsep.join([str(ROOT), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path)}
    here, loaded = (
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=True
        ).stdout
        for _ in range(2)
    )
    assert list(tmp_path.rglob("*run_steps*.nbc"))
    assert len(here) > 10_000
    assert here == loaded


def test_scale_out_of_range_is_infinite_loss() -> None:
    part = case_of("vae", False, 1, "tanh", 9, 2, 2, 33, steps=1)
    part.weights[1, -1] = 0  # padding or a bias; then the last bias of the decoder's log-scale
    size = sum(int(np.prod(shape)) for shape in part.objective.model.shapes().values())
    part.weights[0, size - 1] = 200
    part.weights[2, size - 1] = -200  # scale = min_scale
    assert torch.equal(part.test(fused).isfinite(), part.test(eager).isfinite())
    torch.testing.assert_close(part.test(fused), part.test(eager), equal_nan=True)


OTHER_OPTIONS = [
    *(Options(p_z=name) for name in ("prior", "marginal", "gmm-marginal")),
    *(Options(q_x=name) for name in ("anchor", "prior", "gmm-marginal")),
    *(Options(**{f"{name}_gmm": 1}) for name in ("p_z", "q_x", "q_zx", "p_xz")),
    Options(learn_p_z=True),
]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("act", ["tanh", "swish"])
def test_a_beta_vae_takes_the_step_of_autograd(layers: int, act: str) -> None:
    """As `test_first_step_is_that_of_autograd`: β is an argument, on its way to 4 and beyond 1."""
    part = case_of("vae", False, layers, act, 9, 2, 5, 100, steps=1)
    objective = replace(part.objective, method=Method(beta_end=4.0, cycles=2))
    assert fused.supports(objective)
    part = replace(part, objective=objective, beta=torch.tensor([[0.0], [1.3], [4.0]]))
    expected, got, truth = copy(part), copy(part), part.double()
    torch.testing.assert_close(got.test(fused), truth.test(eager).float(), rtol=1e-5, atol=5e-5)
    one = replace(part, objective=replace(objective, method=Method()))
    assert (got.test(fused) > one.test(fused)).all()
    torch.testing.assert_close(got.train(fused), truth.train(eager).float(), rtol=1e-5, atol=5e-5)
    expected.train(eager)
    gradient = norm(expected.adam.first)
    assert (norm(got.adam.first - expected.adam.first) < 1e-5 * gradient).all()


METHODS = [
    Method(free_bits=0.1),
    Method(bn_gamma=0.5),
    Method(mmd=1.0),
    Method(importance_samples=2),
]


def test_what_is_supported() -> None:
    objective = case_of("mim", False, 2, "tanh", 9, 2, 5, 33, steps=1).objective
    assert fused.supports(objective)
    assert not fused.supports(replace(objective, q_x_samples="marginal"))
    assert not fused.supports(replace(objective, pairs=True))
    assert not fused.supports(replace(objective, loss="cmim"))
    assert not any(fused.supports(replace(objective, method=method)) for method in METHODS)
    for change in ({"binary": True}, *({"options": options} for options in OTHER_OPTIONS)):
        model = replace(objective.model, **change)  # type: ignore[arg-type]
        assert not fused.supports(replace(objective, model=model)), change


def evaluated(function: Any, x: NDArray[np.float32]) -> NDArray[np.float64]:
    @numba.njit(error_model="numpy")
    def apply(x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        for i in range(len(x)):
            y[i] = function(x[i])

    y = np.full_like(x, 7)
    apply(x, y)
    return y.astype(np.float64)


EXTREMES = [
    0,
    1e-45,
    -1e-40,
    1e-38,
    1,
    -1,
    88.7,
    89,
    1e4,
    -104,
    -1e4,
    3e38,
    np.inf,
    -np.inf,
    np.nan,
]
RANDOM = np.random.default_rng(0).integers(0, 2**32, 500_000, dtype=np.uint32).view(np.float32)


@pytest.mark.parametrize(
    ("name", "grid", "relative", "absolute"),
    [
        ("tanh", np.linspace(-12, 12, 1_000_001), 5e-7, 1e-42),
        ("exp", np.linspace(-110, 90, 1_000_001), 2e-7, 1e-44),
        ("log", np.exp(np.linspace(-103, 88, 1_000_001)), 2e-7, 0),
        ("log", np.linspace(0.9, 1.1, 1_000_001), 2e-7, 0),
    ],
)
def test_functions_are_exact_to_float32(
    name: str, grid: NDArray[np.float64], relative: float, absolute: float
) -> None:
    x = np.concatenate([grid.astype(np.float32), np.float32(EXTREMES), RANDOM])
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.float64))
        exact[exact >= 2.0**128] = np.inf  # exp of what float32 can't hold
    np.testing.assert_allclose(evaluated(getattr(elementary, name), x), exact, relative, absolute)
