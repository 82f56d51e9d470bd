"""Steps of a stack by torch's operations and autograd: any objective, any device.

The reference that faster implementations of the same two functions are tested against.
"""

import torch
from torch import Tensor

from models.losses import Objective
from models.nn import flatten, named_views
from models.optim import Adam, Pace
from models.sampling import Part


def train_part(objective: Objective, weights: Tensor, adam: Adam, part: Part, pace: Pace) -> Tensor:
    """Makes S steps; weights and optimiser change in place.

    Args:
        objective: what is minimised.
        weights: with shape (R, P).
        adam: of the same rows.
        part: S minibatches.
        pace: of the S steps.

    Returns:
        the sum over the steps of the reported losses, in nats, with shape (R,).
    """
    shapes = objective.model.shapes()
    views = {name: w.requires_grad_() for name, w in named_views(weights, shapes).items()}
    total = torch.zeros(len(weights), device=weights.device)
    for step in range(len(part)):
        loss = objective(views, *part.minibatch(step), pace.beta)
        minimised = loss.objective(part.items)
        # Of a density that the loss doesn't contain, VAE's q(x) for one, the gradient is 0.
        gradients = torch.autograd.grad(
            minimised.sum(), list(views.values()), allow_unused=True, materialize_grads=True
        )
        adam.step_(
            weights, flatten(gradients, weights.shape[1]), pace.size[step], pace.factor[step]
        )
        total += loss.reported(minimised.detach())
    return total


@torch.no_grad()
def test_part(objective: Objective, weights: Tensor, part: Part) -> Tensor:
    """Returns the sum over S minibatches of the losses at β = 1; arguments as for `train_part`."""
    views = named_views(weights, objective.model.shapes())
    beta = torch.ones(len(weights), 1, device=weights.device)
    total = torch.zeros(len(weights), device=weights.device)
    for step in range(len(part)):
        loss = objective(views, *part.minibatch(step), beta)
        total += loss.reported(loss.objective(part.items))
    return total
