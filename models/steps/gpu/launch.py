"""Steps of a stack on a GPU by the kernel of `models.steps.gpu.kernel`: one launch for all of them.

As `models.steps.eager` makes them, with sums in another order and noise that the kernel draws.
"""

import numpy as np
import torch
import triton
from torch import Tensor

from mimsweep.models.losses.base import Objective
from mimsweep.models.steps.adam import BETA1, BETA2, EPSILON, Adam
from mimsweep.models.steps.base import Minibatches, Schedule
from mimsweep.models.steps.counted import Counted
from mimsweep.models.steps.cpu.fused import ACTIVATIONS, factors
from mimsweep.models.steps.gpu.kernel import epoch_of_runs

TILE, BLOCK, LEAST_FEATURES, LEAST_ITEMS, WARPS = 16, 1024, 16, 128, 8


def train_steps(
    objective: Objective, weights: Tensor, adam: Adam, batches: Minibatches, schedule: Schedule
) -> Tensor:
    """Makes S steps; arguments and result as of `models.steps.eager.train_steps`, in float32."""
    gradient = torch.zeros_like(weights)
    state = (weights.detach(), adam.first, adam.second, gradient)
    steps = (schedule.size.squeeze(-1), schedule.factor.squeeze(-1))
    return _launched(objective, schedule.beta, batches, state, steps, learn=True)


def test_steps(objective: Objective, weights: Tensor, batches: Minibatches) -> Tensor:
    """Returns the sum over S minibatches of the losses at β = 1, as `steps.eager.test_steps`."""
    beta = torch.ones(len(weights), 1)
    return _launched(objective, beta, batches, (weights,) * 4, (weights,) * 2, learn=False)


def _launched(
    objective: Objective,
    beta: Tensor,
    batches: Minibatches,
    state: tuple[Tensor, ...],
    steps: tuple[Tensor, ...],
    learn: bool,
) -> Tensor:
    model, counted, device = objective.model, batches.source, state[0].device
    assert isinstance(counted, Counted)
    runs = len(state[0])
    names = ["z", *(("anchor", "x") if "anchor" in counted.features else ("z", "z")), "z"]
    keys = np.stack([counted.keys(name) for name in names]).view(np.int64)[..., 0]
    totals = torch.zeros(runs, device=device)
    x = batches.x.mT.contiguous()
    epoch_of_runs[(runs,)](
        *(tensor.contiguous() for tensor in state),
        totals,
        *(tensor.contiguous() for tensor in steps),
        torch.from_numpy(factors(objective, beta)).to(device),
        torch.from_numpy(keys).to(device),
        torch.from_numpy(counted.epochs.astype(np.int32)).to(device),
        torch.full((runs,), model.mid_dim, dtype=torch.int32, device=device),
        x, x, x,
        len(x), runs, state[0].shape[1], model.x_dim, model.z_dim, 0, x.shape[-1], counted.first,
        model.min_scale, 1 - BETA1, BETA2, 1 - BETA2, EPSILON,
        DP=_features(model.x_dim), ZP=_features(model.z_dim), HT=TILE,
        N=max(LEAST_ITEMS, triton.next_power_of_2(batches.items)), ITEMS=batches.items,
        ACT=ACTIVATIONS[model.act], HEADS=1 if model.fixed_encoder_scale else 2,
        BOTH="anchor" in counted.features, LEARN=learn, GIVEN=True, BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip
    return totals


def _features(count: int) -> int:
    """Returns a number of features padded to what a product takes."""
    return max(LEAST_FEATURES, triton.next_power_of_2(count))
