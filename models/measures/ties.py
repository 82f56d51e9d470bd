"""Ties are broken before neighbours are looked for: an estimate by distances is of densities.

Where values repeat, as integers do, the k-th neighbour is at distance 0 and nothing is closer: KSG
says 11.9 nats of independent ones. A column of which less than 99 % of the values are distinct is
centred, and each value moved by a ten-billionth of the column's standard deviation, always by the
same noise. Chance repeats, of which 10,000 numbers in float32 have some, stay.
"""

import numpy as np
from numpy.typing import NDArray

DISTINCT = 0.99  # share of the values
JITTER = 1e-10  # of the standard deviation

Points = NDArray[np.float64]


def without_ties(x: Points, z: Points) -> tuple[Points, Points]:
    """Returns x and z, with shape (N, ·), the columns that repeat values centred and moved."""
    noise = np.random.default_rng(5)  # one for both: what ties in x and z must part in each alone
    return _moved(x, noise), _moved(z, noise)


def _moved(points: Points, noise: np.random.Generator) -> Points:
    distinct = 1 + np.count_nonzero(np.diff(np.sort(points, axis=0), axis=0), axis=0)
    tied = np.flatnonzero(distinct < DISTINCT * len(points))
    if len(tied) == 0:
        return points
    moved, columns = points.copy(), points[:, tied]
    scale = np.where(distinct[tied] > 1, columns.std(axis=0), 1.0)
    moved[:, tied] = columns - columns.mean(axis=0)
    moved[:, tied] += JITTER * scale * noise.normal(size=columns.shape)
    return moved
