"""Encoder q(z|x), decoder p(x|z), prior p(z) and the marginal q(x) of the MLP models.

Encoder and decoder are perceptrons of one shape (experiments.md section 2): hidden layers, then a
linear layer whose outputs are the mean and the log-scale; scale = exp(log-scale) + min_scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from models.distributions import Normal, standard_normal_log_prob
from models.nn import Mlp, Weights


@dataclass(frozen=True)
class LatentModel:
    """The networks and densities of one latent-variable model, for a stack of R runs.

    Attributes:
        x_dim: D, dimensions of an observation.
        z_dim: Z, dimensions of the latent.
        mid_dim: H, width of the hidden layers.
        layers: linear layers from input to output, at least 1.
        act: activation of the hidden layers, a key of `models.nn.ACTIVATIONS`.
        min_scale: smallest σ of q(z|x) and p(x|z).
        fixed_encoder_scale: whether q(z|x) has σ = min_scale everywhere (the auto-encoder).
    """

    x_dim: int
    z_dim: int
    mid_dim: int
    layers: int
    act: str
    min_scale: float
    fixed_encoder_scale: bool = False

    @property
    def encoder(self) -> Mlp:
        """The network of q(z|x): D features to the mean, and the log-scale unless it is fixed."""
        heads = 1 if self.fixed_encoder_scale else 2
        return Mlp("encoder", self.x_dim, heads * self.z_dim, self.mid_dim, self.layers, self.act)

    @property
    def decoder(self) -> Mlp:
        """The network of p(x|z): Z features to the mean and the log-scale."""
        return Mlp("decoder", self.z_dim, 2 * self.x_dim, self.mid_dim, self.layers, self.act)

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Returns the shapes of one run's weights by name, in the order of its flat row."""
        return {**self.encoder.shapes(), **self.decoder.shapes()}

    def encode(self, weights: Weights, x: Tensor) -> Normal:
        """Returns q(z|x), over (R, B, Z), of x with shape (R, B, D)."""
        out = self.encoder(weights, x)
        return Normal(out, self.min_scale) if self.fixed_encoder_scale else self._normal(out)

    def decode(self, weights: Weights, z: Tensor) -> Normal:
        """Returns p(x|z), over (R, B, D), of z with shape (R, B, Z)."""
        return self._normal(self.decoder(weights, z))

    def log_p_z(self, z: Tensor) -> Tensor:
        """Returns log p(z), the anchor N(0, I): z with shape (R, B, Z) to nats (R, B)."""
        return standard_normal_log_prob(z)

    def log_q_x(self, weights: Weights, x: Tensor, noise: Tensor) -> Tensor:
        """Returns the marginal log q(x) := log p(x|z) + log p(z) − log q(z|x) at one z ~ q(z|x).

        Args:
            weights: of the stack.
            x: with shape (R, B, D).
            noise: of z, with shape (R, B, Z).

        Returns:
            nats, with shape (R, B); its mean over z bounds log q(x) from below (the ELBO).
        """
        q_z_given_x = self.encode(weights, x)
        z = q_z_given_x.sample(noise)
        log_p_xz = self.decode(weights, z).log_prob(x) + self.log_p_z(z)
        return log_p_xz - q_z_given_x.log_prob_of_sample(noise)

    def _normal(self, out: Tensor) -> Normal:
        mean, log_scale = out.chunk(2, dim=-1)
        return Normal(mean, log_scale.exp() + self.min_scale)
