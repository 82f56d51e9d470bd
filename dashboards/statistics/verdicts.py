"""Whether claims on runs hold: exact signed-rank tests over pairs of one seed.

A claim is tested in every *cell* it speaks of: a combination of the values of the fields that vary
(each latent size, say). In a cell each seed gives one number: the difference of the metric between
its run of the one group and its run of the other, or, of a trend, Kendall's τ between the metric
and the field over the seed's runs. Wilcoxon's signed-rank test (one-sided; exact, ties and zeros
included) then says how likely so clear a preponderance would be if there were none
(`claims/forms.py`).

Of a trend the cells are those in which its field has several values.

A claim speaks of *every* cell, so the test that it holds is as weak as that of its weakest cell:
the largest p (an intersection-union test, which needs no correction for the number of cells). The
test that it fails asks whether some cell shows the opposite: the smallest p of the other side,
times the number of cells. One that `holds_in` k of n cells is as weak as its k-th cell, times
n − k + 1, and fails if n − k + 1 cells show the opposite. Holm's step-down correction then runs
over all claims of the sweep, for each of the two questions, so the chance that any claim is wrongly
said to hold (or to fail) is at most 5 %. What neither test decides is undecided, and so is a claim
whose runs are not all there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mimsweep.dashboards.statistics.claims.claim import Cell, Claim, Forecast, Judgement, Verdict
from mimsweep.dashboards.statistics.claims.forms import in_cells, smallest_factor
from mimsweep.dashboards.statistics.claims.measured import cells_of
from mimsweep.dashboards.statistics.claims.power import FEWEST, Levels, seeds_to_decide
from mimsweep.dashboards.statistics.ranks import holm

ALPHA = 0.05


@dataclass(frozen=True)
class _Family:
    """How many claims are corrected together, and to which level."""

    claims: int
    level: float


def judge(
    claims: Sequence[Claim], planned: pd.DataFrame, runs: pd.DataFrame, level: float = ALPHA
) -> list[Judgement]:
    """Returns the verdict on each claim.

    Args:
        claims: those of a sweep, which are corrected together.
        planned: a row per run of the sweep, complete or not: its `run_key` and spec fields.
        runs: a row per complete run: its `run_key` and metrics.
        level: of the chance that any claim is wrongly said to hold, and likewise to fail.
    """
    tested = [cells_of(claim, planned, runs) for claim in claims]
    p = [_tested(claim, cells) for claim, cells in zip(claims, tested, strict=True)]
    holds, fails = (holm(each) for each in zip(*p, strict=True)) if p else ([], [])
    found = [
        _judged(claim, cells, runs, each, _Family(len(claims), level))
        for claim, cells, *each in zip(claims, tested, holds, fails, strict=True)
    ]
    left = (sum(each.verdict != verdict for each in found) for verdict in ("holds", "fails"))
    levels = Levels(*(level / max(1, count) for count in left))  # that Holm's correction leaves
    return [replace(each, forecast=_forecast(each, levels)) for each in found]


def seeds_needed(level: float) -> int:
    """Returns the fewest pairs with which p, 2⁻ⁿ at least of the exact test, can reach a level."""
    return math.ceil(-math.log2(level))


def _tested(claim: Claim, cells: Sequence[Cell]) -> tuple[float, float]:
    """Returns p that it holds and that it fails, before Holm's correction."""
    if not cells or _other_cells(claim, cells):
        return 1.0, 1.0
    holds, fails = np.array([(cell.p_holds, cell.p_fails) for cell in cells]).T
    p_holds, p_fails = in_cells(claim, holds, fails)
    return float(p_holds), float(p_fails)


def _other_cells(claim: Claim, cells: Sequence[Cell]) -> bool:
    """Returns whether it is said of a number of cells that the sweep doesn't have."""
    return claim.holds_in is not None and claim.holds_in[1] != len(cells)


def _judged(
    claim: Claim, cells: Sequence[Cell], runs: pd.DataFrame, p: Sequence[float], family: _Family
) -> Judgement:
    p_holds, p_fails = p
    if lacking := _unmeasured(claim, runs) or _incomplete(claim, cells):
        return Judgement(claim, "undecided", lacking, p_holds, p_fails, tuple(cells))
    verdict, reason = _verdict(claim, cells, p_holds, p_fails, family)
    return Judgement(claim, verdict, reason, p_holds, p_fails, tuple(cells), tested=True)


def _unmeasured(claim: Claim, runs: pd.DataFrame) -> str:
    """Returns that a claim is about a metric that no run has, as those of old stores."""
    lacking = [m for m in claim.metrics if m not in runs.columns or runs[m].isna().all()]
    if runs.empty or not lacking:
        return ""
    return f"no run has {lacking[0]}; `mimsweep measure` measures runs anew"


def _incomplete(claim: Claim, cells: Sequence[Cell]) -> str:
    """Returns what is missing that a claim speaks of; empty if nothing is."""
    if not cells:
        what = "is what it speaks of"
        if claim.along:
            what = f"is, with another value of {claim.along}, beside one that it speaks of"
        return f"no run of the sweep {what}"
    if claim.holds_in and _other_cells(claim, cells):
        return f"it speaks of {claim.holds_in[1]} cells, and the sweep has {len(cells)}"
    total = sum(cell.planned for cell in cells)
    not_finite = sum(cell.not_finite for cell in cells)
    missing = total - not_finite - sum(cell.pairs for cell in cells)
    lacking = [f"{missing} of {total} pairs are missing"] if missing else []
    if not_finite:
        what = f"{' or '.join(claim.metrics)} is no finite number"
        lacking.append(f"{what} in {not_finite} of {total} pairs")
    return ", and ".join(lacking)


def _verdict(
    claim: Claim, cells: Sequence[Cell], p_holds: float, p_fails: float, family: _Family
) -> tuple[Verdict, str]:
    least, count = claim.holds_in or (len(cells), len(cells))
    if p_holds <= family.level:
        where = f"{least} of {count} cells at least" if claim.holds_in else "every cell"
        return "holds", f"as claimed in {where}"
    if p_fails <= family.level:
        return "fails", f"{_at_least(count - least + 1)} the opposite"
    return "undecided", f"the seeds don't decide it either way{_too_few(claim, cells, family)}"


def _at_least(cells: int) -> str:
    return "some cell shows" if cells == 1 else f"{cells} cells or more show"


def _too_few(claim: Claim, cells: Sequence[Cell], family: _Family) -> str:
    """Returns how many seeds it needs at least, if they are more than there are."""
    claims = family.claims
    needed = seeds_needed(family.level / (claims * smallest_factor(claim, len(cells))))
    if max(cell.pairs for cell in cells) >= needed:
        return ""
    among = f"among {claims} claims it needs" if claims > 1 else "it needs"
    return f": {among} {needed} seeds at least"


def _forecast(judgement: Judgement, levels: Levels) -> Forecast | None:
    claim, cells = judgement.claim, judgement.cells
    if not judgement.seeds_could_decide:
        return None
    seeds = [np.array(cell.seeds) for cell in cells]
    if min(map(len, seeds)) < FEWEST:
        return None
    return Forecast(seeds_to_decide(claim, seeds, levels))
