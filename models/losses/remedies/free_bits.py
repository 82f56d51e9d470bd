"""Free bits (Kingma et al., arXiv 1606.04934, eq. 15).

The divergence of each latent dimension, averaged over the minibatch, costs nothing below λ nats:

    Σ_j max(λ, mean KL(q(z_j|x) ‖ p(z_j)))

in place of the mean KL(q(z|x) ‖ p(z)). Which of the two is larger is told by the divergence in
closed form, KL_j = ½(μ_j² + σ_j² − 1) − log σ_j. Where it is KL_j, its value is estimated by the
sample that VAE has, log q(z_j|x) − log p(z_j): with λ = 0 it is VAE's loss to the same noise, and
what differs between the two is the remedy alone.
"""

import torch
from torch import Tensor

from mimsweep.models.densities.normal import Normal


def rate_above(least: float, q_z_given_x: Normal, noise: Tensor, items: int) -> Tensor:
    """Returns the summands of the divergence's mean over the minibatch: nats, with shape (R, B).

    Args:
        least: λ, in nats.
        q_z_given_x: over (R, B, Z); p(z) is N(0, I).
        noise: of its sample, with shape (R, B, Z).
        items: how many of B count.
    """
    mean, scale = q_z_given_x.mean, q_z_given_x.scale
    assert isinstance(scale, Tensor)
    log_scale = scale.log()
    divergence = 0.5 * (mean.square() + scale.square() - 1) - log_scale
    sampled = 0.5 * (q_z_given_x.sample(noise).square() - noise.square()) - log_scale
    costs = divergence[:, :items].mean(1, keepdim=True) > least
    return torch.where(costs, sampled, least).sum(-1)
