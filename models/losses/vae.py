"""The loss of a VAE (arXiv 1312.6114).

By one sample z ~ q(z|x) it is

    −log p(x|z) + β (log q(z|x) − log p(z))

With `inv_h` (the "entropy prior", inverted) it adds −(log q(z|x) + log q(x)).
"""

from torch import Tensor

from mimsweep.models.layout import Weights
from mimsweep.models.losses.base import Loss, Noise, Objective, pair


def vae(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns the VAE's loss, −ELBO at β = 1.

    Args:
        objective: what is minimised.
        weights: of the stack.
        x: with shape (R, B, D); or (R, B, 2D) of pairs, input of the encoder and target.
        noise: of the minibatch.
        beta: β, with shape (R, 1).
    """
    model = objective.model
    source, target = pair(x, model.x_dim)
    q_z_given_x = model.encode(weights, source)
    z = q_z_given_x.sample(noise.z)
    log_p_x_given_z = model.decode(weights, z).log_prob(target)
    log_q_z_given_x = q_z_given_x.log_prob_of_sample(noise.z)
    log_p_z = model.log_p_z(weights, z, log_q_z_given_x)
    loss = -log_p_x_given_z + beta * (log_q_z_given_x - log_p_z)
    if objective.inv_h and model.options.q_x == "marginal":
        loss = loss - (log_p_x_given_z + log_p_z)  # log q(z|x) cancels
    elif objective.inv_h:
        loss = loss - (log_q_z_given_x + model.log_density_q_x(weights, target))
    return Loss(loss)
