"""Priors p(z2) of the two-level models: N(0, I), and the VampPrior (arXiv 1705.07120).

The VampPrior is the mixture of the encoder's own posteriors at K learned pseudo-inputs u_k,

    p(z) = 1/K Σ_k q(z|u_k),    u_k clamped to [0, 1].
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.distributions import Normal, standard_normal_log_prob

START_NOISE = 0.01
"""Standard deviation of the noise on the images at which pseudo-inputs start."""


class Prior(Protocol):
    """A density of z2, at one setting of the weights."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns the log-density at z with shape (..., Z): nats, with shape (...)."""

    def sample(self, noise: Tensor, choice: Tensor) -> Tensor:
        """Returns a sample with shape (N, Z).

        Args:
            noise: standard Gaussian, with shape (N, Z).
            choice: uniform in [0, 1), chooses the component, with shape (N,).
        """


class StandardPrior:
    """N(0, I)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns the log-density at z with shape (..., Z): nats, with shape (...)."""
        return standard_normal_log_prob(z)

    def sample(self, noise: Tensor, choice: Tensor) -> Tensor:
        """Returns the noise, with shape (N, Z)."""
        return noise


@dataclass(frozen=True)
class VampPrior:
    """The mixture with equal weights of K posteriors.

    Attributes:
        posteriors: q(z|u_k), with shape (K, Z).
    """

    posteriors: Normal

    def log_prob(self, z: Tensor) -> Tensor:
        """Returns the log-density at z with shape (..., Z): nats, with shape (...)."""
        each = self.posteriors.log_prob(z.unsqueeze(-2))
        return each.logsumexp(-1) - math.log(each.shape[-1])

    def sample(self, noise: Tensor, choice: Tensor) -> Tensor:
        """Returns a sample of the chosen posteriors, with shape (N, Z); see `Prior`."""
        mean, scale = self.posteriors.mean, self.posteriors.scale
        assert isinstance(scale, Tensor)
        chosen = (choice * len(mean)).long()
        return mean[chosen] + scale[chosen] * noise


def first_pseudo_inputs(
    count: int, images: Tensor, from_images: bool, source: torch.Generator
) -> Tensor:
    """Returns what pseudo-inputs start at, with shape (K, 784).

    Args:
        count: K.
        images: levels with shape (N, 784); they are used again where N < K.
        from_images: whether they start at the first images + 0.01 noise, else they are uniform in
            [0, 1], where the clamp lets a gradient through.
        source: of the noise.
    """
    shape = (count, images.shape[1])
    if not from_images:
        return torch.rand(shape, generator=source)
    noise = torch.randn(shape, generator=source)
    return images[torch.arange(count) % len(images)] + START_NOISE * noise
