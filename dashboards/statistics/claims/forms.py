"""The test of each form of claim: from the number that every seed gives, to p.

A form says of which numbers of a seed it claims that they are positive, its *sides*:

- a comparison or trend: the difference (Kendall's τ), with the sign claimed, less the margin;
- equivalence within a margin m: d + m and m − d, which makes it two one-sided tests (Schuirmann
  1987, J. Pharmacokin. Biopharm. 15:657);
- ranks: of each pair of the values listed, the difference of the one before and the one behind.

Each side is tested by Wilcoxon's signed-rank test, exact and one-sided. All must be as claimed, so
p is the largest of them (an intersection-union test: Berger 1982, Technometrics 24:295). Of ranks
the pairs are corrected by Holm first, and Friedman's test must say that the values differ at all
(by χ², as scipy has it: Demšar 2006, JMLR 7:1), so that a claim agrees with its diagram. That some
side is the other way round has the smallest p of the opposite, times the number of sides.

With a margin, of a number, or of two metrics the test is one of the median of differences that lie
symmetrically about it; else runs that are exchangeable suffice.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from mimsweep.dashboards.statistics.claims.claim import Claim
from mimsweep.dashboards.statistics.ranks import friedman, partial_conjunction, signed_rank

Floats = NDArray[np.float64]


def sides(claim: Claim, seeds: Floats) -> Floats:
    """Returns what must be positive if it is as claimed.

    Args:
        claim: of any form.
        seeds: (…, N), what N seeds give; of ranks (…, N, k).

    Returns:
        (S, …, N), of S sides.
    """
    if claim.ranks:
        pairs = itertools.combinations(range(len(claim.ranks)), 2)
        return np.stack([seeds[..., i] - seeds[..., j] for i, j in pairs])
    if claim.sign == 0:
        return np.stack([seeds + claim.margin, claim.margin - seeds])
    return (claim.sign * seeds - claim.margin)[None]


def all_sides(claim: Claim, p: Floats) -> Floats:
    """Returns p that all sides are as claimed, of the p of each in the first axis."""
    if not claim.ranks:
        return p.max(axis=0)
    steps = np.arange(len(p), 0, -1.0).reshape(-1, *[1] * (p.ndim - 1))
    return np.minimum(1.0, (steps * np.sort(p, axis=0)).max(axis=0))  # the largest of Holm's


def some_side(p: Floats) -> Floats:
    """Returns p that some side is the other way round, of the p of each in the first axis."""
    return np.minimum(1.0, len(p) * p.min(axis=0))


def in_cell(claim: Claim, seeds: Floats) -> tuple[float, float]:
    """Returns p that a claim holds in a cell, and that it fails there, not corrected."""
    tested = sides(claim, seeds)
    holds = float(all_sides(claim, np.array([signed_rank(side) for side in tested])))
    fails = float(some_side(np.array([signed_rank(-side) for side in tested])))
    return max(holds, friedman(seeds)) if claim.ranks else holds, fails


def in_cells(claim: Claim, holds: Floats, fails: Floats) -> tuple[Floats, Floats]:
    """Returns p that a claim holds, and that it fails, of those of its cells in the last axis.

    That it holds needs k of n cells (all n, if it doesn't say): fewer than n − k + 1 are against
    it. So it fails if at least n − k + 1 show the opposite.
    """
    count = holds.shape[-1]
    least = claim.holds_in[0] if claim.holds_in else count
    return partial_conjunction(holds, least), partial_conjunction(fails, count - least + 1)


def smallest_factor(claim: Claim, cells: int) -> int:
    """Returns how many times the p of a test is taken at least, for a claim to be decided."""
    least = claim.holds_in[0] if claim.holds_in else cells
    count = len(sides(claim, np.zeros((1, len(claim.ranks)) if claim.ranks else 1)))
    return min((cells - least + 1) * (count if claim.ranks else 1), least * count)
