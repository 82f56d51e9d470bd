"""Steps of a stack on a GPU by the kernel of `models.steps.gpu.kernel`: one launch for all of them.

As `models.steps.eager` makes them, with sums in another order, and noise and toys that the kernel
draws. Nothing here waits for the GPU.
"""

from dataclasses import dataclass

import numpy as np
import torch
import triton
from torch import Tensor

from mimsweep.models.data.toys import ToyMixture
from mimsweep.models.layout import sent
from mimsweep.models.losses.base import Objective
from mimsweep.models.steps.adam import BETA1, BETA2, EPSILON, Adam
from mimsweep.models.steps.base import Minibatches, Schedule
from mimsweep.models.steps.counted import Counted
from mimsweep.models.steps.cpu import fused
from mimsweep.models.steps.cpu.fused import ACTIVATIONS, factors
from mimsweep.models.steps.gpu.kernel import epoch_of_runs

TILE, BLOCK, LEAST_FEATURES, LEAST_ITEMS, WARPS = 16, 1024, 16, 128, 8

MOST_FEATURES, MOST_ITEMS = 32, 256
"""D and Z, and B: beyond, what a program keeps of a minibatch is more than its registers hold."""

WHOLE = True


def supports(objective: Objective, items: int) -> bool:
    """Returns whether the functions below can stand in for those of `models.steps.eager`.

    Args:
        objective: what is minimised.
        items: B.
    """
    model = objective.model
    features = max(model.x_dim, model.z_dim)
    small = features <= MOST_FEATURES and items <= MOST_ITEMS
    return fused.supports(objective) and model.layers == 2 and small


def train_steps(
    objective: Objective, weights: Tensor, adam: Adam, batches: Minibatches, schedule: Schedule
) -> Tensor:
    """Makes S steps; arguments and result as of `models.steps.eager.train_steps`, in float32."""
    changed = (weights, adam.first, adam.second)
    assert all(tensor.is_contiguous() for tensor in changed)  # what changes is no copy
    state = (weights.detach(), adam.first, adam.second, torch.zeros_like(weights))
    steps = (schedule.size.squeeze(-1), schedule.factor.squeeze(-1))
    return _launched(objective, schedule.beta, batches, state, steps, learn=True)


def test_steps(objective: Objective, weights: Tensor, batches: Minibatches) -> Tensor:
    """Returns the sum over S minibatches of the losses at β's end, as `steps.eager.test_steps`."""
    beta = torch.full((len(weights), 1), objective.beta_end)
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
    runs, given = len(state[0]), _given(batches, device)
    totals = torch.zeros(runs, device=device)
    epoch_of_runs[(runs,)](
        *(tensor.contiguous() for tensor in state),
        totals,
        *(tensor.contiguous() for tensor in steps),
        sent(torch.from_numpy(factors(objective, beta)), device),
        sent((beta[:, 0] >= 1).int(), device),
        sent(_keys(counted, given.toy), device),
        sent(torch.from_numpy(counted.epochs.astype(np.int32)), device),
        *(given.x, given.means, given.scale),
        len(batches), runs, state[0].shape[1], model.x_dim, model.z_dim, model.mid_dim,
        len(given.means), given.x.shape[-1], counted.first,
        model.min_scale, 1 - BETA1, BETA2, 1 - BETA2, EPSILON,
        DP=_features(model.x_dim), ZP=_features(model.z_dim), HT=TILE,
        N=max(LEAST_ITEMS, triton.next_power_of_2(batches.items)), ITEMS=batches.items,
        ACT=ACTIVATIONS[model.act], HEADS=1 if model.fixed_encoder_scale else 2,
        BOTH="anchor" in counted.features, LEARN=learn, GIVEN=given.toy is None,
        BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip
    return totals


@dataclass(frozen=True)
class _Given:
    """What the kernel has of the items; what it doesn't use is one number.

    Attributes:
        x: they themselves, with shape (S, R, D, n).
        means: of a toy that they are drawn from, with shape (M, D).
        scale: likewise, with shape (D,).
        toy: that; None where they are given.
    """

    x: Tensor
    means: Tensor
    scale: Tensor
    toy: ToyMixture | None = None


def _given(batches: Minibatches, device: torch.device) -> _Given:
    unused = torch.zeros(1, 1, device=device)
    if isinstance(toy := batches.given, ToyMixture):
        means, scale = sent(toy.means.float(), device), sent(toy.scale.float(), device)
        return _Given(unused, means, scale, toy)
    return _Given(batches.x.mT.contiguous(), unused, unused)


def _keys(counted: Counted, toy: ToyMixture | None) -> Tensor:
    """Returns the keys of z, anchor, x and data, of 64 bits, with shape (4, R)."""
    names = ["z", *(("anchor", "x") if "anchor" in counted.features else ("z", "z"))]
    keys = [counted.keys(name) for name in names]
    seeds = [seed for seed, _ in counted.seed_epochs]
    keys.append(np.stack([toy.key(counted.split, seed) for seed in seeds]) if toy else keys[0])
    return torch.from_numpy(np.stack(keys).view(np.int64)[..., 0])


def _features(count: int) -> int:
    """Returns a number of features padded to what a product takes."""
    return max(LEAST_FEATURES, triton.next_power_of_2(count))
