"""Steps of a stack by torch's operations and autograd: any objective, any device.

The reference that faster implementations of the same two functions are tested against.
"""

import torch
from torch import Tensor

from mimsweep.models.layout import flatten, named_views, sent
from mimsweep.models.losses.base import Objective
from mimsweep.models.steps.adam import Adam
from mimsweep.models.steps.base import Minibatches, Schedule

WHOLE = False


def train_steps(
    objective: Objective, weights: Tensor, adam: Adam, batches: Minibatches, schedule: Schedule
) -> Tensor:
    """Makes S steps; weights and optimiser change in place.

    Args:
        objective: what is minimised.
        weights: with shape (R, P).
        adam: of the same rows.
        batches: S minibatches.
        schedule: of the S steps.

    Returns:
        the sum over the steps of the reported losses, in nats, with shape (R,).
    """
    shapes, beta = objective.model.shapes(), sent(schedule.beta, weights.device)
    views = {name: w.requires_grad_() for name, w in named_views(weights, shapes).items()}
    total = torch.zeros(len(weights), device=weights.device)
    for step in range(len(batches)):
        loss = objective(views, *batches.minibatch(step), beta)
        minimised = loss.objective(batches.items)
        # Of a density that the loss doesn't contain, VAE's q(x) for one, the gradient is 0.
        gradients = torch.autograd.grad(
            minimised.sum(), list(views.values()), allow_unused=True, materialize_grads=True
        )
        adam.step_(
            weights,
            flatten(gradients, weights.shape[1]),
            schedule.size[step],
            schedule.factor[step],
        )
        total += loss.reported(minimised.detach())
    return total


@torch.no_grad()
def test_steps(objective: Objective, weights: Tensor, batches: Minibatches) -> Tensor:
    """Returns the sum over S minibatches of the losses, β at its end; arguments as for training."""
    views = named_views(weights, objective.model.shapes())
    beta = torch.full((len(weights), 1), objective.beta_end, device=weights.device)
    total = torch.zeros(len(weights), device=weights.device)
    for step in range(len(batches)):
        loss = objective(views, *batches.minibatch(step), beta)
        total += loss.reported(loss.objective(batches.items))
    return total
