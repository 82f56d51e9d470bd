"""Toy mixtures of Gaussians.

A toy mixture `toy<K>[_<D>]` has M Gaussians of equal weight and σ = 1.25/M in all D dimensions:
|K| outer ones at (cos a_i, sin a_i) with a_i = 2π·i/M, and with K >= 0 one more, first, at the
origin. M counts that one too, so the angles are uneven for K >= 0, as in the published study.
Beyond two dimensions component m goes on with row m of the M×D row-major grid
linspace(−10M, 10M, M·D), columns 2 to D − 1. With weights 1/M,

    log P(x) = logsumexp_m Σ_d [ −½((x_d − μ_md)/σ_d)² − log σ_d − ½ log 2π ] − log M    in nats.

`Toy…` is the same for self-supervision: a training item is two draws from one component.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mimsweep.models.data.base import Split
from mimsweep.models.philox import Words, fill_mixture
from mimsweep.models.streams import key

TOY_ITEMS = 10_000


@dataclass(frozen=True)
class ToyMixture:
    """A mixture of Gaussians of equal weight, new points in every split.

    Attributes:
        name: names the streams of random numbers.
        means: μ with shape (M, D), float64.
        scale: σ with shape (D,), float64.
        pairs: whether a training item is two draws from one component, side by side.
    """

    name: str
    means: Tensor
    scale: Tensor
    pairs: bool = False

    @property
    def dims(self) -> int:
        """D, the size of an item."""
        return self.means.shape[1]

    @property
    def classes(self) -> int:
        """M, the number of components."""
        return self.means.shape[0]

    def items(self, split: Split) -> int:
        """Returns 10,000, whatever the split."""
        return TOY_ITEMS

    def key(self, split: Split, seed: int) -> Words:
        """Returns the key, with shape (2,), of the numbers that points are drawn from."""
        return key("data", self.name, split, seed)

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns points with shape (10,000, D), float32, and their components, (10,000,).

        The points of pairs to train on have the second point behind the first: (10,000, 2D).
        """
        both = self.pairs and split == "train"
        points = torch.empty(self.dims * (2 if both else 1), TOY_ITEMS)
        labels = torch.empty(TOY_ITEMS, dtype=torch.long)
        means, scale = self.means.float().numpy(), self.scale.float().numpy()
        counted = self.key(split, seed)
        fill_mixture(points.numpy(), labels.numpy(), means, scale, counted, epoch)
        return points.T, labels

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns log P(x) in nats with shape (...), x with shape (..., D), in x's precision."""
        means, scale = self.means.to(x), self.scale.to(x)
        squares = ((x[..., None, :] - means) / scale).square().sum(-1)
        constant = scale.log().sum() + self.dims / 2 * math.log(2 * math.pi)
        return torch.logsumexp(-squares / 2, -1) - constant - math.log(self.classes)


def toy_mixture(name: str, outer: int, dims: int) -> ToyMixture:
    """Returns the mixture toy<outer>_<dims>."""
    count = outer + 1 if outer >= 0 else -outer
    angles = 2 * math.pi * torch.arange(abs(outer), dtype=torch.float64) / count
    ring = torch.stack([angles.cos(), angles.sin()], dim=1)
    plane = torch.cat([ring.new_zeros(count - abs(outer), 2), ring])
    grid = torch.linspace(-10 * count, 10 * count, count * dims, dtype=torch.float64)
    means = torch.cat([plane, grid.reshape(count, dims)[:, 2:]], dim=1)
    scale = torch.full((dims,), 1.25 / count, dtype=torch.float64)
    return ToyMixture(name, means, scale, pairs=name.startswith("T"))
