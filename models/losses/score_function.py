"""The gradient of samples that have none of their own (REINFORCE; Williams 1992)."""

from torch import Tensor


def with_score(loss: Tensor, log_p_x_given_z: Tensor) -> Tensor:
    """Returns a loss on samples x that have no gradient, with that of drawing them (REINFORCE).

    Added is loss·log p(x|z), the loss constant, less its own value: 0, with the gradient
    loss·∇log p(x|z). Both with shape (R, B).
    """
    weight = loss.detach()
    return loss + (weight * log_p_x_given_z - (weight * log_p_x_given_z).detach())
