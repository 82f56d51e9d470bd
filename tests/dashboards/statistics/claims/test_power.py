"""The number of seeds that would decide a claim: against simulation, and at its ends."""

import numpy as np
import pytest

from mimsweep.dashboards.statistics.claims.claim import Claim
from mimsweep.dashboards.statistics.claims.forms import in_cell, in_cells
from mimsweep.dashboards.statistics.claims.power import Levels, chance, seeds_to_decide

FIVE = Levels(0.05, 0.05)
MORE = Claim("c", "mi", 1, {})
NUMBERS = np.random.default_rng(0).normal(size=(2, 10, 3))


def test_seeds_of_one_mind_need_what_the_correction_asks() -> None:
    same = np.array([1.0, 1.1, 1.2])
    assert seeds_to_decide(MORE, [same], FIVE) == 5
    assert seeds_to_decide(MORE, [same, -same], FIVE) == 6  # it fails, in one of two cells
    assert seeds_to_decide(MORE, [same], Levels(0.05 / 100, 0.05 / 100)) == 11
    ranks = Claim("c", "mi", 1, {}, ranks=("a", "b", "c"), over="model")
    assert seeds_to_decide(ranks, [np.outer(same, [3, 2, 1])], FIVE) == 6


def test_what_more_seeds_would_not_decide() -> None:
    assert seeds_to_decide(MORE, [np.array([1.0, -1, 2, -2])], FIVE) is None
    assert seeds_to_decide(MORE, [np.zeros(4)], FIVE) is None
    assert seeds_to_decide(MORE, [np.tile([1.0, -1.0], 300)], FIVE) is None


@pytest.mark.parametrize(
    ("claim", "mean"),
    [
        (MORE, 0.5),
        (Claim("c", "mi", -1, {}, margin=-1.5), 0.9),
        (Claim("c", "mi", 0, {}, margin=1.0), 0.0),
        (Claim("c", "mi", 1, {}, holds_in=(1, 2)), 0.3),
        (Claim("c", "mi", 1, {}, ranks=("a", "b", "c"), over="model"), 0.8),
    ],
    ids=["more", "margin", "within", "one of two", "ranks"],
)
def test_the_chance_is_that_of_the_exact_tests(claim: Claim, mean: float) -> None:
    """Which are too slow to ask how many seeds it takes."""
    cells = list(NUMBERS + mean * np.array([2, 1, 0]) if claim.ranks else NUMBERS[..., 0] + mean)
    draws = np.random.default_rng(1).random((150, 22))
    decided = 0
    for draw in draws:
        p = []
        for cell in cells:
            more = cell[(draw[len(cell) :] * len(cell)).astype(int)]
            p.append(in_cell(claim, np.concatenate([cell, more])))
        holds, fails = in_cells(claim, *np.array(p).T)
        decided += bool(holds <= 0.05 or fails <= 0.05)
    assert 0.1 < decided / len(draws) < 0.95
    assert chance(claim, cells, FIVE, draws) == pytest.approx(decided / len(draws), abs=0.05)
