"""Log-densities and reparameterised samples, in nats.

A density is over the last axis, whose features are independent: `log_prob` sums over it. Constants
(2π) are always included. Samples are made from noise that the caller draws, so that a function of
(weights, data, noise) has no randomness of its own.

A mixture has its K components on an axis after the runs', (R, K, B, F), and sums over them there:
items stay innermost in memory, as `models.layout` wants them. In place of the runs' axis there may
be one of samples, or none.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mimsweep.models.densities.bernoulli import Bernoulli
from mimsweep.models.densities.normal import Normal


@dataclass(frozen=True)
class Mixture:
    """A mixture of K densities.

    Attributes:
        log_weight: of the components, normalised, with shape (R, K, B).
        components: over (R, K, B, F).
    """

    log_weight: Tensor
    components: Normal | Bernoulli

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns the log-density at x with shape (R, B, F): nats, with shape (R, B)."""
        return torch.logsumexp(self.log_weight + self.components.log_prob(x.unsqueeze(-3)), dim=-2)

    def sample(self, noise: Tensor) -> Tensor:
        """Returns a sample, with shape (R, B, F), reparameterised within the chosen component.

        Args:
            noise: with shape (R, B, F + 1): F standard normals, and a uniform in [0, 1) that
                chooses the component. No gradient goes through the choice.
        """
        chosen = self._chosen(noise[..., -1])
        components, normals = self.components, noise[..., :-1]
        features = _features(components)
        if normals.shape[-1] != features:
            raise ValueError(
                f"a sample of a mixture over {features} features takes {features} normals and a "
                f"uniform number that chooses the component, not noise of {noise.shape[-1]}"
            )
        if isinstance(components, Bernoulli):
            return Bernoulli(_picked(components.logits, chosen)).sample(normals)
        mean, scale = _picked(components.mean, chosen), components.scale
        return Normal(mean, _picked(scale, chosen) if isinstance(scale, Tensor) else scale).sample(
            normals
        )

    def log_prob_of_sample(self, noise: Tensor) -> Tensor:
        """Returns `log_prob(sample(noise))`, with shape (R, B)."""
        return self.log_prob(self.sample(noise))

    @torch.no_grad()
    def _chosen(self, uniform: Tensor) -> Tensor:
        """Returns the components that uniform numbers (R, B) stand for, with shape (R, B)."""
        ends = self.log_weight.exp().cumsum(-2)
        # The last end, 1 but for rounding, closes no component.
        return (uniform.unsqueeze(-2) * ends[..., -1:, :] >= ends[..., :-1, :]).sum(-2)


def _features(density: Normal | Bernoulli) -> int:
    return (density.mean if isinstance(density, Normal) else density.logits).shape[-1]


def _picked(values: Tensor, chosen: Tensor) -> Tensor:
    """Returns of values (R, K, B, F) those of the components `chosen` (R, B): (R, B, F)."""
    every = values.mT.expand(*chosen.shape[:-1], -1, -1, -1)
    return every.take_along_dim(chosen[..., None, None, :], -3).squeeze(-3).mT


Density = Normal | Bernoulli | Mixture


def mean_and_scale(density: Density) -> tuple[Tensor, Tensor]:
    """Returns the mean and the standard deviation of each feature, with shape (R, B, F)."""
    if isinstance(density, Normal):
        return density.mean, torch.as_tensor(density.scale).expand_as(density.mean)
    if isinstance(density, Bernoulli):
        probability = density.logits.sigmoid()
        return probability, (probability * (1 - probability)).sqrt()
    means, scales = mean_and_scale(density.components)
    weight = density.log_weight.exp().unsqueeze(-1)
    mean = (weight * means).sum(-3)
    variance = (weight * (scales.square() + (means - mean.unsqueeze(-3)).square())).sum(-3)
    return mean, variance.sqrt()


def normalised(log_weight: Tensor) -> Tensor:
    """Returns log-weights with shape (R, K, B) less their logsumexp over K."""
    return log_weight - log_weight.logsumexp(1, keepdim=True)


def without_small(log_weight: Tensor) -> Tensor:
    """Returns log-weights (R, K, B), −∞ where they are below mean − standard deviation over K."""
    count = log_weight.shape[1]
    if count < 3:  # of two values neither is so far below
        return log_weight
    with torch.no_grad():
        deviation = log_weight - log_weight.mean(1, keepdim=True)
        variance = deviation.square().sum(1, keepdim=True) / (count - 1)
        small = deviation < -variance.sqrt()
    return log_weight.masked_fill(small, -math.inf)


def log_mixture_of_two(a: Tensor, b: Tensor) -> Tensor:
    """Returns log(½·eᵃ + ½·eᵇ), elementwise: the log-density of an even mixture of two."""
    return torch.logaddexp(a, b) - math.log(2)
