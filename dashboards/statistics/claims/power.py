"""How many seeds would decide an undecided claim, if the others are like those that there are.

The seeds that there are stay. Others are drawn from them, whole, with what a seed gives in every
cell, and the claim is tested with all of them, at the level that Holm's correction leaves it: its
chance to be decided is the share of 200 such draws in which it is. This forecasts, it doesn't test:
of few seeds it is rough, and they are taken for all that seeds can give.

Drawn twice a seed makes ties; the distribution of the signed-rank sum is that without, which has a
slightly larger spread, and zeros count half. Friedman's test, whose p is below that of the pairs
where these are decided, is left out.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from mimsweep.dashboards.statistics.claims.claim import Claim
from mimsweep.dashboards.statistics.claims.forms import (
    Floats,
    all_sides,
    in_cells,
    sides,
    some_side,
)
from mimsweep.dashboards.statistics.ranks import sums_of_ranks

CHANCE = 0.8
MOST = 500
"""Seeds that are tried."""
FEWEST = 3
"""Seeds from which others can be drawn."""
_DRAWS = 200


@dataclass(frozen=True)
class Levels:
    """Below what the p of a claim says that it holds, and that it fails."""

    holds: float
    fails: float


def seeds_to_decide(claim: Claim, cells: Sequence[Floats], levels: Levels) -> int | None:
    """Returns with how many seeds in all a claim would be decided by a chance of 80 %.

    Args:
        claim: undecided.
        cells: what each seed gives in each cell, (N,) or of ranks (N, k); N of `FEWEST` at least.
        levels: of the two tests.

    Returns:
        the fewest, or None if they are more than `MOST`.
    """
    draws = np.random.default_rng(0).random((_DRAWS, MOST))
    low, step = max(len(cell) for cell in cells), 1
    while chance(claim, cells, levels, draws[:, : low + step]) < CHANCE:
        low, step = low + step, 2 * step
        if low >= MOST:
            return None
        step = min(step, MOST - low)
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if chance(claim, cells, levels, draws[:, :middle]) < CHANCE:
            low = middle
        else:
            high = middle
    return high


def chance(claim: Claim, cells: Sequence[Floats], levels: Levels, draws: Floats) -> float:
    """Returns the share of draws in which a claim is decided.

    Args:
        claim: of any form.
        cells: as of `seeds_to_decide`.
        levels: likewise.
        draws: (draws, N) numbers from 0 to 1, by which the n-th seed is chosen if it isn't there.
    """
    p = [_in_cell(claim, cell, draws) for cell in cells]
    holds, fails = in_cells(claim, *(np.stack(each, axis=-1) for each in zip(*p, strict=True)))
    return float(((holds <= levels.holds) | (fails <= levels.fails)).mean())


def _in_cell(claim: Claim, cell: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """Returns p in each draw that a claim holds in a cell, and that it fails there."""
    there = len(cell)
    more = cell[(draws[:, there:] * there).astype(int)]
    kept = np.broadcast_to(cell, (len(draws), *cell.shape))
    tested = sides(claim, np.concatenate([kept, more], axis=1))
    ranks = rankdata(np.abs(tested), axis=-1)
    positive = (ranks * (np.sign(tested) + 1) / 2).sum(axis=-1)
    tail = _tail(tested.shape[-1])
    holds, fails = (tail[np.ceil(w).astype(int)] for w in (positive, len(tail) - 1 - positive))
    return all_sides(claim, holds), some_side(fails)


@functools.lru_cache(maxsize=64)
def _tail(count: int) -> Floats:
    """Returns the chance that the sum of positive ranks is at least 0, 1 and so on, of `count`."""
    return np.cumsum(sums_of_ranks(np.arange(1, count + 1))[::-1])[::-1].copy()
