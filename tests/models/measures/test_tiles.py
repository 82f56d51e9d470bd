"""The brute force of a GPU against the searches of a CPU, on a CPU; on a GPU without values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mimsweep.models.measures import buckets, knn, tiles
from mimsweep.models.measures.ties import without_ties
from tests.models.measures.samples import Points, pairs, pretended_gpu

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SOME_AT_ONCE = st.sampled_from([30_000, 2_000_000])


def tensors(*points: Points) -> list[Tensor]:
    return [torch.from_numpy(each) for each in points]


def assert_same_counts(x: Points, z: Points, k: int, device: str = "cpu") -> None:
    there = (points.to(device) for points in tensors(x, z))
    found = tiles.closer_counts(*there, k).cpu().numpy()
    np.testing.assert_array_equal(found, buckets.closer_counts(x, z, k))


def assert_same_neighbours(train: Points, test: Points, k: int, device: str = "cpu") -> None:
    train, test = train.astype("f4"), test.astype("f4")
    there = (points.to(device) for points in tensors(train, test))
    found = tiles.nearest(*there, k).cpu().numpy()
    np.testing.assert_array_equal(found, knn._nearest(train, test, k))


@given(pairs(), st.booleans(), SOME_AT_ONCE)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_counts_are_those_of_a_cpu(
    sample: tuple[Points, Points, int], broken: bool, at_once: int
) -> None:
    """Also where ties aren't broken, and radii are 0."""
    x, z, k = sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tiles.AT_ONCE, "cpu", at_once)
        assert_same_counts(*(without_ties(x, z) if broken else (x, z)), k)


@given(pairs(), SOME_AT_ONCE)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_neighbours_are_those_of_a_cpu(sample: tuple[Points, Points, int], at_once: int) -> None:
    points, _, k = sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tiles.AT_ONCE, "cpu", at_once)
        assert_same_neighbours(points, points[::-3].copy(), k)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dims", [1, 2, 10, 20])
def test_latents_of_clusters(dims: int, device: str) -> None:
    rng = np.random.default_rng(dims)
    x = 30 * rng.normal(size=(5, 20))[rng.integers(5, size=3000)] + rng.normal(size=(3000, 20))
    z = np.tanh(x @ rng.normal(size=(20, dims))) + 0.002 * rng.normal(size=(3000, dims))
    assert_same_counts(x, z, 5, device)
    assert_same_neighbours(z[:2000], z[2000:], 10, device)


@pytest.mark.parametrize("device", DEVICES)
def test_all_points_equal_and_as_few_as_can_be(device: str) -> None:
    same, few = np.ones((50, 3)), np.random.default_rng(1).normal(size=(6, 3))
    assert_same_counts(same, same, 5, device)
    assert_same_counts(few, few[:, :1].copy(), 5, device)
    assert_same_neighbours(same, same[:7], 50, device)
    assert_same_neighbours(few, few, 6, device)


@pytest.mark.parametrize("device", DEVICES)
def test_values_that_float32_squares_to_infinity(device: str) -> None:
    values = np.linspace(-3e38, 3e38, 400)[:, None] * np.ones((1, 2))
    assert_same_neighbours(values, values, 3, device)


def test_tensors_stay_on_the_gpu() -> None:
    x, z, train = torch.rand(70, 3).double(), torch.rand(70, 2).double(), torch.rand(40, 3)
    with pretended_gpu() as gpu:
        counts, nearest = (
            tiles.closer_counts(gpu(x), gpu(z), 5),
            tiles.nearest(gpu(train), gpu(train), 7),
        )
        assert tiles.on_gpu(counts)
        assert tiles.on_gpu(nearest)
        assert (counts.shape, nearest.shape) == ((2, 70), (40, 7))
        with pytest.raises(RuntimeError, match="device"):
            tiles.closer_counts(gpu(x), z, 5)


def test_a_tile_has_at_least_one_row() -> None:
    cpu = torch.device("cpu")
    assert tiles.rows_at_once(10**9, cpu) == 1
    assert tiles.rows_at_once(1000, cpu) == tiles.AT_ONCE["cpu"] // 1000
    assert not tiles.on_gpu(torch.zeros(1))
    assert not tiles.on_gpu(np.zeros(1))
