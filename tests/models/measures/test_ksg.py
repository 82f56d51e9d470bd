"""The KSG estimate against brute force, a k-d tree, scikit-learn and closed forms."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_regression

from mimsweep.models.jit import compiled
from mimsweep.models.measures.ksg import ksg_ceiling, ksg_mutual_information
from mimsweep.models.measures.ties import without_ties
from tests.models.measures.samples import Points, let_a_cpu_be_the_gpu, pairs


def brute_force(x: Points, z: Points, k: int) -> float:
    apart = [np.abs(p[:, None] - p[None]).max(axis=2) for p in (x, z)]
    for distances in apart:
        np.fill_diagonal(distances, np.inf)
    radii = np.sort(np.maximum(*apart), axis=1)[:, k - 1]
    close = [(distances < radii[:, None]).sum(axis=1) for distances in apart]
    return _estimate(close, k)


def k_d_tree(x: Points, z: Points, k: int) -> float:
    joint = np.hstack([x, z])
    radii = cKDTree(joint).query(joint, k + 1, p=np.inf)[0][:, -1]
    inside = np.nextafter(radii, 0)
    close = [
        cKDTree(p).query_ball_point(p, inside, p=np.inf, return_length=True) - 1 for p in (x, z)
    ]
    return _estimate(close, k)


def _estimate(close: list[NDArray[np.int64]], k: int) -> float:
    mean = np.mean(digamma(close[0] + 1) + digamma(close[1] + 1))
    return float(digamma(k) + digamma(len(close[0])) - mean)


def gaussians(rho: float, dims: int, count: int, seed: int = 0) -> tuple[Points, Points]:
    x, noise = np.random.default_rng(seed).normal(size=(2, count, dims))
    return x, rho * x + np.sqrt(1 - rho**2) * noise


@given(pairs())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_equals_brute_force(sample: tuple[Points, Points, int]) -> None:
    x, z, k = sample
    expected = brute_force(*without_ties(x, z), k)
    assert ksg_mutual_information(x, z, k) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("dims_x", "dims_z"), [(2, 2), (20, 2), (20, 20), (1, 7)])
@pytest.mark.parametrize("clusters", [1, 5])
def test_equals_k_d_tree(dims_x: int, dims_z: int, clusters: int) -> None:
    rng = np.random.default_rng(dims_x + dims_z + clusters)
    label = rng.integers(clusters, size=2000)
    x = 30 * rng.normal(size=(clusters, dims_x))[label] + 0.25 * rng.normal(size=(2000, dims_x))
    z = 0.002 * rng.normal(size=(2000, dims_z)) + np.tanh(x @ rng.normal(size=(dims_x, dims_z)))
    collapsed = rng.normal(size=(2000, dims_z))
    for latent in (z, collapsed):
        expected = k_d_tree(x, latent, 5)
        assert ksg_mutual_information(x, latent) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("count", [6, 63, 64, 65, 127, 128, 129, 511, 513])
def test_every_size(count: int) -> None:
    x, z = gaussians(0.7, 3, count)
    assert ksg_mutual_information(x, z) == pytest.approx(brute_force(x, z, 5), abs=1e-9)


def test_order_of_the_pairs_does_not_matter() -> None:
    """The search narrows its bound on the first points: sorted ones are its worst case."""
    x, z = gaussians(0.9, 2, 1000)
    order = np.argsort(x[:, 0])
    assert ksg_mutual_information(x[order], z[order]) == pytest.approx(
        ksg_mutual_information(x, z), abs=1e-12
    )


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("dims", [1, 2])
def test_correlated_gaussians(rho: float, dims: int) -> None:
    """−D/2·log(1 − ρ²); the spread over seeds is 0.02, and a bias of some 3 % shows at high MI."""
    x, z = gaussians(rho, dims, 5000)
    expected = -dims / 2 * np.log(1 - rho**2)
    assert ksg_mutual_information(x, z) == pytest.approx(expected, abs=0.08, rel=0.05)


def test_independent_is_near_zero() -> None:
    """Estimator 1 is nearly unbiased where x and z are independent, in any dimension."""
    rng = np.random.default_rng(1)
    estimates = [
        ksg_mutual_information(rng.normal(size=(2000, d)), rng.normal(size=(2000, d)))
        for d in (1, 2, 10, 20)
    ]
    assert estimates == pytest.approx([0.0] * 4, abs=0.05)


def test_near_scikit_learn() -> None:
    """It scales the columns, adds noise of 1e-10, and counts to just below the same distance."""
    x, z = gaussians(0.8, 1, 2000)
    x, z = x / x.std(), z / z.std()
    theirs = mutual_info_regression(x, z[:, 0], n_neighbors=5, random_state=0)[0]
    assert ksg_mutual_information(x, z) == pytest.approx(theirs, abs=1e-3)


def test_invariances() -> None:
    x, z = gaussians(0.8, 3, 1000)
    base = ksg_mutual_information(x, z)
    assert ksg_mutual_information(z, x) == pytest.approx(base, abs=1e-9)
    assert ksg_mutual_information(x * 2, z * 2) == pytest.approx(base, abs=1e-9)
    assert ksg_mutual_information(x + 8, z - 16) == pytest.approx(base, abs=1e-9)


def test_scale_of_one_space_hardly_matters() -> None:
    """I(x; z) has no scale; the estimate's max-norm does, within the error of the estimate."""
    x, z = gaussians(0.8, 1, 2000)
    base = ksg_mutual_information(x, z)
    assert ksg_mutual_information(x, z * 3) == pytest.approx(base, abs=0.05)


def test_one_dimension_may_be_flat_and_single_precision() -> None:
    x, z = gaussians(0.8, 1, 500)
    assert ksg_mutual_information(x[:, 0], z[:, 0]) == ksg_mutual_information(x, z)
    single = x.astype(np.float32), z.astype(np.float32)
    double = single[0].astype(np.float64), single[1].astype(np.float64)
    assert ksg_mutual_information(*single) == ksg_mutual_information(*double)


@pytest.mark.parametrize("values", [2, 10, 100])
def test_independent_integers_are_near_zero(values: int) -> None:
    """Ties gave 11.9 nats: no point lies strictly closer than zero."""
    x, z = np.random.default_rng(1).integers(values, size=(2, 5000, 1))
    assert ksg_mutual_information(x, z) == pytest.approx(0, abs=0.05)
    assert ksg_mutual_information(x + 10**6, z) == pytest.approx(0, abs=0.05)


def test_equal_integers_have_their_entropy() -> None:
    x = np.random.default_rng(1).integers(10, size=5000)
    assert ksg_mutual_information(x, x) == pytest.approx(np.log(10), abs=0.05)


def test_points_all_equal_tell_nothing() -> None:
    same, other = np.full((2000, 2), 0.1), np.random.default_rng(1).normal(size=(2000, 2))
    assert ksg_mutual_information(same, same) == pytest.approx(0, abs=0.05)
    assert ksg_mutual_information(same, other) == pytest.approx(0, abs=0.05)


def test_ties_are_broken_the_same_way_each_time() -> None:
    x, z = np.random.default_rng(1).integers(5, size=(2, 500, 2)).astype(float)
    assert ksg_mutual_information(x, z) == ksg_mutual_information(x, z)
    for moved, points in zip(without_ties(x, z), (x, z), strict=True):
        distance = np.abs(moved + points.mean(axis=0) - points).max(axis=0)
        assert (distance > 1e-11).all()
        assert (distance < 1e-9).all()


def test_few_chance_repeats_change_no_digit() -> None:
    x, z = gaussians(0.9, 2, 2000)
    x[:8], z[:8] = x[8:16], z[8:16]
    for moved, points in zip(without_ties(x, z), (x, z), strict=True):
        assert moved is points
    assert ksg_mutual_information(x, z) == pytest.approx(brute_force(x, z, 5), abs=1e-12)


def test_ceiling() -> None:
    assert ksg_ceiling(9984) == pytest.approx(digamma(9984) - digamma(5))
    x = np.random.default_rng(1).normal(size=(3000, 1))
    assert ksg_ceiling(3000) - 0.01 < ksg_mutual_information(x, x) <= ksg_ceiling(3000) + 1e-9


def test_at_most_ten_thousand_pairs_are_looked_at() -> None:
    x, z = gaussians(0.9, 1, 10_200)
    assert ksg_mutual_information(x, z) == ksg_mutual_information(x[:10_000], z[:10_000])
    assert ksg_ceiling(10_200) == ksg_ceiling(10_000)


def test_refuses_what_has_no_estimate() -> None:
    x, z = gaussians(0.5, 2, 10)
    with pytest.raises(ValueError, match="at least 11 points"):
        ksg_mutual_information(x, z, k=10)
    with pytest.raises(ValueError, match="k >= 1"):
        ksg_mutual_information(x, z, k=0)
    with pytest.raises(ValueError, match="pairs"):
        ksg_mutual_information(x, z[:9])
    with pytest.raises(ValueError, match="finite"):
        ksg_mutual_information(x, np.where(z > 1e9, z, np.nan))


def test_counts_of_a_gpu_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, z = gaussians(0.9, 3, 2000)
    x[:, 1] = x[:, 1].round()  # ties, which are broken first
    tensors = torch.from_numpy(x), torch.from_numpy(z).float()
    expected = ksg_mutual_information(*tensors)
    assert expected == ksg_mutual_information(x, z.astype(np.float32))
    let_a_cpu_be_the_gpu(monkeypatch)
    assert ksg_mutual_information(*tensors) == expected


@pytest.mark.gpu
@pytest.mark.parametrize("tied", [False, True])
def test_a_gpu_says_the_same(tied: bool) -> None:
    x, z = gaussians(0.9, 10, 10_200)
    if tied:
        x[:, 1], z[:] = x[:, 1].round(), np.round(z, 1)
    on_gpu = torch.from_numpy(x).cuda(), torch.from_numpy(z).cuda()
    assert ksg_mutual_information(*on_gpu) == ksg_mutual_information(x, z)


def test_compiles_where_nothing_can_be_kept() -> None:
    """As in a read-only installation: a function without a file has no folder to be kept in."""
    scope: dict[str, Any] = {}
    exec("def double(value):\n    return 2 * value", scope)
    assert compiled(scope["double"])(3) == 6
