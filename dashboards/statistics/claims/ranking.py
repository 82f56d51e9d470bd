"""Ranks of the values of a field in one cell, and which of them can't be told apart.

As in Demšar 2006 (JMLR 7:1), with seeds for its data sets: Friedman's test says whether values
differ at all, and then pairs of them are compared; here by the signed-rank test (two-sided, exact)
after Holm's correction, as Benavoli, Corani and Mangili 2016 (JMLR 17:5) recommend.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from mimsweep.dashboards.statistics.ranks import friedman, holm, signed_rank_two_sided


@dataclass(frozen=True)
class Ranking:
    """How k values rank in a cell.

    Attributes:
        mean_ranks: over seeds, from 1, of the greatest, to k; in the order that a claim lists.
        friedman: p that they don't differ at all.
        pairs: p that two of them don't differ, by their places in the list, corrected.
    """

    mean_ranks: tuple[float, ...]
    friedman: float
    pairs: dict[tuple[int, int], float]

    def together(self, level: float) -> list[list[int]]:
        """Returns the largest groups of neighbours by rank of whom no two can be told apart."""
        order = sorted(range(len(self.mean_ranks)), key=lambda i: self.mean_ranks[i])
        if self.friedman > level:
            return [order]
        found: list[list[int]] = []
        for start, stop in itertools.combinations(range(len(order) + 1), 2):
            group = order[start:stop]
            pairs = itertools.combinations(sorted(group), 2)
            if len(group) > 1 and all(self.pairs[pair] > level for pair in pairs):
                found.append(group)
        return [group for group in found if not any({*group} < {*other} for other in found)]


def ranking(values: NDArray[np.float64]) -> Ranking:
    """Returns how values rank, of (N, k): of N seeds, at least one, those of k values."""
    pairs = list(itertools.combinations(range(values.shape[1]), 2))
    p = [signed_rank_two_sided(values[:, i] - values[:, j]) for i, j in pairs]
    means = rankdata(-values, axis=1).mean(axis=0)
    return Ranking(tuple(means.tolist()), friedman(values), dict(zip(pairs, holm(p), strict=True)))
