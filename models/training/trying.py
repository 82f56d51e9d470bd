"""A user's loss, tried on a minibatch before anything trains: does it keep its promises?"""

import torch
from torch import Tensor

from mimsweep.models.layout import named_views
from mimsweep.models.losses.base import Objective
from mimsweep.models.losses.users import UsersLoss
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.steps.counted import Counted

SEED = 1
"""Of the run that is tried."""


def examine(objective: Objective, items: Tensor) -> None:
    """Checks a user's loss, with samples of the decoder and without, before anything trains.

    Args:
        objective: of the runs, by that loss.
        items: of a training epoch, with shape (N, D).

    Raises:
        UserError: it breaks a promise.
    """
    loss, model = objective.function, objective.model
    assert isinstance(loss, UsersLoss)
    given = "".join(f", {name} {value}" for name, value in objective.declared.items())
    start = f"at its start{given and ', with' + given[1:]}"
    row = initial_weights(model.shapes(), SEED, model.starts(SEED, lambda: items))
    weights = {n: w.requires_grad_() for n, w in named_views(row, model.shapes()).items()}
    features = {"anchor": model.z_dim, "x": model.x_dim}
    for beta in (0.5, 1.0) if loss.registered.decoder_samples else (1.0,):
        noise = Counted(
            features={name: features[name] for name in objective.noise_names(beta >= 1)},
            choices=model.choices,
            split="train",
            seed_epochs=[(SEED, 1)],
            first=0,
            count=1,
            items=objective.items,
            own=objective.own_noise,
        ).drawn(items.device)
        minibatch = items[: objective.items].unsqueeze(0)
        found = objective(weights, minibatch, noise.minibatch(0), torch.full((1, 1), beta))
        minimised = found.objective(objective.items).sum()
        if not minimised.isfinite():
            raise loss.wrong(f"is {minimised.item()} {start}")
        gradients = torch.autograd.grad(minimised, list(weights.values()), allow_unused=True)
        for name, gradient in zip(weights, gradients, strict=True):
            if gradient is not None and not gradient.isfinite().all():
                raise loss.wrong(f"has a gradient that is not finite {start}, of {name}")
