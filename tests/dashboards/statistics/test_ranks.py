import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import PermutationMethod, wilcoxon

from mimsweep.dashboards.statistics.ranks import cliffs_delta, holm, kendall, signed_rank


@pytest.mark.parametrize("n", [1, 5, 10, 25])
def test_signed_rank_without_ties_is_scipys_exact_test(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, size=n)
    expected = wilcoxon(values, alternative="greater", method="exact").pvalue
    assert signed_rank(values) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=8).filter(any))
def test_signed_rank_with_ties_and_zeros_is_scipys_permutation_test(values: list[int]) -> None:
    given_values = np.array(values, dtype=float)
    expected = wilcoxon(
        given_values, zero_method="pratt", alternative="greater", method=PermutationMethod(1000)
    ).pvalue
    assert signed_rank(given_values) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("values", [[], [0.0], [0.0] * 10])
def test_nothing_differs(values: list[float]) -> None:
    assert signed_rank(np.array(values)) == 1.0


def test_ten_seeds_of_one_mind() -> None:
    assert signed_rank(np.arange(1.0, 11)) == 2.0**-10
    assert signed_rank(-np.arange(1.0, 11)) == 1.0


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    for order in itertools.permutations([0.01, 0.02, 0.03]):
        assert sorted(holm(order)) == pytest.approx([0.03, 0.04, 0.04])


def test_effect_sizes() -> None:
    a, b = np.array([1.0, 2, 3]), np.array([0.0, 2])
    assert cliffs_delta(a, b) == 0.5
    assert cliffs_delta(a, a) == 0
    assert kendall(np.array([1.0, 2, 3]), np.array([5.0, 4, 3])) == -1
    assert kendall(np.array([1.0, 2]), np.array([5.0, 5])) == 0
