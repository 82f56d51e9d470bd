"""The VampPrior's density against a direct sum, its samples against its moments, its start."""

import math

import torch
from torch.distributions import Independent, Normal

from mimsweep.models.densities import mixture as distributions
from mimsweep.models.densities.vampprior import StandardPrior, VampPrior, first_pseudo_inputs
from mimsweep.models.streams import generator


def posteriors(count: int, dims: int) -> distributions.Normal:
    source = generator("test")
    mean, log_scale = torch.randn(2, count, dims, generator=source, dtype=torch.float64)
    return distributions.Normal(3 * mean, log_scale.exp())


def test_density_is_the_mean_of_the_posteriors() -> None:
    q = posteriors(7, 4)
    z = 3 * torch.randn(5, 2, 4, dtype=torch.float64)
    each = [Independent(Normal(q.mean[k], q.scale[k]), 1).log_prob(z).exp() for k in range(7)]
    torch.testing.assert_close(VampPrior(q).log_prob(z), (sum(each) / 7).log())


def test_density_is_one_in_all() -> None:
    q = posteriors(3, 1)
    grid = torch.linspace(-60, 60, 200_001, dtype=torch.float64)
    total = torch.trapezoid(VampPrior(q).log_prob(grid[:, None]).exp(), grid)
    assert abs(float(total) - 1) < 1e-6


def test_samples_are_of_the_chosen_posterior() -> None:
    q = posteriors(4, 3)
    assert isinstance(q.scale, torch.Tensor)
    noise = torch.randn(6, 3, dtype=torch.float64)
    choice = torch.tensor([0, 0.2499, 0.25, 0.5, 0.75, 0.9999])
    chosen = [0, 0, 1, 2, 3, 3]
    torch.testing.assert_close(
        VampPrior(q).sample(noise, choice), q.mean[chosen] + q.scale[chosen] * noise
    )


def test_standard_prior() -> None:
    z = torch.randn(5, 2, 4, dtype=torch.float64)
    expected = Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(StandardPrior().log_prob(z), expected)
    assert torch.equal(StandardPrior().sample(z, torch.zeros(5)), z)


def test_pseudo_inputs_start_at_images_with_little_noise() -> None:
    images = (torch.rand(30, 784, generator=generator("images")) < 0.2).float()
    start = first_pseudo_inputs(50, images, True, generator("test"))
    noise = start - torch.cat([images, images[:20]])
    assert abs(float(noise.std()) / 0.01 - 1) < 0.02
    assert not torch.equal(noise[:20], noise[30:])


def test_pseudo_inputs_without_images_start_within_the_clamp() -> None:
    start = first_pseudo_inputs(50, torch.zeros(3, 784), False, generator("test"))
    assert start.shape == (50, 784)
    assert 0 <= start.min() < start.max() <= 1
    assert abs(float(start.std()) - math.sqrt(1 / 12)) < 0.01
