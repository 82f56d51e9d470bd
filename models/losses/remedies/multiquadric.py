"""Sums of the inverse multi-quadratic kernel over pairs of samples, compiled for CPUs.

By torch's operations a sum over scales is some twenty passes over a matrix of all pairs; here a
row of it stays in the fastest cache, and the slope of the kernel is made beside it:

    k(a, b) = Σ_s C_s / (C_s + ‖a − b‖²),   ∂k/∂b = Σ_s 2 C_s / (C_s + ‖a − b‖²)² (a − b)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mimsweep.models.elementary import elementwise
from mimsweep.models.jit import compiled

Array = NDArray[Any]


class KernelSums(torch.autograd.Function):
    """The sum of k over pairs, run by run, with its gradient by one side of them."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        z: Tensor,
        others: Tensor | None,
        constants: Sequence[float],
    ) -> Tensor:
        """Returns the sums, with shape (R,).

        Args:
            ctx: torch's.
            z: samples, with shape (R, B, Z), on the CPU.
            others: of the same shape, without a gradient; None for z itself.
            constants: C_s.
        """
        assert others is None or not others.requires_grad
        columns = np.ascontiguousarray(z.detach().mT.numpy())
        rows = np.ascontiguousarray((z if others is None else others).detach().numpy())
        sums, slopes = np.zeros(len(rows), rows.dtype), np.zeros_like(columns)
        scales, learn = np.array(constants, rows.dtype), ctx.needs_input_grad[0]
        _add_kernels(rows, columns, scales, sums, slopes, learn)
        if learn:
            sides = 2 if others is None else 1  # z is on both, and k the same from either
            ctx.save_for_backward(2 * sides * torch.from_numpy(slopes).mT)
        return torch.from_numpy(sums)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """Returns the gradient by z, with shape (R, B, Z)."""
        (slopes,) = ctx.saved_tensors
        return gradients[0][:, None, None] * slopes, None, None


@compiled
def _add_kernels(
    rows: Array, columns: Array, constants: Array, sums: Array, slopes: Array, learn: bool
) -> None:
    """Adds sums over rows (R, B, Z) and columns (R, Z, B), and half of their slopes by columns."""
    inverse = np.ones_like(constants) / constants
    squared = np.empty_like(columns[0, 0])
    slope, kernel = np.empty_like(squared), np.empty_like(squared)
    for run in range(len(rows)):
        kernel[:] = 0
        for row in range(rows.shape[1]):
            _add_row(rows[run, row], columns[run], constants, inverse, squared, slope, kernel)
            if learn:
                _add_slopes(rows[run, row], columns[run], slope, slopes[run])
        sums[run] = kernel.sum()


@elementwise
def _add_row(
    row: Array,
    columns: Array,
    constants: Array,
    inverse: Array,
    squared: Array,
    slope: Array,
    kernel: Array,
) -> None:
    """Adds k of a row (Z,) and each column (B,) to `kernel`, and sets half of its slope."""
    for b in range(len(squared)):
        squared[b] = 0
        slope[b] = 0
    for z in range(len(row)):
        for b in range(len(squared)):
            apart = row[z] - columns[z, b]
            squared[b] += apart * apart
    for s in range(len(constants)):
        for b in range(len(squared)):
            part = constants[s] / (constants[s] + squared[b])
            kernel[b] += part
            slope[b] += inverse[s] * part * part


@elementwise
def _add_slopes(row: Array, columns: Array, slope: Array, slopes: Array) -> None:
    for z in range(len(row)):
        for b in range(len(slope)):
            slopes[z, b] += slope[b] * (row[z] - columns[z, b])
