import numpy as np
import pytest
from scipy.stats import friedmanchisquare, wilcoxon

from mimsweep.dashboards.statistics.claims.ranking import Ranking, ranking
from mimsweep.dashboards.statistics.ranks import holm


def test_ranks_and_p_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).normal(size=(10, 3)) + np.array([1.5, 0.0, 0.2])
    found = ranking(values)
    order = (-values).argsort(axis=1).argsort(axis=1) + 1
    assert found.mean_ranks == pytest.approx(order.mean(axis=0))
    assert found.friedman == friedmanchisquare(*values.T).pvalue
    pairs = [(0, 1), (0, 2), (1, 2)]
    p = [wilcoxon(values[:, i], values[:, j], method="exact").pvalue for i, j in pairs]
    assert [found.pairs[pair] for pair in pairs] == pytest.approx(holm(p))


def test_equal_values_share_a_rank() -> None:
    assert ranking(np.array([[1.0, 1.0, 0.0]] * 4)).mean_ranks == (1.5, 1.5, 3.0)


@pytest.mark.parametrize(
    ("friedman", "pairs", "together"),
    [
        (0.01, {(0, 1): 0.01, (0, 2): 0.01, (1, 2): 0.01}, []),
        (0.01, {(0, 1): 0.01, (0, 2): 0.01, (1, 2): 0.2}, [[2, 1]]),
        (0.01, {(0, 1): 0.2, (0, 2): 0.01, (1, 2): 0.2}, [[2, 1], [1, 0]]),
        (0.01, {(0, 1): 0.2, (0, 2): 0.2, (1, 2): 0.2}, [[2, 1, 0]]),
        (0.01, {(0, 1): 0.01, (0, 2): 0.2, (1, 2): 0.01}, []),  # the one between is told apart
        (0.2, {(0, 1): 0.01, (0, 2): 0.01, (1, 2): 0.01}, [[2, 1, 0]]),
    ],
)
def test_who_is_joined(
    friedman: float, pairs: dict[tuple[int, int], float], together: list[list[int]]
) -> None:
    assert Ranking((3.0, 2.0, 1.0), friedman, pairs).together(0.05) == together
