"""Steps of a stack on a CPU, run by run: what `models.steps.eager` does, with a gradient by hand.

A run's weights, optimiser and activations stay in the core's own cache for all S steps, and all is
one call of compiled loops (`models.steps.cpu.kernel`): six to 28 times less time than torch's
operations on a stack of ten (`benchmarks/step.py`). Same formulas, other order of sums: in float32
the two differ as two orders of summation do. A run's numbers don't depend on other runs.

With a = log p(x|z), c = log q(z|x), b = log p(z), the loss of an item is

    c₀·(by the first network) + c₁·(by the second) + c₂·b + c₃·log ½(exp(a + b) + exp(c + a))

where the first network makes the sample and the second gives the density of the input at it:
encoder, decoder on encoder samples; decoder, encoder on decoder samples. See `factors`. Backwards,
with w = 1/(1 + exp(c − b)), the mixture's term adds c₃ to ∂/∂a, c₃·w to ∂/∂b, c₃·(1 − w) to ∂/∂c.
From there, for encoder samples z = μ + σ·noise (for decoder samples x and z change places, and b,
of a given z, has no gradient):

    δ of the decoder's outputs = ∂loss/∂a · gradient of a            (`fused_math.density`)
    ∂loss/∂z = through the decoder, − ∂loss/∂b · z
    ∂loss/∂μ = ∂loss/∂z,   ∂loss/∂σ = ∂loss/∂z · noise − ∂loss/∂c / σ,   ∂σ/∂(log-scale) = σ − min

and through the layers as `models.steps.cpu.layers` says. The columns of a minibatch beyond its
items are computed and get no gradient.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mimsweep.models.losses.base import Objective
from mimsweep.models.losses.method import PLAIN
from mimsweep.models.nets.latent import Options
from mimsweep.models.nets.mlp import Mlp
from mimsweep.models.nets.users import Network
from mimsweep.models.steps.adam import BETA1, BETA2, EPSILON, Adam
from mimsweep.models.steps.base import Minibatches, Schedule
from mimsweep.models.steps.counted import Counted
from mimsweep.models.steps.cpu.functions import RELU, SWISH, TANH
from mimsweep.models.steps.cpu.kernel import MinibatchArrays, Problem, StackArrays, run_steps
from mimsweep.models.steps.cpu.layers import Net

ACTIVATIONS = {"tanh": TANH, "relu": RELU, "swish": SWISH}
ADAM = np.array([1 - BETA1, BETA2, 1 - BETA2, EPSILON], np.float32)
UNUSED = torch.zeros(1, 1, dtype=torch.float32)

WHOLE = False


def supports(objective: Objective) -> bool:
    """Returns whether the functions below can stand in for those of `models.steps.eager`."""
    model = objective.model
    return (
        isinstance(model.encoder, Mlp)
        and isinstance(model.decoder, Mlp)
        and model.options == Options()
        and not model.binary
        and not objective.pairs
        and objective.loss in ("vae", "ae", "amim", "mim")
        and model.act in ACTIVATIONS
        and model.fixed_encoder_scale == (objective.loss == "ae")
        and not (objective.loss == "mim" and objective.q_x_samples == "marginal")
        and replace(objective.method, beta_end=1.0, cycles=1) == PLAIN
    )


def train_steps(
    objective: Objective, weights: Tensor, adam: Adam, batches: Minibatches, schedule: Schedule
) -> Tensor:
    """Makes S steps; arguments and result as of `models.steps.eager.train_steps`, in float32."""
    changed = (weights, adam.first, adam.second)
    assert all(tensor.is_contiguous() for tensor in changed)  # what changes is no copy
    rows = (*changed, schedule.size.squeeze(-1), schedule.factor.squeeze(-1))
    state = StackArrays(*map(_array, rows))
    problem = _problem(objective, schedule.beta, batches)
    return torch.from_numpy(run_steps(problem, _batches(batches), state, ADAM, True))


def test_steps(objective: Objective, weights: Tensor, batches: Minibatches) -> Tensor:
    """Returns the sum over S minibatches of the losses at β's end, as `steps.eager.test_steps`."""
    state = StackArrays(*map(_array, (weights, UNUSED, UNUSED, UNUSED, UNUSED)))
    beta = torch.full((len(weights), 1), objective.beta_end)
    problem = _problem(objective, beta, batches)
    return torch.from_numpy(run_steps(problem, _batches(batches), state, ADAM, False))


def _problem(objective: Objective, beta: Tensor, batches: Minibatches) -> Problem:
    model = objective.model
    # The kernel checks no index.
    assert isinstance(batches.source, Counted)
    assert batches.x.shape[-1] == model.x_dim
    assert batches.source.features["z"] == model.z_dim
    encoder, end = _layout(model.encoder, 0)
    return Problem(
        encoder=encoder,
        decoder=_layout(model.decoder, end)[0],
        act=ACTIVATIONS[model.act],
        fixed_scale=model.fixed_encoder_scale,
        minimum=np.float32(model.min_scale),
        factors=factors(objective, beta),
        both=objective.loss == "mim" and "anchor" in batches.source.features,
        items=batches.items,
    )


def factors(objective: Objective, beta: Tensor) -> NDArray[np.float32]:
    """Returns c₀ to c₃ of the loss on encoder samples and on decoder samples.

    Args:
        objective: what is minimised.
        beta: β, with shape (R, 1).

    Returns:
        with shape (R, 2, 4); the second row is used for MIM alone.
    """
    b = beta[:, 0].detach().double()
    zero, one = torch.zeros_like(b), torch.ones_like(b)
    if objective.loss == "ae":
        encoder = decoder = (zero, -one, zero, zero)
    elif objective.loss == "vae":
        extra = one if objective.inv_h else zero
        encoder = decoder = (b, -one - extra, -b - extra, zero)
    else:
        both, mixture = -(1 + b) / 2, b if objective.inv_h else zero
        encoder = (zero, both, both, mixture)
        decoder = (both, -b / 2, -one / 2, mixture)
    rows = torch.stack([torch.stack(encoder, -1), torch.stack(decoder, -1)], dim=1)
    return _array(rows.float())


def _layout(network: Network, start: int) -> tuple[Net, int]:
    """Returns a network's layout in a row, which it starts at `start`, and where it ends."""
    layers = []
    for name, shape in network.shapes().items():
        if name.endswith(".weight"):
            layers.append((start, shape[1], shape[0]))
        start += math.prod(shape)
    return np.array(layers), start


def _batches(batches: Minibatches) -> MinibatchArrays:
    counted = batches.source
    assert isinstance(counted, Counted)
    names = ("z", "anchor", "x") if "anchor" in counted.features else ("z",) * 3
    keys = np.stack([counted.keys(name) for name in names])
    x = _array(batches.x.mT)
    return MinibatchArrays(x, counted.features["z"], keys, counted.epochs, counted.first)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    """Returns the memory of a float32 tensor, that of a copy if it isn't contiguous."""
    array: NDArray[np.float32] = tensor.detach().contiguous().numpy()
    assert array.dtype == np.float32
    return array
