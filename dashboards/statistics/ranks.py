"""Tests and effect sizes of ranks: Wilcoxon's, Friedman's, corrections, Cliff's δ, Kendall's τ."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import friedmanchisquare, kendalltau, rankdata


def holm(p: Sequence[float]) -> list[float]:
    """Returns p-values corrected by Holm's step-down procedure."""
    corrected, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = largest
    return corrected


def partial_conjunction(p: NDArray[np.float64], least: int) -> NDArray[np.float64]:
    """Returns p that at least so many of the effects are there whose p are in the last axis.

    (n − u + 1) p₍ᵤ₎ of the u-th smallest of n: Benjamini and Heller 2008, Biometrics 64:1215, by
    Bonferroni's inequality, so whatever the dependence. Of all n it is the largest p, of one
    Bonferroni's.
    """
    count = p.shape[-1]
    return np.minimum(1.0, (count - least + 1) * np.sort(p, axis=-1)[..., least - 1])


def signed_rank(differences: NDArray[np.float64]) -> float:
    """Returns the exact one-sided p of Wilcoxon's signed-rank test that differences are positive.

    Zeros take part in the ranking and have no sign (Pratt). The distribution is that of all 2ⁿ
    signs of the ranks as they are, which scipy has for untied ranks only.
    """
    ranks = rankdata(np.abs(differences))
    # Doubled, because ranks of ties are halves.
    signed = np.rint(2 * ranks[differences != 0]).astype(int)
    observed = np.rint(2 * ranks[differences > 0]).astype(int).sum()
    return float(min(1.0, sums_of_ranks(signed)[observed:].sum()))


def signed_rank_two_sided(differences: NDArray[np.float64]) -> float:
    """Returns the exact two-sided p of Wilcoxon's signed-rank test that differences aren't 0."""
    return min(1.0, 2 * min(signed_rank(differences), signed_rank(-differences)))


def sums_of_ranks(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the chance of each sum, from 0, of the ranks whose sign is positive, each by half."""
    chances = np.zeros(ranks.sum() + 1)
    chances[0] = 1.0
    for rank in ranks:
        shifted = np.zeros_like(chances)
        shifted[rank:] = chances[: len(chances) - rank]
        chances = (chances + shifted) / 2
    return chances


def friedman(values: NDArray[np.float64]) -> float:
    """Returns p of Friedman's test that columns differ, within rows; (N, k) of k ≥ 3."""
    if not len(values) or (values == values[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*values.T).pvalue)


def cliffs_delta(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Returns P(a > b) − P(a < b) over all pairs, from −1 to 1; NaN where there is none."""
    if not len(a) or not len(b):
        return np.nan
    return float(np.sign(a[:, None] - b[None, :]).mean())


def kendall(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Returns Kendall's τ (b), and 0 where a constant has no order."""
    constant = x.min() == x.max() or y.min() == y.max()
    return 0.0 if constant else float(kendalltau(x, y).statistic)
