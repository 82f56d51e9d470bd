"""How the tensors of a stack lie in memory.

The weights of R runs are one flat tensor with shape (R, P); each named weight is a view of it. One
`baddbmm` computes a layer of all runs, one optimiser step updates all of them.

Tensors are (R, B, F) to their users, and lie in memory as (R, F, B): a feature of all items is
contiguous, so sums over features and splits into heads stay vectorised. Two rules make a run's
numbers independent of the runs beside it, bit for bit, on a CPU with one thread: rows of weights
and the batch axis are padded to multiples of `ALIGN` (`padded`), because torch computes the last
few elements of a tensor with other instructions than the rest, and MKL picks its kernels by the
alignment of the data.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

ALIGN = 32
"""Floats in two AVX-512 registers, the stride of torch's vectorised loops."""

Weights = Mapping[str, Tensor]


def padded(size: int) -> int:
    """Returns `size` rounded up to a multiple of `ALIGN`."""
    return -(-size // ALIGN) * ALIGN


def feature_major(x: Tensor) -> Tensor:
    """Returns `x` with shape (..., B, F), laid out in memory as (..., F, B)."""
    return x.mT.contiguous().mT


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Returns a tensor of the CPU on a device, a copy unless it's the same, not waited for."""
    if device.type == "cuda":  # from other memory a copy waits for all that the device has to do
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def named_views(flat: Tensor, shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Returns the weights of `shapes` as views, with shape (R, *shape), of flat (R, P)."""
    views, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        views[name] = flat[:, start : start + size].view(len(flat), *shape)
        start += size
    return views


def check_shapes(weights: Weights, shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuses stored weights that are not those of a model with these shapes.

    Raises:
        ValueError: one is missing, or of another shape.
    """
    for name, shape in shapes.items():
        if name not in weights:
            raise ValueError(f"it has no {name}")
        if tuple(weights[name].shape) != tuple(shape):
            found = tuple(weights[name].shape)
            raise ValueError(f"{name} has the shape {found}, where the run has {tuple(shape)}")


def require_finite(weights: Weights) -> None:
    """Refuses weights that can't be those of a run that was complete.

    Raises:
        ValueError: some are no finite numbers.
    """
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise ValueError(f"its {name} is not all finite numbers")


def flat_size(shapes: Mapping[str, Sequence[int]]) -> int:
    """Returns P, the length of a run's row of weights, padding included."""
    return padded(sum(math.prod(shape) for shape in shapes.values()))


def flatten(tensors: Sequence[Tensor], size: int) -> Tensor:
    """Joins tensors with shapes (R, ...) to rows of `size` floats, zeros at the end: (R, size)."""
    rows = [tensor.reshape(len(tensor), -1) for tensor in tensors]
    padding = size - sum(row.shape[1] for row in rows)
    return torch.cat([*rows, rows[0].new_zeros(len(rows[0]), padding)], dim=1)
