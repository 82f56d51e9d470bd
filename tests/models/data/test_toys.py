"""Toy mixtures against their formula, torch.distributions and tests of fit."""

import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mimsweep.models.data.base import DataError, Split, has_pairs
from mimsweep.models.data.loading import load
from mimsweep.models.data.toys import ToyMixture

SPLITS = get_args(Split)


def toy(name: str) -> ToyMixture:
    mixture = load(name, Path("nowhere"))
    assert isinstance(mixture, ToyMixture)
    return mixture


def independent(mixture: ToyMixture) -> MixtureSameFamily:
    components = Independent(Normal(mixture.means, mixture.scale.expand_as(mixture.means)), 1)
    return MixtureSameFamily(Categorical(torch.ones(mixture.classes).double()), components)


def ring(count: int, divisor: int) -> Tensor:
    angles = [2 * math.pi * i / divisor for i in range(count)]
    return torch.tensor([[math.cos(a), math.sin(a)] for a in angles], dtype=torch.float64)


def test_toy4_is_uneven() -> None:
    mixture = toy("toy4")
    assert (mixture.dims, mixture.classes) == (2, 5)
    torch.testing.assert_close(mixture.scale, torch.full((2,), 0.25).double())
    assert mixture.means[0].tolist() == [0, 0]
    degrees = torch.rad2deg(torch.atan2(mixture.means[1:, 1], mixture.means[1:, 0])) % 360
    torch.testing.assert_close(degrees, torch.tensor([0, 72, 144, 216]).double())


@pytest.mark.parametrize(("name", "count", "outer"), [("toy0", 1, 0), ("toy-3", 3, 3)])
def test_other_counts(name: str, count: int, outer: int) -> None:
    mixture = toy(name)
    assert mixture.means.shape == (count, 2)
    torch.testing.assert_close(mixture.means[count - outer :], ring(outer, count).view(outer, 2))
    torch.testing.assert_close(mixture.scale, torch.full((2,), 1.25 / count).double())


def test_more_dimensions_lie_on_a_grid() -> None:
    mixture = toy("toy4_20")
    assert (mixture.dims, mixture.classes) == (20, 5)
    torch.testing.assert_close(mixture.means[:, :2], toy("toy4").means)
    grid = np.linspace(-50, 50, 100).reshape(5, 20)
    np.testing.assert_allclose(mixture.means[:, 2:], grid[:, 2:], rtol=1e-12)


@pytest.mark.parametrize("name", ["toy4", "toy0", "toy-7", "toy4_20"])
def test_log_prob_equals_torch(name: str) -> None:
    mixture = toy(name)
    spread = torch.randn(3, 50, mixture.dims, dtype=torch.float64) * 3
    for x in (mixture.draw("test", 1, 1)[0].double(), spread):
        expected = independent(mixture).log_prob(x)
        torch.testing.assert_close(mixture.log_prob(x), expected, rtol=1e-10, atol=1e-10)


def test_log_prob_integrates_to_one_and_has_a_gradient() -> None:
    mixture = toy("toy4")
    axis = torch.linspace(-4, 4, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    assert mixture.log_prob(grid).exp().sum() * 0.02**2 == pytest.approx(1, abs=1e-8)
    x = torch.zeros(4, 2, requires_grad=True)
    assert mixture.log_prob(x).dtype == torch.float32
    mixture.log_prob(x + 0.1).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().min() > 0


@pytest.mark.parametrize("name", ["toy4", "toy4_20", "toy-3"])
def test_points_have_the_density(name: str) -> None:
    mixture = toy(name)
    x, labels = mixture.draw("train", seed=3, epoch=5)
    assert x.shape == (10_000, mixture.dims)
    assert x.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert stats.chisquare(np.bincount(labels)).pvalue > 1e-3
    standard = (x - mixture.means[labels]) / mixture.scale
    assert stats.kstest(standard.flatten(), "norm").pvalue > 1e-3
    mean, variance = standard.mean(0), standard.var(0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=0.05)
    torch.testing.assert_close(variance, torch.ones_like(variance), rtol=0, atol=0.07)


def test_entropy_agrees_with_the_density() -> None:
    """Of far components it is that of one and log M: 20/2·log(2πe·σ²) + log 5."""
    mixture = toy("toy4_20")
    expected = 10 * math.log(2 * math.pi * math.e * 0.25**2) + math.log(5)
    entropy = -mixture.log_prob(mixture.draw("train", 1, 1)[0].double()).mean()
    assert float(entropy) == pytest.approx(expected, abs=4 * math.sqrt(10 / 10_000))


def test_a_stream_for_each_name() -> None:
    """Draws depend on their arguments alone, and no two of them are alike."""
    first = toy("toy4").draw("train", 1, 1)
    mixture = toy("toy4")
    draws = [
        mixture.draw(split, seed, epoch)[0]
        for split in SPLITS
        for seed in (1, 2)
        for epoch in (1, 2)
    ]
    assert len({float(x[0, 0]) for x in draws}) == len(draws)
    for ours, theirs in zip(mixture.draw("train", 1, 1), first, strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(toy("toy4_2").draw("train", 1, 1)[0], first[0])


def test_the_global_seed_is_left_alone() -> None:
    before = torch.get_rng_state()
    toy("toy4").draw("train", 1, 1)
    assert torch.equal(torch.get_rng_state(), before)


BAD_TOYS = ["toy", "toy4.5", "toy-0", "toy04", "toy4_1", "toy4_0", "toy4_", "toyfour_2", " toy4"]
BAD_IMAGES = ["pca-fashion-mnist", "pca-fashion-mnist0", "pca-fashion-mnist785", "cifar"]


@pytest.mark.parametrize("name", BAD_TOYS + BAD_IMAGES)
def test_no_such_data_set(name: str) -> None:
    with pytest.raises(DataError, match=name):
        load(name, Path("nowhere"))


@pytest.mark.parametrize(
    ("text", "size", "components"),
    [("MIM", (18, 11), 60), ("VAE", (18, 11), 64), ("AE", (12, 11), 46)],
)
def test_text_mixtures_have_a_component_per_lit_pixel(
    text: str, size: tuple[int, int], components: int
) -> None:
    mixture = load(f"toy{text}", Path())
    assert isinstance(mixture, ToyMixture)
    assert (mixture.classes, mixture.dims) == (components, 2)
    assert mixture.scale.tolist() == [1 / size[0], 1 / size[1]]
    pixels = (mixture.means / 3.6 + 0.45) * torch.tensor(size)
    assert torch.allclose(pixels, pixels.round(), atol=1e-9)
    assert len({tuple(pixel) for pixel in pixels.round().tolist()}) == components


def test_a_text_stands_upright() -> None:
    # An L has most of its pixels low and left; upside down or mirrored it has not.
    means = load("toyL", Path()).means  # type: ignore[attr-defined]
    assert (means[:, 1] < means[:, 1].mean()).sum() > len(means) / 2
    assert (means[:, 0] == means[:, 0].min()).sum() >= 5


@pytest.mark.parametrize("name", ["4", "4_5", "-3", "MIM"])
def test_pairs_are_two_draws_of_one_component(name: str) -> None:
    pairs, single = load(f"Toy{name}", Path("nowhere")), load(f"toy{name}", Path("nowhere"))
    assert isinstance(pairs, ToyMixture)
    assert isinstance(single, ToyMixture)
    assert has_pairs(pairs)
    assert not has_pairs(single)
    assert torch.equal(pairs.means, single.means)
    items, labels = pairs.draw("train", 1, 1)
    assert items.shape == (10_000, 2 * pairs.dims)
    noise = (items.double() - pairs.means[labels].repeat(1, 2)) / pairs.scale.repeat(2)
    assert noise.std(0).numpy() == pytest.approx(1, abs=0.05)
    covariance = np.corrcoef(noise.numpy().T)
    assert covariance == pytest.approx(np.eye(2 * pairs.dims), abs=0.05)
    for split in ("test", "final", "knn"):
        assert pairs.draw(split, 1, 1)[0].shape == (10_000, pairs.dims)
