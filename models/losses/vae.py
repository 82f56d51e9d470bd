"""The loss of a VAE (arXiv 1312.6114), and of its variants.

By one sample z ~ q(z|x) it is

    −log p(x|z) + β (log q(z|x) − log p(z))

where β rises to 1 and, as a β-VAE's (Higgins et al., "β-VAE", ICLR 2017, eq. 4), to `beta_end`.
With `inv_h` (the "entropy prior", inverted) it adds −(log q(z|x) + log q(x)). What `remedies` has
changes one term each: free bits the divergence in brackets, batch norm q(z|x), InfoVAE adds a
divergence, IWAE takes K samples.

A run's test loss is its own objective, β at its end: by it the best epoch is chosen. What is
measured in the end is the same for all.
"""

from functools import partial

from torch import Tensor

from mimsweep.models.densities.mixture import Density
from mimsweep.models.densities.normal import Normal
from mimsweep.models.layout import Weights
from mimsweep.models.losses.base import Loss, Noise, Objective, pair
from mimsweep.models.losses.remedies.batch_norm import normalised
from mimsweep.models.losses.remedies.free_bits import rate_above
from mimsweep.models.losses.remedies.infovae import mmd
from mimsweep.models.losses.remedies.iwae import importance_weighted


def vae(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns the VAE's loss, −ELBO at β = 1.

    Args:
        objective: what is minimised.
        weights: of the stack.
        x: with shape (R, B, D); or (R, B, 2D) of pairs, input of the encoder and target.
        noise: of the minibatch.
        beta: β, with shape (R, 1).
    """
    model, method = objective.model, objective.method
    source, target = pair(x, model.x_dim)
    q_z_given_x = model.encode(weights, source)
    if method.bn_gamma:
        assert isinstance(q_z_given_x, Normal)
        q_z_given_x = normalised(objective, weights, q_z_given_x)
    if method.importance_samples > 1:
        of_sample = partial(_loss, objective, weights, q_z_given_x, target, beta)
        return Loss(importance_weighted(of_sample, noise.z))
    loss = _loss(objective, weights, q_z_given_x, target, beta, noise.z)
    if method.mmd:
        assert noise.anchor is not None
        loss = loss + method.mmd * mmd(q_z_given_x.sample(noise.z), noise.anchor, objective.items)
    return Loss(loss)


def _loss(
    objective: Objective,
    weights: Weights,
    q_z_given_x: Density,
    target: Tensor,
    beta: Tensor,
    noise: Tensor,
) -> Tensor:
    """Returns the loss of each item by one sample, whose noise it is given, with shape (R, B)."""
    model, method = objective.model, objective.method
    z = q_z_given_x.sample(noise)
    log_p_x_given_z = model.decode(weights, z).log_prob(target)
    log_q_z_given_x = q_z_given_x.log_prob_of_sample(noise)
    log_p_z = model.log_p_z(weights, z, log_q_z_given_x)
    rate = log_q_z_given_x - log_p_z
    if method.free_bits:
        assert isinstance(q_z_given_x, Normal)
        rate = rate_above(method.free_bits, q_z_given_x, noise, objective.items)
    loss = -log_p_x_given_z + beta * rate
    if objective.inv_h and model.options.q_x == "marginal":
        return loss - (log_p_x_given_z + log_p_z)  # log q(z|x) cancels
    if objective.inv_h:
        return loss - (log_q_z_given_x + model.log_density_q_x(weights, target))
    return loss
