"""Steps of a stack, run by run."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.fused_kernel import RELU, SWISH, TANH, run_parts
from models.losses import Noise, Objective
from models.nn import Mlp
from models.optim import Adam

ACTS = {"tanh": TANH, "relu": RELU, "swish": SWISH}


def supports(objective: Objective, device: torch.device) -> bool:
    """Returns whether the functions below can stand in for those of `models.eager`."""
    model = objective.model
    return (
        device.type == "cpu"
        and objective.loss in ("vae", "ae", "amim", "mim")
        and model.act in ACTS
        and model.fixed_encoder_scale == (objective.loss == "ae")
        and (objective.loss != "mim" or objective.q_x_samples == "conditional")
    )


def train_part(
    objective: Objective,
    weights: Tensor,
    adam: Adam,
    x: Tensor,
    noise: Noise,
    beta: Tensor,
    size: Tensor,
    factor: Tensor,
    items: int,
) -> Tensor:
    """Makes S steps; as `models.eager.train_part`."""
    state = [_array(t) for t in (weights, adam.first, adam.second, size[..., 0], factor[..., 0])]
    return _run(objective, state, x, noise, beta, items, True)


def test_part(objective: Objective, weights: Tensor, x: Tensor, noise: Noise, items: int) -> Tensor:
    """Returns the sum of S losses at beta = 1; as `models.eager.test_part`."""
    w = _array(weights)
    none = np.zeros((1, 1), np.float32)
    beta = torch.ones(len(weights), 1)
    return _run(objective, [w, none, none, none, none], x, noise, beta, items, False)


def _run(objective, state, x, noise, beta, items, learn):
    model = objective.model
    xs = _array(x.mT)
    empty = np.zeros((1, 1, 1, 1), np.float32)
    totals = run_parts(
        _layout(model.encoder, 0),
        _layout(model.decoder, _size(model.encoder)),
        ACTS[model.act],
        1 if model.fixed_encoder_scale else 2,
        np.float32(model.min_scale),
        items,
        learn,
        noise.anchor is not None and objective.loss == "mim",
        *state,
        _coefficients(objective, beta),
        xs,
        _array(noise.z.mT),
        empty if noise.anchor is None else _array(noise.anchor.mT),
        empty if noise.x is None else _array(noise.x.mT),
    )
    return torch.from_numpy(totals)


def _array(t: Tensor) -> NDArray[np.float32]:
    return t.detach().contiguous().numpy()


def _size(net: Mlp) -> int:
    return sum(int(np.prod(s)) for s in net.shapes().values())


def _layout(net: Mlp, start: int) -> NDArray[np.int64]:
    rows = []
    for name, shape in net.shapes().items():
        if name.endswith("weight"):
            rows.append((start, shape[1], shape[0]))
        start += int(np.prod(shape))
    return np.array(rows, np.int64)


def _coefficients(objective: Objective, beta: Tensor) -> NDArray[np.float32]:
    """(R, 2, 4)."""
    b = beta[:, 0]
    one, zero = torch.ones_like(b), torch.zeros_like(b)
    if objective.loss == "ae":
        rows = [zero, -one, zero, zero] * 2
    elif objective.loss == "vae":
        h = float(objective.inv_h)
        rows = [b, -(1 + h) * one, -b - h, zero] * 2
    else:
        k = b if objective.inv_h else zero
        half = -0.5 * (1 + b)
        rows = [zero, half, half, k, half, -0.5 * b, -0.5 * one, k]
    return torch.stack(rows, 1).view(-1, 2, 4).numpy()
