"""A user's distribution, held to what p(z) and q(x) are.

A log-density of another shape would be broadcast to numbers that mean nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mimsweep.models import registry
from mimsweep.models.layout import Weights
from mimsweep.models.places import UserError, defined_at
from mimsweep.models.settings import kept


@dataclass(frozen=True)
class UsersDensity:
    """A `LearnedDensity` that keeps its promises, or says which one it broke.

    Attributes:
        name: a value of `p_z` and `q_x`.
        prefix: of the names of its weights.
        made: the user's own.
    """

    name: str
    prefix: str
    made: Any

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of one run's weights by name."""
        with kept(self.made):
            shapes = self.made.shapes()
        if not isinstance(shapes, Mapping):
            raise self.wrong(f"shapes() must be names and shapes, not {shapes!r}")
        for name in shapes:
            if not str(name).startswith(f"{self.prefix}."):
                raise self.wrong(f"shapes() names {name!r}; it must begin with {self.prefix}.")
        return {name: tuple(shape) for name, shape in shapes.items()}

    def start(self, seed: int) -> dict[str, Tensor]:
        """Returns what one run's weights start at, by name."""
        with kept(self.made):
            starts = self.made.start(seed)
        found = {name: tuple(values.shape) for name, values in starts.items()}
        if found != self.shapes():
            raise self.wrong(f"start() has the shapes {found}, but shapes() says {self.shapes()}")
        return {name: values.detach().cpu().float() for name, values in starts.items()}

    def __call__(self, weights: Weights, items: int) -> "UsersDistribution":
        """Returns the density over (R, B, F) of B items."""
        with kept(self.made):
            return UsersDistribution(self, self.made(weights, items))

    def wrong(self, sentence: str) -> UserError:
        """Returns the error that says which promise the distribution broke."""
        return UserError(f"{self.prefix} {self.name} ({defined_at(self.made)}): {sentence}")


@dataclass(frozen=True)
class UsersDistribution:
    """What a user's distribution is at some weights; `own` is what the user's code returned."""

    density: UsersDensity
    own: Any

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns the log-density at x with shape (R, B, F): nats, with shape (R, B)."""
        with kept(self.own):
            log_prob = self.own.log_prob(x)
        return self._of_shape(log_prob, x.shape[:-1], f"log_prob of {tuple(x.shape)}, (R, B, F),")

    def sample(self, noise: Tensor) -> Tensor:
        """Returns a sample by standard normals, as that of `models.densities.normal.Normal`."""
        with kept(self.own):
            sample = self.own.sample(noise)
        shape = torch.Size([*noise.shape[:-1], getattr(sample, "shape", [0])[-1]])
        return self._of_shape(sample, shape, f"sample by noise of {tuple(noise.shape)}, (R, B, F),")

    def _of_shape(self, values: Any, shape: torch.Size, what: str) -> Tensor:  # noqa: ANN401
        if isinstance(values, Tensor) and values.shape == shape:
            return values
        given = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise self.density.wrong(
            f"{what} is {given}; it must be a tensor with shape {tuple(shape)}"
        )


def users_density(
    name: str, prefix: str, dims: int, components: int, min_scale: float
) -> UsersDensity:
    """Returns the distribution that a user has registered by that name.

    Args:
        name: a value of `p_z` and `q_x`.
        prefix: of the names of its weights.
        dims: F.
        components: K; 0 for no mixture.
        min_scale: smallest σ.
    """
    make = registry.DENSITIES[name]
    with kept(make):
        return UsersDensity(name, prefix, make(prefix, dims, components, min_scale))
