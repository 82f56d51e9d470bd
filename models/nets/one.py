"""A model as a user's loss sees it: of one run, with no axis of runs.

Items are (B, ·); in front of them there may be an axis of K samples of each, (K, B, ·), as
torch.distributions has it. What is inside is the model of a stack, of one run, whose items are
those of all samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mimsweep.models.densities.bernoulli import Bernoulli
from mimsweep.models.densities.mixture import Density, Mixture, mean_and_scale
from mimsweep.models.densities.normal import Normal
from mimsweep.models.layout import Weights
from mimsweep.models.nets.latent import LatentModel


@dataclass(frozen=True)
class Given:
    """q(z|x) or p(x|z) of the items, over (B, F) or (K, B, F).

    Attributes:
        density: itself.
    """

    density: Density

    @property
    def mean(self) -> Tensor:
        """The mean of each feature, with shape (B, F) or (K, B, F)."""
        return mean_and_scale(self.density)[0]

    @property
    def scale(self) -> Tensor:
        """The standard deviation of each feature, with the same shape."""
        return mean_and_scale(self.density)[1]

    def sample(self, noise: Tensor) -> Tensor:
        """Returns a sample, reparameterised, with shape (B, F) or (K, B, F), as the noise has it.

        Args:
            noise: as `q_z` and `p_x` of `register.loss` are.
        """
        return self.density.sample(noise)

    def log_prob(self, values: Tensor) -> Tensor:
        """Returns the log-density at values (B, F) or (K, B, F): nats, with shape (B,), (K, B)."""
        return self.density.log_prob(values)

    def log_prob_of_sample(self, noise: Tensor) -> Tensor:
        """Returns `log_prob(sample(noise))`, of a Gaussian without the rounding of the sample."""
        return self.density.log_prob_of_sample(noise)


@dataclass(frozen=True)
class RunModel:
    """The networks and densities of one run.

    Attributes:
        stacked: the model.
        weights: of the run, by name.
    """

    stacked: LatentModel
    weights: Weights

    @property
    def x_dim(self) -> int:
        """D, dimensions of an observation."""
        return self.stacked.x_dim

    @property
    def z_dim(self) -> int:
        """Z, dimensions of the latent."""
        return self.stacked.z_dim

    @property
    def binary(self) -> bool:
        """Whether x is made of probabilities of bits: the decoder is Bernoulli."""
        return self.stacked.binary

    def encode(self, x: Tensor) -> Given:
        """Returns q(z|x), over (B, Z), of x with shape (B, D); or of (K, B, D)."""
        return Given(_split(self.stacked.encode(self._stack, _flat(x)), x))

    def decode(self, z: Tensor) -> Given:
        """Returns p(x|z), over (B, D), of z with shape (B, Z); or of (K, B, Z)."""
        return Given(_split(self.stacked.decode(self._stack, _flat(z)), z))

    def log_p_z(self, z: Tensor) -> Tensor:
        """Returns log p(z) in nats, with shape (B,), of z with shape (B, Z); or of (K, B, Z)."""
        flat = _flat(z)
        return _items(self.stacked.log_p_z(self._stack, flat, flat[..., 0]), z, -1)

    def sample_p_z(self, noise: Tensor) -> Tensor:
        """Returns z ~ p(z), with shape (B, Z), of noise as `p_z` is, (B, ·); or (K, B, ·)."""
        return _items(self.stacked.sample_p_z(self._stack, _flat(noise)), noise, -2)

    def sample_anchor(self, noise: Tensor) -> Tensor:
        """Returns z ~ P(z), as `sample_p_z`: N(0, I) or, with `learn_p_z`, p(z) as it is now."""
        return _items(self.stacked.sample_anchor(self._stack, _flat(noise)), noise, -2)

    def log_q_x(self, x: Tensor) -> Tensor:
        """Returns log q(x) in nats, with shape (B,), of x with shape (B, D); or of (K, B, D)."""
        if self.stacked.options.q_x == "marginal":
            raise ValueError("log_q_x is of a q_x with a density of its own, but it is marginal")
        return _items(self.stacked.log_density_q_x(self._stack, _flat(x)), x, -1)

    @property
    def _stack(self) -> Mapping[str, Tensor]:
        return {name: weight.unsqueeze(0) for name, weight in self.weights.items()}


def _flat(values: Tensor) -> Tensor:
    """Returns values (B, F), or (K, B, F), as those of a stack of one run, (1, K·B, F)."""
    return (values.flatten(0, 1) if values.dim() == 3 else values).unsqueeze(0)


def _items(values: Tensor, given: Tensor, axis: int) -> Tensor:
    """Returns values (1, …, K·B, …), the items on `axis`, as (…, B, …), or (K, …, B, …)."""
    values = values.squeeze(0)
    if given.dim() < 3:
        return values
    return values.unflatten(axis, given.shape[:2]).movedim(axis - 1, 0)


def _split(density: Any, given: Tensor) -> Any:  # noqa: ANN401
    """Returns a density over (1, K·B, F) as one over (B, F) or (K, B, F), as `given` is."""
    if isinstance(density, Mixture):
        log_weight = _items(density.log_weight, given, -1)
        return Mixture(log_weight, _split(density.components, given))
    if isinstance(density, Bernoulli):
        return Bernoulli(_items(density.logits, given, -2))
    scale = density.scale
    scale = _items(scale, given, -2) if isinstance(scale, Tensor) else scale
    return Normal(_items(density.mean, given, -2), scale)
