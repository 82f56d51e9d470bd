"""The losses of the two-level image models, per image (experiments.md sections 3 and 6).

With z = (z1, z2) and q(z|x) = q(z2|x) q(z1|x, z2):

- VAE    −log p(x|z) + β (log q(z|x) − log p(z1|z2) − log p(z2)),           z ~ q(z|x)
- A-MIM  −½ (1 + β) (log p(x|z) + log p(z)), as q(x) is the marginal,        z ~ q(z|x)
- S-MIM  the same, and once β >= 1 plus, on z ~ p(z), x = the means of p(x|z),
         −½ [log p(x|z) + log p(z) + β (log q(z|x) + log q(x))],   log q(x) := log p(x|z)

MIM has log p(z) = log p(z1|z2) + β log p(z2). One sample each, reparameterised; those of p have no
gradient but the score function's, as bits have none. The study leaves the 2π constants of Gaussians
out. Here they are in: they shift the loss of MIM, and with it the weight that S-MIM's score
function has.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mimsweep.models.densities.vampprior import Prior
from mimsweep.models.losses.score_function import with_score
from mimsweep.models.nets.gated import PIXELS
from mimsweep.models.nets.hvae import TwoLevel
from mimsweep.models.streams import generator

Kind = Literal["vae", "amim", "smim"]

KINDS: dict[str, Kind] = {"": "vae", "mim": "amim", "amim": "amim", "smim": "smim"}
"""What stands behind a model's name, and what it stands for."""


@dataclass(frozen=True)
class TwoLevelNoise:
    """The noise of N images: standard Gaussian, but `choice`.

    Attributes:
        z2: of z2 ~ q(z2|x), with shape (N, Z).
        z1: of z1 ~ q(z1|x, z2), with shape (N, Z).
        prior_z2: of z2 ~ p(z2), with shape (N, Z).
        prior_z1: of z1 ~ p(z1|z2), with shape (N, Z).
        choice: uniform in [0, 1), chooses a component of p(z2), with shape (N,).
    """

    z2: Tensor
    z1: Tensor
    prior_z2: Tensor
    prior_z1: Tensor
    choice: Tensor

    @classmethod
    def draw(
        cls, count: int, z_dim: int, device: torch.device, *name: str | int
    ) -> "TwoLevelNoise":
        """Returns the noise of N images from the stream called `name`."""
        source = generator("image noise", *name)
        z2, z1, prior_z2, prior_z1 = torch.randn(4, count, z_dim, generator=source).to(device)
        uniform = torch.rand(count, generator=source)
        return cls(z2, z1, prior_z2, prior_z1, uniform.to(device))

    def rows(self, rows: slice) -> "TwoLevelNoise":
        """Returns the noise of some of the images."""
        parts = (self.z2, self.z1, self.prior_z2, self.prior_z1, self.choice)
        return TwoLevelNoise(*(part[rows] for part in parts))


@dataclass(frozen=True)
class Terms:
    """Log-densities at (x, z1, z2), in nats: log p(x|z), p(z1|z2), p(z2), q(z|x)."""

    x: Tensor
    z1: Tensor
    z2: Tensor
    q: Tensor

    def log_weight(self) -> Tensor:
        """Returns log p(x, z) − log q(z|x), the importance weight, whose mean is the ELBO."""
        return self.x + self.z1 + self.z2 - self.q


def kind_of(model: str) -> Kind:
    """Returns the loss of a model by its name, for example `convhvae_2level-smim`."""
    return KINDS[model.partition("-")[2]]


def decoder_of(model: str) -> str:
    """Returns a model's name without its loss."""
    return model.partition("-")[0]


def encoded(net: TwoLevel, prior: Prior, x: Tensor, noise_z2: Tensor, noise_z1: Tensor) -> Terms:
    """Returns the log-densities at S samples z ~ q(z|x) of each image, with shape (S, B).

    Args:
        net: the model.
        prior: its p(z2).
        x: with shape (B, 784).
        noise_z2: with shape (S, B, Z).
        noise_z1: with shape (S, B, Z).
    """
    q_z2, features = net.q_z2(x), net.features(x)
    z2 = q_z2.sample(noise_z2)
    q_z1 = net.q_z1(features.expand(*z2.shape[:-1], -1), z2)
    z1 = q_z1.sample(noise_z1)
    x = x.expand(*z2.shape[:-1], -1)
    return Terms(
        x=net.p_x(z1, z2, x).log_prob(x),
        z1=net.p_z1(z2).log_prob(z1),
        z2=prior.log_prob(z2),
        q=q_z2.log_prob_of_sample(noise_z2) + q_z1.log_prob_of_sample(noise_z1),
    )


def losses(
    kind: Kind, net: TwoLevel, prior: Prior, x: Tensor, noise: TwoLevelNoise, beta: float
) -> Tensor:
    """Returns the loss of each image in nats, with shape (B,).

    Args:
        kind: which loss.
        net: the model.
        prior: its p(z2).
        x: with shape (B, 784).
        noise: of the B images.
        beta: β.
    """
    terms = encoded(net, prior, x, noise.z2[None], noise.z1[None])
    if kind == "vae":
        loss = -terms.x + beta * (terms.q - terms.z1 - terms.z2)
    else:
        loss = -0.5 * (1 + beta) * (terms.x + terms.z1 + beta * terms.z2)
    if kind == "smim" and beta >= 1:
        return loss[0] + _decoder_loss(net, prior, noise, beta)
    return loss[0]


def _decoder_loss(net: TwoLevel, prior: Prior, noise: TwoLevelNoise, beta: float) -> Tensor:
    """Returns MIM's loss on samples of the decoder, with shape (B,)."""
    z1, z2, x = prior_sample(net, prior, noise)
    log_p_x = net.p_x(z1, z2, x).log_prob(x)
    log_p_z = net.p_z1(z2).log_prob(z1) + beta * prior.log_prob(z2)
    log_q_z = net.q_z2(x).log_prob(z2) + net.q_z1(net.features(x), z2).log_prob(z1)
    loss = -0.5 * (log_p_x + log_p_z + beta * (log_q_z + log_p_x))
    return with_score(loss, log_p_x)


@torch.no_grad()
def prior_sample(
    net: TwoLevel, prior: Prior, noise: TwoLevelNoise
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns z1 and z2 ~ p(z), (B, Z), and the means of p(x|z), (B, 784), without a gradient.

    The decoder must be one that doesn't look at x.
    """
    z2 = prior.sample(noise.prior_z2, noise.choice)
    z1 = net.p_z1(z2).sample(noise.prior_z1)
    nothing = z1.new_zeros(len(z1), PIXELS)
    return z1, z2, net.p_x(z1, z2, nothing).sample(nothing)
