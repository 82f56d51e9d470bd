"""Linear layers with a run axis, and what weights start at."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mimsweep.models.layout import flat_size, flatten
from mimsweep.models.streams import uniforms


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Applies to each run its own affine map.

    Args:
        x: with shape (R, B, in).
        weight: with shape (R, out, in).
        bias: with shape (R, out).

    Returns:
        with shape (R, B, out), in memory (R, out, B).
    """
    if 1 in weight.shape[1:]:  # as a product of matrix and vector, R = 1 gets another BLAS kernel
        products = weight.unsqueeze(-1) * x.mT.unsqueeze(-3)
        return (products.sum(-2) + bias.unsqueeze(-1)).mT
    return torch.baddbmm(bias.unsqueeze(-1), weight, x.mT).mT


def initial_weights(
    shapes: Mapping[str, Sequence[int]], seed: int, starts: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Draws a run's weights as `torch.nn.Linear` does: U(−1/√in, 1/√in), weights and biases.

    Each tensor has a stream of its own: runs of one seed start alike wherever their shapes agree.

    Args:
        shapes: of the weights of one run, by name.
        seed: of the run.
        starts: what those weights start at that are not of a linear layer, by name.

    Returns:
        with shape (1, P).
    """
    tensors = []
    for name, shape in shapes.items():
        if starts and name in starts:
            tensors.append(starts[name].reshape(1, *shape))
            continue
        fan_in = shapes[name.replace(".bias", ".weight")][1]
        uniform = uniforms(("init", name, seed), (1, *shape))
        tensors.append((2 * uniform - 1) / math.sqrt(fan_in))
    return flatten(tensors, flat_size(shapes))
