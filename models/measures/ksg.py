"""Mutual information by estimator 1 of Kraskov, Stögbauer and Grassberger (cond-mat/0305641).

For N pairs (x_i, z_i), with r_i the max-norm distance from pair i to its k-th neighbour in the
joint space, and n_x, n_z the numbers of other points strictly closer than r_i in one space alone,

    I(x; z) = ψ(k) + ψ(N) − ⟨ψ(n_x + 1) + ψ(n_z + 1)⟩    in nats.

As n_x, n_z >= k − 1, it's at most ψ(N) − ψ(k), whatever I(x; z) is. Ties are broken first.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma
from torch import Tensor

from mimsweep.models.measures import buckets, tiles
from mimsweep.models.measures.ties import without_ties

MOST_PAIRS = 10_000  # the cost grows with the square


def ksg_mutual_information(x: ArrayLike, z: ArrayLike, k: int = 5) -> float:
    """Returns the mutual information of the pairs (x_i, z_i), the first `MOST_PAIRS`, in nats.

    Args:
        x: observations with shape (N, D), or (N,) for D = 1.
        z: latents with shape (N, d), or (N,) for d = 1; a GPU's are counted there.
        k: which neighbour in the joint space sets the distance.

    Raises:
        ValueError: N is not the same in both, is not larger than `k`, or a value isn't finite.
    """
    spaces = (_points(x), _points(z))
    count = len(spaces[0])
    if len(spaces[1]) != count:
        raise ValueError(f"x has {count} points and z has {len(spaces[1])}; they must be pairs")
    if not 1 <= k < count:
        raise ValueError(f"k = {k} needs at least {k + 1} points, and k >= 1; there are {count}")
    if not all(np.isfinite(points).all() for points in spaces):
        raise ValueError("x and z must be finite")
    spaces = without_ties(spaces[0][:MOST_PAIRS], spaces[1][:MOST_PAIRS])
    if tiles.on_gpu(z):
        x_there, z_there = (torch.from_numpy(points).to(z.device) for points in spaces)
        close = tiles.closer_counts(x_there, z_there, k).cpu().numpy()
    else:
        close = buckets.closer_counts(*spaces, k)
    mean = np.mean(digamma(close[0] + 1) + digamma(close[1] + 1))
    return float(digamma(k) + digamma(len(spaces[0])) - mean)


def ksg_ceiling(count: int, k: int = 5) -> float:
    """Returns the most that the estimate can be of so many pairs, ψ(N) − ψ(k), in nats."""
    return float(digamma(min(count, MOST_PAIRS)) - digamma(k))


def _points(values: ArrayLike) -> NDArray[np.float64]:
    """Returns `values` with shape (N, D), on the CPU."""
    if isinstance(values, Tensor):
        values = values.cpu().numpy()
    points = np.ascontiguousarray(values, dtype=np.float64)
    return points[:, None] if points.ndim == 1 else points
