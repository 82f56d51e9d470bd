"""Neighbours by brute force on a GPU: some points at once against all.

What `models.measures.buckets` and `models.measures.knn` search for on a CPU, in plain torch: a GPU
measures all pairs sooner than it finds those that matter. Distances are computed in float64, by the
same operations in the same order, so the counts and neighbours are the same. The squares are added
in a step of their own: fused, as `addcmul` has it, they would be rounded otherwise.

Nothing waits for the GPU, and one run at a time keeps it busy: of 10,000 points there are a hundred
million pairs. No GPU has run this yet.
"""

import math
from collections.abc import Iterator
from typing import TypeGuard

import torch
from torch import Tensor

AT_ONCE = {"cpu": 2_000_000, "cuda": 32_000_000}
"""Numbers in a tile, by kind of device; of float64 256 MB on a GPU, with a few tiles at once."""


def on_gpu(values: object) -> TypeGuard[Tensor]:
    """Whether `values` are a GPU's, so that it's quicker to measure them there."""
    return isinstance(values, Tensor) and values.device.type == "cuda"


def rows_at_once(numbers: int, device: torch.device) -> int:
    """Returns how many rows of so many numbers are a tile, at least one."""
    return max(1, AT_ONCE[device.type] // numbers)


def closer_counts(x: Tensor, z: Tensor, k: int) -> Tensor:
    """Returns n_x and n_z of each pair, with shape (2, N): others strictly closer than r_i.

    Args:
        x: with shape (N, D), float64.
        z: with shape (N, d), float64.
        k: which neighbour in the joint space is r_i away, by the max-norm; below N.
    """
    spaces = [points.T.contiguous() for points in (x, z)]
    parts = []
    for rows in _tiles(len(x), max(len(columns) for columns in spaces) * len(x), x.device):
        apart = torch.stack([_max_norms(columns, rows) for columns in spaces])
        apart.diagonal(rows.start, 1, 2).fill_(math.inf)  # a point is no neighbour of its own
        radii = apart.amax(0).topk(k, largest=False).values[:, -1:]
        parts.append((apart < radii).sum(2))
    return torch.cat(parts, dim=1)


def nearest(train: Tensor, test: Tensor, k: int) -> Tensor:
    """Returns the k nearest training points of every test point, nearest first, shape (n, k).

    Args:
        train: with shape (N, d), float32.
        test: with shape (n, d), float32.
        k: at most N.
    """
    widest = train.double().var(0, correction=0).argsort(descending=True, stable=True)
    points, others = (values.T[widest].double() for values in (test, train))
    parts = []
    for rows in _tiles(len(test), len(train), train.device):
        apart = test.new_zeros(len(test[rows]), len(train), dtype=torch.float64)
        for here, column in zip(points[:, rows], others, strict=True):
            apart += (column - here[:, None]).square_()
        parts.append(_smallest(apart, k))
    return torch.cat(parts)


def _tiles(count: int, numbers: int, device: torch.device) -> Iterator[slice]:
    """Yields which of `count` rows, of so many numbers each, are in each tile."""
    at_once = rows_at_once(numbers, device)
    for start in range(0, count, at_once):
        yield slice(start, start + at_once)


def _max_norms(columns: Tensor, rows: slice) -> Tensor:
    """Returns the distances from some points to all, with shape (n, N), of columns (D, N)."""
    apart = columns[:, rows, None] - columns[:, None]
    return torch.linalg.vector_norm(apart, math.inf, dim=0)


def _smallest(apart: Tensor, k: int) -> Tensor:
    """Returns where the k smallest distances of each row are, the earlier of equal ones first.

    Args:
        apart: with shape (n, N); those that are found become infinite.
        k: at most N.
    """
    found = []
    for _ in range(k):
        found.append(apart.argmin(1, keepdim=True))  # the first of equals, where `topk` has any
        apart.scatter_(1, found[-1], math.inf)
    return torch.cat(found, dim=1)
