"""Bounds of mutual information: by definition, and where the truth is known."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    StudentT,
    Uniform,
)
from torch.distributions import Normal as TorchNormal

from mimsweep.models.densities.mixture import Mixture
from mimsweep.models.densities.normal import Normal
from mimsweep.models.measures import tiles
from mimsweep.models.measures.bounds import information, summary, sums_of
from mimsweep.models.measures.pairs import Sums
from mimsweep.models.streams import generator
from tests.models.measures.samples import let_a_cpu_be_the_gpu, pretended_gpu


def normals(*name: str | int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=generator("bounds", *name), dtype=torch.float64)


@dataclass(frozen=True)
class Other:
    """Any distribution of torch's, of N items; its noise is a sample."""

    law: Distribution

    def sample(self, noise: Tensor) -> Tensor:
        return noise

    def log_prob(self, x: Tensor) -> Tensor:
        return self.law.log_prob(x)


def naive(law: Callable[[int], Distribution], z: Tensor) -> Sums:
    """One item after the other, from the text."""
    columns = torch.stack([law(j).log_prob(z) for j in range(len(z))], dim=1)
    rows = []
    for i, each in enumerate(columns):
        rest = torch.cat([each[:i], each[i + 1 :]])
        rows.append(torch.stack([each[i], rest.logsumexp(0), rest.max()]))
    return Sums(*torch.stack(rows, dim=1).numpy())


def assert_equal(found: Sums, expected: Sums) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    assert summary(found) == pytest.approx(summary(expected), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("count", [2, 63, 64, 65, 130])
@pytest.mark.parametrize("dims", [1, 2, 5])
def test_by_definition(count: int, dims: int) -> None:
    mean, noise = normals("mean", shape=(1, count, dims)), normals("e", shape=(1, count, dims))
    scale = (normals("scale", shape=(1, count, dims)) - 1).exp()
    z = (mean + scale * noise)[0]
    expected = naive(lambda j: Independent(TorchNormal(mean[0, j], scale[0, j]), 1), z)
    assert_equal(sums_of(Normal(mean, scale), noise), expected)


@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, "mixed"])
def test_small_scales_far_from_zero(offset: float, scale: float | str) -> None:
    """Latents in two heaps at ±50 and a few millionths wide; float32 has no digit left there."""
    sign = torch.where(torch.arange(100) < 50, 1.0, -1.0).double()[None, :, None]
    mean = offset * sign + 3e-6 * normals("mean", shape=(1, 100, 3))
    sigma = 10 ** (-6 * torch.rand(1, 100, 3, generator=generator("sigma"), dtype=torch.float64))
    if not isinstance(scale, str):
        sigma = torch.full_like(mean, scale)
    noise = normals("e", shape=(1, 100, 3))
    z = (mean + sigma * noise)[0]
    expected = naive(lambda j: Independent(TorchNormal(mean[0, j], sigma[0, j]), 1), z)
    found = sums_of(Normal(mean, sigma if isinstance(scale, str) else scale), noise)
    assert_equal(found, expected)
    if scale == 1e-6:
        assert 1 < summary(found)["mi_lower"] < math.log(100)


def test_network_outputs_are_taken_in_double() -> None:
    """σ of a millionth at μ = 50 is lost in float32: all z would be equal, and tell nothing."""
    mean = torch.full((1, 64, 1), 50.0)
    mean[:, 32:] = 50.000004  # the next number there is
    noise = normals("e", shape=(1, 64, 1)).float()
    two_heaps = information(Normal(mean, 1e-7), noise)
    assert two_heaps["mi_lower"] == pytest.approx(math.log(2))
    assert two_heaps["mi_upper"] == pytest.approx(math.log(2 * 63 / 62))


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("components", [1, 3])
def test_mixtures(fixed: bool, components: int) -> None:
    shape = (1, components, 70, 2)
    mean, scale = normals("m", shape=shape), (normals("s", shape=shape) - 1).exp()
    log_weight = normals("w", shape=shape[:3]).log_softmax(1)
    if components > 1:
        log_weight[0, 1, :9] = -math.inf
        log_weight = log_weight.log_softmax(1)
    if fixed:
        scale = torch.full_like(scale, 0.05)
    uniform = torch.rand(1, 70, 1, generator=generator("u"), dtype=torch.float64)
    noise = torch.cat([normals("e", shape=(1, 70, 2)), uniform], dim=-1)
    q = Mixture(log_weight, Normal(mean, 0.05 if fixed else scale))

    def law(j: int) -> Distribution:
        parts = Independent(TorchNormal(mean[0, :, j], scale[0, :, j]), 1)
        return MixtureSameFamily(Categorical(logits=log_weight[0, :, j]), parts)

    assert_equal(sums_of(q, noise), naive(law, q.sample(noise)[0]))


def test_rows_of_any_density_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    mean, noise = normals("mean", shape=(1, 150, 3)), normals("e", shape=(1, 150, 3))
    scale = normals("scale", shape=(1, 150, 3)).exp()
    fast = sums_of(Normal(mean, scale), noise)
    law = Independent(TorchNormal(mean[0], scale[0]), 1)
    for at_once in (1, 7 * 450, tiles.AT_ONCE["cpu"]):
        monkeypatch.setitem(tiles.AT_ONCE, "cpu", at_once)
        assert_equal(sums_of(Other(law), mean + scale * noise), fast)


def of_networks(components: int, count: int) -> tuple[Normal | Mixture, Tensor]:
    """A density with parameters in float32, as networks have them, and noise."""
    shape = (1, components or 1, count, 5)
    mean, scale = normals("m", shape=shape).float(), (normals("s", shape=shape) - 3).exp().float()
    noise = normals("e", shape=(1, count, 5))
    if not components:
        return Normal(mean[:, 0], scale[:, 0]), noise
    uniform = torch.rand(1, count, 1, generator=generator("u"), dtype=torch.float64)
    log_weight = normals("w", shape=shape[:3]).log_softmax(1).float()
    return Mixture(log_weight, Normal(mean, scale)), torch.cat([noise, uniform], dim=-1)


def moved(q: Normal | Mixture, to: Callable[[Tensor], Tensor]) -> Normal | Mixture:
    if isinstance(q, Normal):
        return Normal(to(q.mean), to(q.scale) if isinstance(q.scale, Tensor) else q.scale)
    parts: Any = moved(q.components, to)
    return Mixture(to(q.log_weight), parts)


@pytest.mark.parametrize("components", [0, 3])
@pytest.mark.parametrize("at_once", [1, 3000, 2_000_000])
def test_sums_of_a_gpu_are_the_same(
    components: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, noise = of_networks(components, 150)
    fixed = Normal(normals("m", shape=(1, 150, 5)).float(), 1e-3)  # an auto-encoder's
    expected = [sums_of(q, noise), sums_of(fixed, noise[..., :5])]
    let_a_cpu_be_the_gpu(monkeypatch)
    monkeypatch.setitem(tiles.AT_ONCE, "cpu", at_once)
    assert_equal(sums_of(q, noise), expected[0])
    assert_equal(sums_of(fixed, noise[..., :5]), expected[1])


@pytest.mark.parametrize("components", [0, 3])
def test_tensors_stay_on_the_gpu(components: int) -> None:
    """All is computed there, until the sums themselves are wanted."""
    q, noise = of_networks(components, 70)
    with pretended_gpu() as gpu, pytest.raises(RuntimeError, match="numpy"):
        sums_of(moved(q, gpu), gpu(noise))
    with pretended_gpu() as gpu, pytest.raises(RuntimeError, match="device"):
        sums_of(moved(q, gpu), noise)


@pytest.mark.gpu
@pytest.mark.parametrize("components", [0, 3])
def test_a_gpu_says_the_same(components: int) -> None:
    q, noise = of_networks(components, 1000)
    assert_equal(sums_of(moved(q, Tensor.cuda), noise.cuda()), sums_of(q, noise))


def test_collapsed_latents_tell_nothing() -> None:
    mean, noise = torch.zeros(1, 100, 2), normals("e", shape=(1, 100, 2))
    measured = information(Normal(mean, 1.0), noise)
    assert measured["mi_lower"] == pytest.approx(0, abs=1e-12)
    assert measured["mi_upper"] == pytest.approx(0, abs=1e-12)
    assert measured["retrieval"] == 0


def test_latents_far_apart_are_all_retrieved() -> None:
    mean = torch.arange(100.0)[None, :, None]
    measured = information(Normal(mean, 1e-6), normals("e", shape=(1, 100, 1)))
    assert measured["mi_lower"] == pytest.approx(math.log(100), abs=1e-12)
    assert measured["mi_upper"] > 1e10
    assert measured["retrieval"] == 1


def test_values_that_are_no_numbers_give_none() -> None:
    mean = torch.zeros(1, 10, 2)
    mean[0, 3, 1] = math.nan
    assert math.isnan(information(Normal(mean, 1.0), normals("e", shape=(1, 10, 2)))["mi_lower"])


def assert_between(sums: Sums, truth: float) -> None:
    """lower − 3 s.e. <= truth <= upper + 3 s.e.; near log N where the truth is beyond it."""
    count = len(sums.own)
    lower = sums.own - np.logaddexp(sums.own, sums.others) + math.log(count)
    upper = sums.own - sums.others + math.log(count - 1)
    error = 3 / math.sqrt(count)
    assert lower.mean() - error * lower.std() <= truth <= upper.mean() + error * upper.std()
    assert lower.mean() <= math.log(count) + 1e-12
    if truth < math.log(count) - 3:
        assert lower.mean() == pytest.approx(truth, abs=0.3)
    if truth > math.log(count) + 1:
        assert lower.mean() > math.log(count) - 1


def channel(mi: float, dims: int, count: int) -> Sums:
    """z = x + noise, x ~ N(0, I) in `dims` dimensions, of so many nats in all."""
    scale = 1 / math.sqrt(math.expm1(2 * mi / dims))
    mean, noise = (normals(n, mi, dims, shape=(1, count, dims)) for n in ("x", "noise"))
    return sums_of(Normal(mean, scale), noise)


@pytest.mark.parametrize("mi", [0.1, 1.0, 3.0, 6.0, 9.0, 12.0])
@pytest.mark.parametrize("dims", [1, 2, 5, 10, 20])
def test_gaussian_channels(mi: float, dims: int) -> None:
    assert_between(channel(mi, dims, 1000), mi)


@pytest.mark.slow
@pytest.mark.parametrize("mi", [0.1, 1.0, 3.0, 6.0, 9.0, 12.0])
@pytest.mark.parametrize("dims", [1, 2, 5, 10, 20])
def test_gaussian_channels_of_ten_thousand(mi: float, dims: int) -> None:
    assert_between(channel(mi, dims, 10_000), mi)


@pytest.mark.parametrize("dims", [2, 5])
def test_linear_vae(dims: int) -> None:
    """The optimum of pPCA: q(z|x) = N(M⁻¹Wᵀx, s²M⁻¹), M = WᵀW + s²I, columns of W orthogonal."""
    lengths, noise_scale = torch.linspace(0.5, 4, dims).double(), 0.7
    basis = torch.linalg.qr(normals("basis", shape=(8, 8)))[0][:, :dims]
    w = basis * lengths
    z, e = normals("z", shape=(1000, dims)), normals("e", shape=(1000, 8))
    x = z @ w.T + noise_scale * e
    m = lengths.square() + noise_scale**2
    q = Normal(((x @ w) / m)[None], (noise_scale / m.sqrt()).expand(1, 1000, dims))
    truth = float((m / noise_scale**2).log().sum() / 2)
    assert_between(sums_of(q, normals("noise", shape=(1, 1000, dims))), truth)


@pytest.mark.parametrize("half_width", [0.5, 0.02, 2.0])
def test_uniform_noise(half_width: float) -> None:
    """x ~ U(0, 1), z = x + U(−a, a): h(z) − log 2a, z a trapezium."""
    x = torch.rand(1000, 1, generator=generator("x"), dtype=torch.float64)
    noise = torch.rand(1000, 1, generator=generator("u"), dtype=torch.float64)
    law = Uniform(x - half_width, x + half_width, validate_args=False)
    low, high = sorted((1.0, 2 * half_width))
    # I = ½ low/high + log(1/(2a)) if the noise is narrower than x, else ½ low/high.
    truth = low / high / 2 - (math.log(2 * half_width) if 2 * half_width < 1 else 0.0)
    z = x + half_width * (2 * noise - 1)
    assert_between(sums_of(Other(Independent(law, 1)), z[None]), truth)


@pytest.mark.parametrize("freedom", [2.0, 5.0])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_student_noise(freedom: float, scale: float) -> None:
    """x = ±1, z = x + s·t: I by quadrature."""
    x = torch.where(torch.arange(1000) % 2 == 0, 1.0, -1.0).double()[:, None]
    one, other = StudentT(freedom, 1.0, scale), StudentT(freedom, -1.0, scale)

    def integrand(z: float) -> float:
        at = torch.tensor(z, dtype=torch.float64)
        log_p, log_r = one.log_prob(at), other.log_prob(at)
        return float(log_p.exp() * (log_p - torch.logaddexp(log_p, log_r) + math.log(2)))

    truth = quad(integrand, -60, 60, points=[-1, 1], limit=400)[0]
    torch.manual_seed(1)
    t = StudentT(torch.tensor(freedom, dtype=torch.float64)).sample((1000, 1))
    law: Any = Independent(StudentT(freedom, x, scale), 1)
    assert_between(sums_of(Other(law), (x + scale * t)[None]), truth)
