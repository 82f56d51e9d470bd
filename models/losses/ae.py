"""The loss of an auto-encoder: −log p(x|z), with a fixed scale of q(z|x)."""

from torch import Tensor

from mimsweep.models.layout import Weights
from mimsweep.models.losses.base import Loss, Noise, Objective, pair


def ae(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns the auto-encoder's loss, −log p(x|z); arguments as for `vae`, β unused."""
    source, target = pair(x, objective.model.x_dim)
    z = objective.model.encode(weights, source).sample(noise.z)
    return Loss(-objective.model.decode(weights, z).log_prob(target))
