"""Mixtures and Bernoullis against torch.distributions in float64, samples against densities."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical, Independent, MixtureSameFamily
from torch.distributions import Normal as TorchNormal

from mimsweep.models.densities.bernoulli import Bernoulli
from mimsweep.models.densities.mixture import Mixture, normalised, without_small
from mimsweep.models.densities.normal import Normal

RUNS, ITEMS = 2, 5


def parts(components: int, features: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(10 * components + features)
    shape = (RUNS, components, ITEMS, features)
    log_weight = torch.randn(shape[:3]).double().requires_grad_()
    mean = torch.randn(shape).double().requires_grad_()
    return log_weight, mean, torch.randn(shape).double().exp().requires_grad_()


def gaussians(log_weight: Tensor, mean: Tensor, scale: Tensor | float) -> Mixture:
    return Mixture(normalised(log_weight), Normal(mean, scale))


def by_torch(log_weight: Tensor, mean: Tensor, scale: Tensor) -> MixtureSameFamily:
    mixed = Categorical(logits=log_weight.transpose(1, 2))
    each = TorchNormal(mean.transpose(1, 2), scale.transpose(1, 2))
    return MixtureSameFamily(mixed, Independent(each, 1))


@pytest.mark.parametrize("components", [1, 2, 7])
@pytest.mark.parametrize("features", [1, 3, 20])
def test_mixture_equals_torchs(components: int, features: int) -> None:
    log_weight, mean, scale = parts(components, features)
    x = torch.randn(RUNS, ITEMS, features).double()
    expected = by_torch(log_weight, mean, scale).log_prob(x)
    ours = gaussians(log_weight, mean, scale).log_prob(x)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_mixture_of_one_is_its_component() -> None:
    log_weight, mean, scale = parts(1, 3)
    x, noise = torch.randn(2, RUNS, ITEMS, 3).double()
    plain, mixture = Normal(mean[:, 0], scale[:, 0]), gaussians(log_weight, mean, scale)
    torch.testing.assert_close(mixture.log_prob(x), plain.log_prob(x), rtol=1e-12, atol=1e-12)
    full = torch.cat([noise, torch.rand(RUNS, ITEMS, 1)], -1)
    assert torch.equal(mixture.sample(full), plain.sample(noise))
    torch.testing.assert_close(
        mixture.log_prob_of_sample(full), plain.log_prob_of_sample(noise), rtol=1e-9, atol=1e-9
    )


def test_mixture_with_one_scale_for_all() -> None:
    log_weight, mean, _ = parts(3, 2)
    x, noise = torch.randn(RUNS, ITEMS, 2).double(), torch.rand(RUNS, ITEMS, 3).double()
    one, full = gaussians(log_weight, mean, 0.3), torch.full_like(mean, 0.3)
    other = gaussians(log_weight, mean, full)
    torch.testing.assert_close(one.log_prob(x), other.log_prob(x), rtol=1e-12, atol=1e-12)
    assert torch.equal(one.sample(noise), other.sample(noise))


def test_gradients() -> None:
    log_weight, mean, scale = parts(3, 2)
    x = torch.randn(RUNS, ITEMS, 2).double().requires_grad_()
    noise = torch.rand(RUNS, ITEMS, 3).double()
    assert gradcheck(lambda *p: gaussians(*p[:3]).log_prob(p[3]), [log_weight, mean, scale, x])
    assert gradcheck(lambda *p: gaussians(log_weight.detach(), *p).sample(noise), [mean, scale])
    assert gradcheck(lambda *p: gaussians(*p).log_prob_of_sample(noise), [log_weight, mean, scale])
    logits = torch.randn(RUNS, ITEMS, 4).double().requires_grad_()
    value = torch.rand(RUNS, ITEMS, 4).double().requires_grad_()
    assert gradcheck(lambda a, v: Bernoulli(a).log_prob(v), [logits, value])


def large(features: int, count: int = 100_000) -> tuple[Mixture, Tensor]:
    """A mixture of three, one for all items, and its samples (count, features)."""
    torch.manual_seed(features)
    mean = (
        torch.tensor([-3.0, 0.5, 4.0]).double()[None, :, None, None].expand(1, 3, count, features)
    )
    scale = torch.tensor([0.5, 0.2, 1.5]).double()[None, :, None, None].expand_as(mean)
    log_weight = torch.tensor([0.2, 0.5, 0.3]).double().log()[None, :, None].expand(1, 3, count)
    mixture = Mixture(log_weight, Normal(mean, scale))
    noise = torch.cat([torch.randn(1, count, features), torch.rand(1, count, 1)], -1).double()
    return mixture, mixture.sample(noise)[0]


def test_moments_of_samples() -> None:
    _, samples = large(3)
    weight, mean, scale = (
        np.array([0.2, 0.5, 0.3]),
        np.array([-3, 0.5, 4]),
        np.array([0.5, 0.2, 1.5]),
    )
    expected = weight @ mean
    variance = weight @ (scale**2 + mean**2) - expected**2
    error = 5 * math.sqrt(variance / len(samples))
    assert samples.mean(0).numpy() == pytest.approx(np.full(3, expected), abs=error)
    assert samples.var(0).numpy() == pytest.approx(np.full(3, variance), rel=0.03)
    between = weight @ mean**2 - expected**2  # all features are of one component
    assert np.cov(samples.numpy().T)[0, 1] == pytest.approx(between, rel=0.03)


def test_samples_follow_the_density() -> None:
    """Kolmogorov and Smirnov, on the distribution function that the density integrates to."""
    mixture, samples = large(1)
    grid = torch.linspace(-8, 14, 100_000, dtype=torch.float64)
    density = mixture.log_prob(grid[None, :, None])[0].exp().numpy()
    cumulative = np.cumsum(density) * float(grid[1] - grid[0])
    assert cumulative[-1] == pytest.approx(1, abs=1e-6)
    test = stats.kstest(samples[:, 0].numpy(), lambda x: np.interp(x, grid.numpy(), cumulative))
    assert test.pvalue > 1e-3


def test_components_are_chosen_by_their_weights_and_never_when_dropped() -> None:
    log_weight = torch.tensor([-math.inf, math.log(0.25), -math.inf, math.log(0.75), -math.inf])
    mean = torch.arange(5.0)[None, :, None, None].expand(1, 5, 1000, 1)
    mixture = Mixture(log_weight[None, :, None].expand(1, 5, 1000), Normal(mean, 1.0))
    uniform = torch.arange(1000.0)[None, :, None] / 1000
    samples = mixture.sample(torch.cat([torch.zeros_like(uniform), uniform], -1)).flatten()
    assert samples.unique(return_counts=True)[1].tolist() == [250, 750]
    assert samples.unique().tolist() == [1, 3]


def test_small_weights_are_dropped() -> None:
    """Those below mean − standard deviation, as numpy has them."""
    torch.manual_seed(3)
    for count in (1, 2, 3, 6, 30):
        log_weight = torch.randn(RUNS, count, ITEMS).double()
        kept = without_small(log_weight)
        values = log_weight.numpy()
        if count > 1:
            limit = values.mean(1, keepdims=True) - values.std(1, ddof=1, keepdims=True)
            expected = np.where(values < limit, -math.inf, values)
            assert (kept.numpy() == expected).all()
        else:
            assert torch.equal(kept, log_weight)
    assert (kept == -math.inf).any()


def test_dropped_components_have_no_density_and_no_gradient() -> None:
    log_weight = torch.tensor([0.0, 0.0, 0.0, -9.0]).double()[None, :, None].requires_grad_()
    mean = torch.arange(4.0).double()[None, :, None, None].requires_grad_()
    mixture = Mixture(normalised(without_small(log_weight)), Normal(mean, 1.0))
    x = torch.tensor([[[2.0]]]).double()
    rest = by_torch(log_weight[:, :3], mean[:, :3], torch.ones(1, 3, 1, 1).double())
    torch.testing.assert_close(mixture.log_prob(x), rest.log_prob(x))
    gradients = torch.autograd.grad(mixture.log_prob(x).sum(), [log_weight, mean])
    for gradient in gradients:
        assert gradient.isfinite().all()
        assert (gradient.flatten()[3] == 0).all()


@pytest.mark.parametrize("minimum", [1e-6, 1e-2])
def test_bernoulli_equals_torchs(minimum: float) -> None:
    torch.manual_seed(2)
    logits = 4 * torch.randn(RUNS, ITEMS, 50).double()
    x = torch.rand(RUNS, ITEMS, 50).double()
    probability = logits.sigmoid().clamp(minimum, 1 - minimum)
    ours = Bernoulli.clamped(logits, minimum)
    law = Independent(TorchBernoulli(probability, validate_args=False), 1)
    torch.testing.assert_close(ours.log_prob(x), law.log_prob(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ours.sample(x), probability, rtol=1e-10, atol=1e-10)
    expected = law.log_prob(probability)
    torch.testing.assert_close(ours.log_prob_of_sample(x), expected, rtol=1e-10, atol=1e-10)


def test_bernoulli_of_extreme_logits_is_finite() -> None:
    logits = torch.tensor([[[-1e4, 1e4]]]).requires_grad_()
    value = Bernoulli.clamped(logits, 1e-18).log_prob(torch.tensor([[[0.5, 0.5]]]))
    assert value.item() == pytest.approx(-18 * math.log(10), rel=1e-3)
    assert torch.autograd.grad(value.sum(), logits)[0].isfinite().all()


def test_mixture_of_bernoullis() -> None:
    torch.manual_seed(4)
    logits, log_weight = (
        torch.randn(RUNS, 3, ITEMS, 4).double(),
        torch.randn(RUNS, 3, ITEMS).double(),
    )
    x = torch.rand(RUNS, ITEMS, 4).double()
    mixture = Mixture(normalised(log_weight), Bernoulli(logits))
    each = TorchBernoulli(logits=logits.transpose(1, 2), validate_args=False)
    mixed = Categorical(logits=log_weight.transpose(1, 2))
    expected = MixtureSameFamily(mixed, Independent(each, 1), validate_args=False).log_prob(x)
    torch.testing.assert_close(mixture.log_prob(x), expected, rtol=1e-10, atol=1e-10)
    noise = torch.rand(RUNS, ITEMS, 5).double()
    samples = mixture.sample(noise)
    matches = (samples.unsqueeze(1) == logits.sigmoid()).all(-1)
    assert (matches.sum(1) == 1).all()
