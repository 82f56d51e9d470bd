"""The loss of contrastive MIM (Livne, arXiv 2502.19642), on encoder samples.

To both joint densities it adds a bit k, told to be 1, that says whether a latent is the item's own:

    −½ [log p(x|z) + log p(z) + log p(k|x,z) + β (log q(z|x) + log q(x) + log p(k|x,z))]

with log q(x) := log p(x|z) and, of the cosine similarity s, against the minibatch's other latents,

    log p(k=1|x_i, z_i) = log e^{s_ii/τ} / (e^{s_ii/τ} + 1/(B−1) Σ_{j≠i} e^{s_ij/τ})
                        = −log(1 + 1/(B−1) Σ_{j≠i} e^{(s_ij − 1)/τ}),   as s_ii = 1

At β = 1 it is what its author's code minimises (NVIDIA-BioNeMo/KERMT v2, `compute_cmim_loss`, and
−log p(x|z)), which is where the formula was read: of the paper only the beginning was at hand. As
τ → ∞ it is A-MIM's with that q(x), and a constant.
"""

from torch import Tensor

from mimsweep.models.layout import Weights
from mimsweep.models.losses.base import Loss, Noise, Objective, pair

LEAST_NORM = 1e-12
"""Of a latent whose direction is asked for."""


def cmim(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns the loss of contrastive MIM; arguments as for `vae`."""
    model = objective.model
    source, target = pair(x, model.x_dim)
    q_z_given_x = model.encode(weights, source)
    z = q_z_given_x.sample(noise.z)
    log_p_x_given_z = model.decode(weights, z).log_prob(target)
    log_q_z_given_x = q_z_given_x.log_prob_of_sample(noise.z)
    log_p_z = model.log_p_z(weights, z, log_q_z_given_x)
    both = log_p_x_given_z + log_p_own(z, objective.method.temperature, objective.items)
    return Loss(-0.5 * ((1 + beta) * both + log_p_z + beta * log_q_z_given_x))


def log_p_own(z: Tensor, temperature: float, items: int) -> Tensor:
    """Returns log p(k=1|x, z) in nats, with shape (R, B).

    Args:
        z: with shape (R, B, Z).
        temperature: τ.
        items: how many of B count, at least 2.
    """
    direction = z / z.norm(dim=-1, keepdim=True).clamp(min=LEAST_NORM)
    pairs = ((direction @ direction.mT - 1) / temperature).exp()
    others = pairs[..., :items].sum(-1) - pairs.diagonal(dim1=-2, dim2=-1)
    return -(others / (items - 1)).log1p()
