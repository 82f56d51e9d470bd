"""The VampPrior (arXiv 1705.07120): the mixture of the encoder's posteriors at pseudo-inputs.

Of learned inputs u_k it is

    p(z) = 1/K Σ_k q(z|u_k)

`StackedVampPrior` is that of a stack of runs, and any other even mixture of a conditional density
at learned inputs. Two-level image models have one run each, and `VampPrior`, whose u_k are clamped
to [0, 1], or `StandardPrior`, N(0, I), as p(z2).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mimsweep.models.densities.bernoulli import Bernoulli
from mimsweep.models.densities.learned import initial_normals, over_items
from mimsweep.models.densities.mixture import Density, Mixture
from mimsweep.models.densities.normal import Normal, standard_normal_log_prob
from mimsweep.models.layout import Weights, feature_major, padded

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


@dataclass(frozen=True)
class StackedVampPrior:
    """An even mixture of a conditional density at learned inputs.

    Attributes:
        name: prefix of the name of its weights.
        inputs: size of an input.
        components: K, how many there are.
        conditional: weights and inputs with shape (R, B, inputs) to the density given each.
    """

    name: str
    inputs: int
    components: int
    conditional: Callable[[Weights, Tensor], Density]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of one run's weights by name."""
        return {f"{self.name}.inputs": (self.components, self.inputs)}

    def start(self, seed: int, items: Tensor | None = None) -> dict[str, Tensor]:
        """Returns the inputs that one run starts with, by name.

        Args:
            seed: of the run.
            items: with shape (N, >= inputs), to start at, used again where N < K; None for draws
                from N(0, I).
        """
        if items is not None:
            some = torch.arange(self.components) % len(items)
            return {f"{self.name}.inputs": items[some, : self.inputs]}
        return {n: initial_normals(n, shape, seed) for n, shape in self.shapes().items()}

    def __call__(self, weights: Weights, items: int) -> Mixture:
        """Returns the density over (R, B, F) of B items."""
        inputs, count = weights[f"{self.name}.inputs"], self.components
        padding = inputs[:, :1].expand(-1, padded(count) - count, -1)
        density = self.conditional(weights, feature_major(torch.cat([inputs, padding], 1)))

        def spread(values: Tensor) -> Tensor:  # (R, [N,] K', F) to (R, [N·]K, B, F)
            return over_items(
                values[..., :count, :].reshape(len(values), -1, values.shape[-1]), items
            )

        parts, log_weight = density, inputs.new_zeros(len(inputs), count, 1)
        if isinstance(density, Mixture):
            parts, log_weight = density.components, density.log_weight[..., :count]
        log_weight = over_items(log_weight.flatten(1) - math.log(count), items).mT
        if isinstance(parts, Bernoulli):
            return Mixture(log_weight, Bernoulli(spread(parts.logits)))
        assert isinstance(parts, Normal)
        scale = spread(parts.scale) if isinstance(parts.scale, Tensor) else parts.scale
        return Mixture(log_weight, Normal(spread(parts.mean), scale))
