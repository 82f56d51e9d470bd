"""Densities against torch.distributions, in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Independent, MultivariateNormal
from torch.distributions import Normal as TorchNormal

from mimsweep.models.densities.mixture import log_mixture_of_two
from mimsweep.models.densities.normal import Normal, standard_normal_log_prob

finite = st.floats(-700, 700)


def parameters(features: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(features)
    mean = torch.randn(2, 5, features, dtype=torch.float64, requires_grad=True)
    log_scale = torch.randn(2, 5, features, dtype=torch.float64) - 1
    noise = torch.randn(2, 5, features, dtype=torch.float64)
    return mean, log_scale.exp().requires_grad_(), noise


@pytest.mark.parametrize("features", [1, 3, 20])
def test_log_prob_equals_torchs(features: int) -> None:
    mean, scale, x = parameters(features)
    expected = Independent(TorchNormal(mean, scale), 1).log_prob(x)
    torch.testing.assert_close(Normal(mean, scale).log_prob(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-6, 0.3, 2.0])
def test_log_prob_with_one_scale_for_all(scale: float) -> None:
    mean, _, noise = parameters()
    x = mean.detach() + scale * noise
    expected = Independent(TorchNormal(mean, scale), 1).log_prob(x)
    normal = Normal(mean, scale)
    torch.testing.assert_close(normal.log_prob(x), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(normal.log_prob_of_sample(noise), expected, rtol=1e-8, atol=1e-8)


def test_sample_is_reparameterised() -> None:
    mean, scale, noise = parameters()
    assert torch.equal(Normal(mean, scale).sample(noise), mean + scale * noise)
    assert torch.equal(Normal(mean, 0.5).sample(noise), mean + 0.5 * noise)


def test_samples_have_the_density_they_claim() -> None:
    torch.manual_seed(1)
    noise = torch.randn(1, 200_000, 2, dtype=torch.float64)
    normal = Normal(torch.tensor([1.0, -2.0]).double(), torch.tensor([0.5, 3.0]).double())
    entropy = math.log(0.5) + math.log(3) + math.log(2 * math.pi * math.e)
    assert -normal.log_prob(normal.sample(noise)).mean() == pytest.approx(entropy, abs=0.01)
    assert -normal.log_prob_of_sample(noise).mean() == pytest.approx(entropy, abs=0.01)


def test_log_prob_of_sample_is_log_prob_at_the_sample_in_value_and_gradient() -> None:
    mean, scale, noise = parameters()
    weight = torch.randn(2, 5, dtype=torch.float64)
    short = Normal(mean, scale).log_prob_of_sample(noise)
    normal = Normal(mean, scale)
    detour = normal.log_prob(normal.sample(noise))
    torch.testing.assert_close(short, detour, rtol=1e-10, atol=1e-10)
    (of_scale,) = torch.autograd.grad((short * weight).sum(), [scale])
    of_mean, expected = torch.autograd.grad((detour * weight).sum(), [mean, scale])
    torch.testing.assert_close(of_scale, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(of_mean, torch.zeros_like(mean), rtol=0, atol=1e-10)
    assert not short.requires_grad or torch.autograd.grad(
        short.sum(), [mean], allow_unused=True
    ) == (None,)


def test_gradients() -> None:
    mean, scale, noise = parameters()
    x = torch.randn_like(noise).requires_grad_()
    assert gradcheck(lambda m, s, v: Normal(m, s).log_prob(v), [mean, scale, x])
    assert gradcheck(lambda s: Normal(mean.detach(), s).log_prob_of_sample(noise), [scale])
    assert gradcheck(standard_normal_log_prob, [x])


@pytest.mark.parametrize("features", [1, 2, 20])
def test_standard_normal_equals_torchs(features: int) -> None:
    z = torch.randn(2, 5, features, dtype=torch.float64)
    zero = torch.zeros(features, dtype=torch.float64)
    expected = MultivariateNormal(zero, torch.eye(features).double()).log_prob(z)
    torch.testing.assert_close(standard_normal_log_prob(z), expected, rtol=1e-10, atol=1e-10)


@given(finite, finite)
def test_log_mixture_of_two(a: float, b: float) -> None:
    left, right = torch.tensor([a, b], dtype=torch.float64)
    expected = torch.stack([left, right]).logsumexp(0) - math.log(2)
    torch.testing.assert_close(log_mixture_of_two(left, right), expected, rtol=1e-12, atol=1e-12)
    assert min(a, b) - 1e-9 <= log_mixture_of_two(left, right) <= max(a, b) + 1e-9


def test_log_mixture_of_two_far_apart() -> None:
    a, b = torch.tensor([-1e6, 0.0]).double(), torch.tensor([0.0, -1e6]).double()
    expected = torch.full((2,), -math.log(2)).double()
    torch.testing.assert_close(log_mixture_of_two(a, b), expected)
