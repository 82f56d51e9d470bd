"""Densities without a condition, p(z) and q(x), with weights of their own (experiments.md 2).

- `Gaussian`      a learned Gaussian, or a mixture of them: scale = exp(log-scale) + min_scale.
  Components whose log-weight is below mean − standard deviation are dropped. Locations start
  at N(0, 1), log-scales at 10⁻³·N(0, 1), log-weights at N(0, 1); or, as the study has p(z), the
  components start as equal packed circles of the first two coordinates' unit disc: a centre, 0
  beyond, the radius as σ, equal weights.
- `Bits`          learned Bernoullis; logits start at 10⁻³·N(0, 1).

`models.densities.vampprior` has the third kind.

A density is laid out over all items, as the outputs of networks are: whatever isn't computed over
the padded axis of items would be computed otherwise for one run than for several (`models.layout`).
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mimsweep.models.densities.bernoulli import Bernoulli
from mimsweep.models.densities.mixture import Density, Mixture, normalised, without_small
from mimsweep.models.densities.normal import Normal
from mimsweep.models.layout import Weights
from mimsweep.models.streams import normals


class Distribution(Protocol):
    """What p(z) and q(x) are at some weights."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns the log-density at x with shape (R, B, F): nats, with shape (R, B)."""

    def sample(self, noise: Tensor) -> Tensor:
        """Returns a sample, with shape (R, B, F), by noise with that shape or, to choose, more."""


class LearnedDensity(Protocol):
    """A density without a condition."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of one run's weights by name."""

    def start(self, seed: int) -> dict[str, Tensor]:
        """Returns what one run's weights start at, by name."""

    def __call__(self, weights: Weights, items: int) -> Distribution:
        """Returns the density over (R, B, F) of B items."""


@dataclass(frozen=True)
class Gaussian:
    """A learned Gaussian or, with components, a mixture of so many.

    Attributes:
        name: prefix of the names of its weights.
        dims: F.
        components: K; 0 for a Gaussian that is no mixture.
        min_scale: smallest σ.
        circles: whether the components start as packed circles.
    """

    name: str
    dims: int
    components: int
    min_scale: float
    circles: bool = False

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of one run's weights by name."""
        axes = (self.components, self.dims) if self.components else (self.dims,)
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
            (f"{self.name}.mean", f"{self.name}.log_scale"), axes
        )
        if self.components:
            shapes[f"{self.name}.log_weight"] = (self.components,)
        return shapes

    def start(self, seed: int) -> dict[str, Tensor]:
        """Returns what one run's weights start at, by name."""
        draws = {n: initial_normals(n, shape, seed) for n, shape in self.shapes().items()}
        draws[f"{self.name}.log_scale"] *= 1e-3
        if self.components and self.circles:
            centres, radius = packed_circles(self.components)
            planes = min(self.dims, 2)
            mean = torch.zeros(self.components, self.dims)
            mean[:, :planes] = centres[:, :planes].float()
            draws[f"{self.name}.mean"] = mean
            draws[f"{self.name}.log_scale"] = torch.full_like(mean, math.log(radius))
            draws[f"{self.name}.log_weight"] = torch.zeros(self.components)
        return draws

    def __call__(self, weights: Weights, items: int) -> Density:
        """Returns the density over (R, B, F) of B items."""
        mean = over_items(weights[f"{self.name}.mean"], items)
        log_scale = over_items(weights[f"{self.name}.log_scale"], items)
        normal = Normal(mean, log_scale.exp() + self.min_scale)
        if not self.components:
            return normal
        log_weight = over_items(weights[f"{self.name}.log_weight"], items).mT
        return Mixture(normalised(without_small(log_weight)), normal)


@dataclass(frozen=True)
class Bits:
    """Learned Bernoullis.

    Attributes:
        name: prefix of the name of its weights.
        dims: F.
        minimum: probabilities are kept in [minimum, 1 − minimum].
    """

    name: str
    dims: int
    minimum: float

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of one run's weights by name."""
        return {f"{self.name}.logits": (self.dims,)}

    def start(self, seed: int) -> dict[str, Tensor]:
        """Returns what one run's weights start at, by name."""
        return {n: 1e-3 * initial_normals(n, shape, seed) for n, shape in self.shapes().items()}

    def __call__(self, weights: Weights, items: int) -> Density:
        """Returns the density over (R, B, F) of B items."""
        logits = over_items(weights[f"{self.name}.logits"], items)
        return Bernoulli.clamped(logits, self.minimum)


def over_items(values: Tensor, items: int) -> Tensor:
    """Repeats values (R, ..., F) for B items: with shape (R, ..., B, F), laid out feature-major."""
    return values.unsqueeze(-1).expand(*values.shape, items).contiguous().mT


def packed_circles(count: int) -> tuple[Tensor, float]:
    """Packs equal circles into the unit disc: centres with shape (count, 2), and the radius.

    They lie on a hexagonal lattice, touching each other, as near to the disc's centre as they can;
    of two or three, four or seven circles no packing, or none that is much better, is larger.
    """
    reach = math.isqrt(count) + 2
    row, column = torch.meshgrid(*[torch.arange(-reach, reach + 1.0).double()] * 2, indexing="ij")
    lattice = torch.stack([2 * column + row, math.sqrt(3) * row], -1).flatten(0, 1)
    # Angles break ties of distance, to which rounding makes no difference.
    angle = torch.atan2(lattice[:, 1], lattice[:, 0]) % (2 * math.pi)
    order = (lattice.norm(dim=1) * 1e3 + angle).argsort()
    centres = lattice[order[:count]]
    centres = centres - centres.mean(0)
    radius = 1 / (1 + float(centres.norm(dim=1).max()))
    return centres * radius, radius


def initial_normals(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """Returns standard normals, which a weight of that name and shape starts at in a run."""
    return normals(("init", name, seed), shape)
