"""The p of each form are those of scipy on the same numbers."""

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, wilcoxon

from mimsweep.dashboards.statistics.claims.claim import Claim
from mimsweep.dashboards.statistics.claims.forms import in_cell, in_cells
from mimsweep.dashboards.statistics.ranks import friedman, holm

WITHIN = Claim("c", "mi", 0, {}, margin=0.5)
RANKS = Claim("c", "mi", 1, {}, ranks=("a", "b", "c", "d"), over="model")


def exact(values: np.ndarray) -> float:
    return float(wilcoxon(values, alternative="greater", method="exact").pvalue)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sign", [1, -1])
def test_a_margin_is_a_shift(seed: int, sign: int) -> None:
    values = np.random.default_rng(seed).normal(0.6, size=11)
    claim = Claim("c", "mi", sign, {}, margin=0.25)  # type: ignore[arg-type]
    shifted = sign * values - 0.25
    assert in_cell(claim, values) == pytest.approx((exact(shifted), exact(-shifted)), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_equivalence_is_two_one_sided_tests(seed: int) -> None:
    values = np.random.default_rng(seed).normal(0.1, 0.3, size=12)
    holds, fails = in_cell(WITHIN, values)
    assert holds == pytest.approx(max(exact(values + 0.5), exact(0.5 - values)), rel=1e-12)
    opposite = min(exact(values - 0.5), exact(-0.5 - values))
    assert fails == pytest.approx(min(1.0, 2 * opposite), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1.5])
@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_friedmans_test_and_holms_pairs(seed: int, shift: float) -> None:
    values = np.random.default_rng(seed).normal(size=(12, 4)) - shift * np.arange(4)
    pairs = [exact(values[:, i] - values[:, j]) for i in range(4) for j in range(i + 1, 4)]
    chi2 = friedmanchisquare(*values.T).pvalue
    holds, _ = in_cell(RANKS, values)
    assert holds == pytest.approx(max(*holm(pairs), chi2), rel=1e-12)


def test_friedman_of_what_does_not_differ() -> None:
    assert friedman(np.ones((5, 3))) == 1
    assert friedman(np.empty((0, 3))) == 1


def test_so_many_cells() -> None:
    p = np.array([(0.01, 0.9), (0.02, 0.8), (0.5, 0.001), (0.03, 0.7)]).T
    every = Claim("c", "mi", 1, {})
    assert in_cells(every, *p) == pytest.approx((0.5, 0.004))
    three = Claim("c", "mi", 1, {}, holds_in=(3, 4))
    assert in_cells(three, *p) == pytest.approx((2 * 0.03, 1.0))
    one = Claim("c", "mi", 1, {}, holds_in=(1, 4))
    assert in_cells(one, *p) == pytest.approx((4 * 0.01, 0.9))  # Bonferroni's, and the largest
