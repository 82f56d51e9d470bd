"""A run is the same alone and in any cohort, bit for bit, with every option."""

import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from mimsweep.models.data.loading import load
from mimsweep.models.layout import named_views
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.training.cohort import Cohort
from mimsweep.models.training.runs import EpochEnd, Run, RunEnd
from tests.models.cohorts import COHORT, RUNS, assert_independent, assert_same, events_by_run, few

MODELS = [
    ("mim", False, "conditional"),
    ("mim", False, "marginal"),
    ("mim", True, "conditional"),
    ("mim", True, "marginal"),
    ("amim", False, "conditional"),
    ("amim", True, "conditional"),
    ("vae", False, "conditional"),
    ("vae", True, "conditional"),
    ("ae", False, "conditional"),
]
SHAPES = [
    ("toy4", 50, 2, 128, 2, "tanh"),
    ("toy4", 1, 1, 128, 2, "swish"),
    ("toy2_5", 9, 3, 100, 3, "relu"),
    ("toy2_5", 50, 1, 33, 3, "swish"),
    ("toy4", 9, 2, 33, 1, "tanh"),
    ("toy2_5", 1, 3, 100, 3, "tanh"),
]


def shaped(
    model: tuple[str, bool, str], dataset: str, mid_dim: int, z_dim: int, batch_size: int,
    layers: int, act: str,
) -> Cohort:  # fmt: skip
    name, inv_h, q_x_samples = model
    return replace(
        COHORT, model=name, inv_h=inv_h, q_x_samples=q_x_samples, dataset=dataset,
        mid_dim=mid_dim, z_dim=z_dim, batch_size=batch_size, layers=layers, act=act,
    )  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("shape", range(3))
def test_a_run_is_the_same_alone_and_in_any_cohort(
    model: tuple[str, bool, str], shape: int
) -> None:
    number = (2 * shape + MODELS.index(model)) % len(SHAPES)  # each shape with several models
    assert_independent(shaped(model, *SHAPES[number]))


OPTIONS: list[dict[str, Any]] = [
    {"p_z": "prior"},
    {"p_z": "prior", "p_z_gmm": 5},
    {"p_z": "gmm-marginal", "p_z_gmm": 3},
    {"p_z": "marginal"},
    {"p_z": "prior", "learn_p_z": True},
    {"p_z": "prior", "p_z_gmm": 4, "learn_p_z": True},
    {"p_z": "gmm-marginal", "p_z_gmm": 3, "learn_p_z": True},
    {"q_x": "anchor"},
    {"q_x": "prior"},
    {"q_x": "prior", "q_x_gmm": 5},
    {"q_x": "gmm-marginal", "q_x_gmm": 3},
    {"q_zx_gmm": 1},
    {"q_zx_gmm": 3},
    {"p_xz_gmm": 3},
    {"p_z": "gmm-marginal", "p_z_gmm": 3, "q_zx_gmm": 2, "p_xz_gmm": 2},
    {"p_z": "prior", "p_z_gmm": 3, "q_x": "gmm-marginal", "q_x_gmm": 2, "p_xz_gmm": 2},
    {"p_z": "marginal", "q_x": "anchor", "q_zx_gmm": 2},
]
"""Of p(z), q(x) and conditional mixtures: each alone, and some together."""


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", range(2))
def test_it_is_with_every_option(options: dict[str, Any], shape: int) -> None:
    number = OPTIONS.index(options)
    model = MODELS[number % 4]  # MIM, with decoder samples
    shape = (number + 3 * shape) % len(SHAPES)
    assert_independent(replace(shaped(model, *SHAPES[shape]), **options))


@pytest.mark.parametrize("model", MODELS[:1] + MODELS[6:], ids=str)
def test_it_is_for_self_supervision(model: tuple[str, bool, str]) -> None:
    assert_independent(shaped(model, "Toy2_5", 9, 3, 100, 2, "tanh"))


@pytest.mark.parametrize("model", ["mim", "vae"])
@pytest.mark.parametrize("field", ["q_zx_gmm", "p_xz_gmm"])
def test_a_mixture_of_one_component_trains_as_the_gaussian(model: str, field: str) -> None:
    """One takes torch's operations, the other fused steps: they differ in rounding."""
    cohort = replace(COHORT, model=model, runs=RUNS[:1])
    plain = events_by_run(cohort)["plain"]
    mixture = events_by_run(replace(cohort, **{field: 1}))["plain"]
    assert len(plain) == len(mixture)
    for one, other in zip(plain[:-1], mixture[:-1], strict=True):
        assert isinstance(one, EpochEnd)
        assert isinstance(other, EpochEnd)
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.test_loss == pytest.approx(other.test_loss, rel=1e-4)


@pytest.mark.parametrize("model", ["mim", "amim", "vae", "ae"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_trains_with_each_model(options: dict[str, Any], model: str) -> None:
    """Three epochs on toy4: all finite, weights move unless the loss doesn't contain them."""
    run = Run("run", seed=1, lr=1e-2, warmup=2, epochs=3)
    cohort = replace(COHORT, model=model, runs=(run,), **options)
    *epochs, end = events_by_run(cohort, few(cohort, 8))["run"]
    assert isinstance(end, RunEnd)
    assert len(epochs) == 3
    for epoch in epochs:
        assert isinstance(epoch, EpochEnd)
        assert math.isfinite(epoch.train_loss + epoch.test_loss)
    unknown = [name for name, value in end.metrics.items() if not math.isfinite(value)]
    assert unknown == []
    data = few(cohort, 8)
    latent = cohort.objective(data).model
    starts = latent.starts(1, lambda: data.draw("train", 1, 1)[0])
    row = initial_weights(latent.shapes(), 1, starts)
    for name, start in named_views(row, latent.shapes()).items():
        unused = (
            name.startswith("p_z") and (model == "ae" or options.get("p_z") == "marginal")
        ) or (name.startswith("q_x") and model in ("ae", "vae"))
        assert torch.equal(start[0], end.weights[name]) == unused, name


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("batch_size", [128, 100, 33])
def test_it_is_for_all_shapes(model: tuple[str, bool, str], layers: int, batch_size: int) -> None:
    for number, (mid_dim, z_dim) in enumerate(product([1, 9, 50], [1, 2, 3])):
        dataset = ["toy4", "toy2_5"][number % 2]
        act = ["tanh", "relu", "swish"][(number // 3 + number) % 3]
        assert_independent(shaped(model, dataset, mid_dim, z_dim, batch_size, layers, act))


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "z_dim", "mid_dim"), [("toy4", 2, 500), ("toy4_20", 10, 50)])
def test_it_is_for_the_published_shapes_and_all_items(
    dataset: str, z_dim: int, mid_dim: int
) -> None:
    cohort = replace(COHORT, dataset=dataset, z_dim=z_dim, mid_dim=mid_dim, runs=RUNS[:3])
    assert_independent(cohort, load(dataset, Path("nowhere")))


@pytest.mark.parametrize("size", [1, 2, 3, 10, 17])
def test_it_is_for_cohorts_of_any_size(size: int) -> None:
    runs = tuple(Run(str(seed), seed, 1e-3, 1, 2) for seed in range(size))
    cohort = replace(COHORT, mid_dim=50, runs=runs)
    together = events_by_run(cohort)
    last = runs[-1]
    assert_same(events_by_run(replace(cohort, runs=(last,)))[last.key], together[last.key])
