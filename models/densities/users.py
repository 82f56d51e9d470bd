"""A user's distribution, held to what p(z) and q(x) are.

A log-density of another shape would be broadcast to numbers that mean nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mimsweep.models import registry
from mimsweep.models.densities.mixture import Mixture
from mimsweep.models.layout import ALIGN, Weights
from mimsweep.models.places import UserError, defined_at
from mimsweep.models.settings import kept


@dataclass(frozen=True)
class UsersDensity:
    """A `LearnedDensity` that keeps its promises, or says which one it broke.

    Attributes:
        name: a value of `p_z` and `q_x`.
        prefix: of the names of its weights, "p_z" or "q_x".
        made: the user's own.
        dims: F.
        choice: whether a sample takes a uniform number after F normals.
    """

    name: str
    prefix: str
    made: Any
    dims: int
    choice: bool

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
        starts = {name: values.detach().cpu().float() for name, values in starts.items()}
        self._try({name: values.unsqueeze(0) for name, values in starts.items()})
        return starts

    def __call__(self, weights: Weights, items: int) -> "UsersDistribution":
        """Returns the density over (R, B, F) of B items."""
        with kept(self.made):
            return UsersDistribution(self, self.made(weights, items))

    @torch.no_grad()
    def _try(self, weights: Weights) -> None:
        """Calls it as training will, of a stack of one run, before anything trains."""
        distribution, noise = self(weights, ALIGN), torch.full((1, self.dims + 1, ALIGN), 0.5).mT
        distribution.log_prob(noise[..., : self.dims])
        if self.prefix == "p_z":  # the other is not sampled
            distribution.sample(noise if self.choice else noise[..., : self.dims])

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
        """Returns a sample, with shape (R, B, F), by noise with that shape or, to choose, more."""
        if isinstance(self.own, Mixture) and not self.density.choice:
            raise self.density.wrong(
                "it is a mixture, and a sample of one takes a uniform number, that chooses the "
                "component; register it with choice=True"
            )
        with kept(self.own):
            sample = self.own.sample(noise)
        shape = torch.Size([*noise.shape[:-1], self.density.dims])
        return self._of_shape(sample, shape, f"sample by noise of {tuple(noise.shape)}, (R, B, ·),")

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
    added = registry.DENSITIES[name]
    with kept(added.make):
        made = added.make(prefix, dims, components, min_scale)
    return UsersDensity(name, prefix, made, dims, added.choice or components > 0)
