"""The losses of the Mutual Information Machine (arXiv 1910.03175).

- A-MIM  −½ [log p(x|z) + log p(z) + β (log q(z|x) + log q(x))],        x ~ data, z ~ q(z|x)
- MIM    the same, plus the same expression on                          z ~ P(z), x ~ p(x|z)

On encoder samples with the marginal q(x) log q(z|x) cancels, so that A-MIM is
−½ (1 + β) (log p(x|z) + log p(z)). Bits drawn from a decoder have no gradient: they get a
score-function term instead.

With `inv_h` (the "entropy prior", inverted) both add β·log(½ p(x,z) + ½ q(x,z)), always with
log q(x) := log p(x|z).
"""

from torch import Tensor

from mimsweep.models.densities.mixture import log_mixture_of_two
from mimsweep.models.layout import Weights
from mimsweep.models.losses.base import Loss, Noise, Objective, pair
from mimsweep.models.losses.score_function import with_score


def amim(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns the loss of asymmetric MIM, on encoder samples alone; arguments as for `vae`."""
    model = objective.model
    source, target = pair(x, model.x_dim)
    q_z_given_x = model.encode(weights, source)
    z = q_z_given_x.sample(noise.z)
    log_p_x_given_z = model.decode(weights, z).log_prob(target)
    log_q_z_given_x = q_z_given_x.log_prob_of_sample(noise.z)
    log_p_xz = log_p_x_given_z + model.log_p_z(weights, z, log_q_z_given_x)
    if model.options.q_x == "marginal":
        loss = -0.5 * (1 + beta) * log_p_xz
    else:
        log_q_x = model.log_density_q_x(weights, target)
        loss = -0.5 * (log_p_xz + beta * (log_q_z_given_x + log_q_x))
    if objective.inv_h:
        log_q_xz = log_q_z_given_x + log_p_x_given_z
        loss = loss + beta * log_mixture_of_two(log_p_xz, log_q_xz)
    return Loss(loss)


def mim(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns MIM's loss; arguments as for `vae`.

    The loss on decoder samples is added when `noise` has theirs: during warm-up it is off.
    """
    loss = amim(objective, weights, x, noise, beta)
    if noise.anchor is None:
        return loss
    return Loss(loss.encoder, _decoder_loss(objective, weights, noise, beta))


def _decoder_loss(objective: Objective, weights: Weights, noise: Noise, beta: Tensor) -> Tensor:
    model = objective.model
    assert noise.anchor is not None
    assert noise.x is not None
    z = model.sample_anchor(weights, noise.anchor)
    p_x_given_z = model.decode(weights, z)
    x = p_x_given_z.sample(noise.x)
    if model.binary:
        x = x.detach()
        log_p_x_given_z = p_x_given_z.log_prob(x)
    else:
        log_p_x_given_z = p_x_given_z.log_prob_of_sample(noise.x)
    log_q_z_given_x = model.encode(weights, x).log_prob(z)
    log_q_x = _log_q_x_of_sample(objective, weights, x, noise, log_p_x_given_z)
    # A marginal p(z) is q(z|x) re-weighted: the z at which p(x, z) = q(x, z).
    marginal = log_q_z_given_x + log_q_x - log_p_x_given_z
    log_p_xz = log_p_x_given_z + model.log_p_z(weights, z, marginal)
    loss = -0.5 * (log_p_xz + beta * (log_q_z_given_x + log_q_x))
    if objective.inv_h:
        loss = loss + beta * log_mixture_of_two(log_p_xz, log_q_z_given_x + log_p_x_given_z)
    return with_score(loss, log_p_x_given_z) if model.binary else loss


def _log_q_x_of_sample(
    objective: Objective, weights: Weights, x: Tensor, noise: Noise, log_p_x_given_z: Tensor
) -> Tensor:
    """Returns log q(x) of x ~ p(x|z), with shape (R, B)."""
    model = objective.model
    if model.options.q_x != "marginal":
        return model.log_density_q_x(weights, x)
    if objective.q_x_samples == "conditional":
        return log_p_x_given_z
    assert noise.z_marginal is not None
    return model.log_q_x(weights, x, noise.z_marginal)
