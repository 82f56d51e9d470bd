"""Which group is best, and which can't be told from it: against scipy, and by counting."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from mimsweep.dashboards.statistics.best import marks, p_different


def seeds(*values: float) -> pd.Series:
    return pd.Series(values, index=range(1, len(values) + 1), dtype=float)


def test_the_best_has_the_best_mean_and_others_are_told_from_it_by_pairs_of_seeds() -> None:
    base = np.arange(8.0)
    groups = {
        "same": seeds(*(base + np.array([0.1, -0.1, 0.2, -0.2, 0.3, -0.3, 0.4, -0.5]))),
        "best": seeds(*base),
        "less": seeds(*(base - 0.5)),  # by much less than the spread of the seeds, but each time
        "more": seeds(*(base + 5)),
    }
    assert marks(groups, -1) == {"same": "", "best": "", "less": "best", "more": ""}
    del groups["less"]
    assert marks(groups, -1) == {"same": "best", "best": "same", "more": ""}
    assert marks(groups, 1) == {"same": "", "best": "", "more": "best"}


def test_a_metric_that_is_better_neither_way_has_no_marks() -> None:
    assert marks({"a": seeds(1, 2), "b": seeds(3, 4)}, 0) == {"a": "", "b": ""}


def test_one_group_alone_is_not_the_best_of_anything() -> None:
    assert marks({"a": seeds(1, 2), "b": seeds(np.nan)}, 1) == {"a": "", "b": ""}


def test_few_seeds_tell_nothing_apart() -> None:
    far = {"a": seeds(*range(5)), "b": seeds(*(100.0 + n for n in range(5)))}
    assert marks(far, 1) == {"a": "same", "b": "best"}
    far = {"a": seeds(*range(6)), "b": seeds(*(100.0 + n for n in range(6)))}
    assert marks(far, 1) == {"a": "", "b": "best"}


def test_holms_correction_runs_over_the_comparisons() -> None:
    """Six seeds can tell one other from the best, but not two: p is 1/32 at least."""
    best, other = seeds(*range(6)), seeds(*(n - 1.0 for n in range(6)))
    assert marks({"best": best, "a": other}, 1)["a"] == ""
    assert marks({"best": best, "a": other, "b": other - 1}, 1)["a"] == "same"


def test_values_that_are_no_numbers_do_not_count() -> None:
    groups = {"a": seeds(1, 2, np.inf), "b": seeds(1.5, 2.5, -9), "none": seeds(np.nan, np.nan)}
    assert marks(groups, 1) == {"a": "best", "b": "same", "none": ""}


@pytest.mark.parametrize("count", [6, 10])
def test_p_is_scipys(count: int) -> None:
    rng = np.random.default_rng(count)
    a, b = rng.normal(size=(2, count))
    expected = wilcoxon(a, b, method="exact").pvalue
    assert p_different(seeds(*a), seeds(*b)) == pytest.approx(expected)


def test_only_seeds_that_both_have_are_compared() -> None:
    one, other = seeds(*range(8)), seeds(*range(1, 9))
    assert p_different(one, other.drop(index=[1, 2])) == p_different(one[2:], other[2:])


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_groups_of_equal_values_are_never_told_apart(values: list[float]) -> None:
    found = marks({"a": seeds(*values), "b": seeds(*values)}, 1)
    assert sorted(found.values()) == ["best", "same"]
