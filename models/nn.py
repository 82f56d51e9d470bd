"""Linear layers and multi-layer perceptrons with a run axis.

The weights of R runs are one flat tensor with shape (R, P); each named weight is a view of it. One
`baddbmm` computes a layer of all runs, one optimiser step updates all of them.

Tensors are (R, B, F) to their users, and lie in memory as (R, F, B): a feature of all items is
contiguous, so sums over features and splits into heads stay vectorised. Two rules make a run's
numbers independent of the runs beside it, bit for bit, on a CPU with one thread: rows of weights
and the batch axis are padded to multiples of `ALIGN` (`padded`), because torch computes the last
few elements of a tensor with other instructions than the rest, and MKL picks its kernels by the
alignment of the data.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.rng import generator

ALIGN = 32
"""Floats in two AVX-512 registers, the stride of torch's vectorised loops."""

Weights = Mapping[str, Tensor]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "swish": torch.nn.functional.silu,
    "relu": torch.relu,
}


def padded(size: int) -> int:
    """Returns `size` rounded up to a multiple of `ALIGN`."""
    return -(-size // ALIGN) * ALIGN


def feature_major(x: Tensor) -> Tensor:
    """Returns `x` with shape (..., B, F), laid out in memory as (..., F, B)."""
    return x.mT.contiguous().mT


@dataclass(frozen=True)
class Mlp:
    """A multi-layer perceptron: `layers - 1` hidden layers of `mid_dim`, then one linear layer.

    Attributes:
        name: prefix of the names of its weights.
        inputs: number of input features.
        outputs: number of output features, all heads together.
        mid_dim: width of the hidden layers.
        layers: number of linear layers, at least 1.
        act: key of `ACTIVATIONS`.
    """

    name: str
    inputs: int
    outputs: int
    mid_dim: int
    layers: int
    act: str

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the weights of one run: (out, in) and (out,) per layer."""
        widths = [self.inputs, *[self.mid_dim] * (self.layers - 1), self.outputs]
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
            shapes[f"{self.name}.{layer}.weight"] = (n_out, n_in)
            shapes[f"{self.name}.{layer}.bias"] = (n_out,)
        return shapes

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Maps x with shape (R, B, inputs) to shape (R, B, outputs)."""
        for layer in range(self.layers):
            x = linear(
                x, weights[f"{self.name}.{layer}.weight"], weights[f"{self.name}.{layer}.bias"]
            )
            if layer < self.layers - 1:
                x = ACTIVATIONS[self.act](x)
        return x


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


def named_views(flat: Tensor, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Returns the weights of `shapes` as views, with shape (R, *shape), of flat (R, P)."""
    views, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        views[name] = flat[:, start : start + size].view(len(flat), *shape)
        start += size
    return views


def flat_size(shapes: Mapping[str, Sequence[int]]) -> int:
    """Returns P, the length of a run's row of weights, padding included."""
    return padded(sum(math.prod(shape) for shape in shapes.values()))


def flatten(tensors: Sequence[Tensor], size: int) -> Tensor:
    """Joins tensors with shapes (R, ...) to rows of `size` floats, zeros at the end: (R, size)."""
    rows = [tensor.reshape(len(tensor), -1) for tensor in tensors]
    padding = size - sum(row.shape[1] for row in rows)
    return torch.cat([*rows, rows[0].new_zeros(len(rows[0]), padding)], dim=1)


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
        uniform = torch.rand(1, *shape, generator=generator("init", name, seed))
        tensors.append((2 * uniform - 1) / math.sqrt(fan_in))
    return flatten(tensors, flat_size(shapes))
