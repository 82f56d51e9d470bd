"""Whether claims on runs hold: exact signed-rank tests over pairs of one seed.

A claim is tested in every *cell* it speaks of: a combination of the values of the fields that vary
(each latent size, say). In a cell each seed gives one number: the difference of the metric between
its run of the one group and its run of the other, or, of a trend, Kendall's τ between the metric
and the field over the seed's runs. Wilcoxon's signed-rank test (one-sided; exact, ties and zeros
included) then says how likely so clear a preponderance would be if there were none.

Of a trend the cells are those in which its field has several values.

A claim speaks of *every* cell, so the test that it holds is as weak as that of its weakest cell:
the largest p (an intersection-union test, which needs no correction for the number of cells). The
test that it fails asks whether some cell shows the opposite: the smallest p of the other side,
times the number of cells. Holm's step-down correction then runs over all claims of the sweep, for
each of the two questions, so the chance that any claim is wrongly said to hold (or to fail) is at
most 5 %. What neither test decides is undecided, and so is a claim whose runs are not all there.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mimsweep.dashboards.statistics.cells import paired_rows, split, varying
from mimsweep.dashboards.statistics.ranks import cliffs_delta, holm, kendall, signed_rank
from mimsweep.dashboards.statistics.seeds import summary

ALPHA = 0.05

Verdict = Literal["holds", "fails", "undecided"]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """What is claimed of a metric.

    Attributes:
        text: the sentence.
        metric: the column it is about.
        sign: 1 where the group's values are greater or rise, −1 where they are less or fall.
        group: fields and values that choose the runs; empty for a trend.
        than: likewise those they are compared with, or a number; None for a trend.
        along: the field that the metric rises or falls with; None for a comparison.
        where: conditions (field, operator, value) on all these runs.
        than_metric: the column of those they are compared with, where it isn't `metric`.
    """

    text: str
    metric: str
    sign: Literal[1, -1]
    group: Mapping[str, Any]
    than: Mapping[str, Any] | float | None = None
    along: str | None = None
    where: Sequence[tuple[str, str, Any]] = ()
    than_metric: str | None = None

    @property
    def metrics(self) -> list[str]:
        """The columns that it needs."""
        return [self.metric, *([self.than_metric] if self.than_metric else [])]


@dataclass(frozen=True)
class Cell:
    """The test of a claim in one cell.

    Attributes:
        fields: the values that make it.
        pairs: seeds that have all their runs, with finite values.
        not_finite: seeds that have all their runs, with a value that is no finite number.
        planned: seeds of the sweep.
        difference: mean over seeds of group − other, in the metric's unit; of a trend, of the last
            value along the field − the first.
        low: of the 95 % bootstrap interval of `difference`.
        high: likewise.
        delta: effect size from −1 to 1: Cliff's δ, of a trend the mean of Kendall's τ.
        p_holds: of the test that it is as claimed here, not corrected.
        p_fails: of the test that it is the other way round.
    """

    fields: dict[str, Any]
    pairs: int
    not_finite: int
    planned: int
    difference: float
    low: float
    high: float
    delta: float
    p_holds: float
    p_fails: float


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim; both p are corrected by Holm over the claims judged with it."""

    claim: Claim
    verdict: Verdict
    reason: str
    p_holds: float
    p_fails: float
    cells: tuple[Cell, ...]

    @property
    def pairs(self) -> int:
        """Pairs in all cells."""
        return sum(cell.pairs for cell in self.cells)

    @property
    def missing(self) -> int:
        """Pairs that the sweep plans and that are not there."""
        return sum(cell.planned - cell.pairs for cell in self.cells) - self.not_finite

    @property
    def not_finite(self) -> int:
        """Pairs that are there, with a value that is no finite number."""
        return sum(cell.not_finite for cell in self.cells)

    @property
    def decisive(self) -> Cell | None:
        """The cell that says most: the strongest against a claim that fails, else the weakest."""
        tested = [cell for cell in self.cells if cell.pairs]
        if self.verdict == "fails":
            return min(tested, key=lambda c: (c.p_fails, self.claim.sign * c.delta))
        return max(tested, key=lambda c: (c.p_holds, -self.claim.sign * c.delta), default=None)


def judge(claims: Sequence[Claim], planned: pd.DataFrame, runs: pd.DataFrame) -> list[Judgement]:
    """Returns the verdict on each claim.

    Args:
        claims: those of a sweep, which are corrected together.
        planned: a row per run of the sweep, complete or not: its `run_key` and spec fields.
        runs: a row per complete run: its `run_key` and metrics.
    """
    tested = [_cells(claim, planned, runs) for claim in claims]
    holds = holm([max((c.p_holds for c in cells), default=1.0) for cells in tested])
    fails = holm([min((len(cells) * c.p_fails for c in cells), default=1.0) for cells in tested])
    most = max((cell.pairs for cells in tested for cell in cells), default=0)
    needed = seeds_needed(len(claims))
    few = f"{len(claims)} claims need {needed} seeds at least" if most < needed else ""
    return [
        Judgement(
            claim, *(_unmeasured(claim, runs) or _verdict(claim, cells, p, q, few)), p, q, (*cells,)
        )
        for claim, cells, p, q in zip(claims, tested, holds, fails, strict=True)
    ]


def seeds_needed(claims: int) -> int:
    """Returns the fewest pairs with which one of so many claims can reach the level.

    The exact test of n pairs gives 2⁻ⁿ at least, and Holm takes the smallest p times all claims.
    """
    return math.ceil(math.log2(claims / ALPHA)) if claims else 0


def _unmeasured(claim: Claim, runs: pd.DataFrame) -> tuple[Verdict, str] | None:
    """Returns the verdict on a claim about a metric that no run has, as those of old stores."""
    lacking = [m for m in claim.metrics if m not in runs.columns or runs[m].isna().all()]
    if runs.empty or not lacking:
        return None
    return "undecided", f"no run has {lacking[0]}; `mimsweep measure` measures runs anew"


def _verdict(
    claim: Claim, cells: Sequence[Cell], p_holds: float, p_fails: float, few: str
) -> tuple[Verdict, str]:
    if not cells:
        what = "is what it speaks of"
        if claim.along:
            what = f"is, with another value of {claim.along}, beside one that it speaks of"
        return "undecided", f"no run of the sweep {what}"
    total = sum(cell.planned for cell in cells)
    not_finite = sum(cell.not_finite for cell in cells)
    missing = total - not_finite - sum(cell.pairs for cell in cells)
    lacking = [f"{missing} of {total} pairs are missing"] if missing else []
    if not_finite:
        what = f"{' or '.join(claim.metrics)} is no finite number"
        lacking.append(f"{what} in {not_finite} of {total} pairs")
    if lacking:
        return "undecided", ", and ".join(lacking)
    if p_holds <= ALPHA:
        return "holds", "as claimed in every cell"
    if p_fails <= ALPHA:
        return "fails", "some cell shows the opposite"
    return "undecided", f"the seeds don't decide it either way{few and f': {few}'}"


def _cells(claim: Claim, planned: pd.DataFrame, runs: pd.DataFrame) -> list[Cell]:
    known = _known(claim, claim.metric, planned, runs)
    group = _chosen(known, claim.group)
    if claim.along is not None:
        return _trends(claim, group, claim.along)
    if isinstance(claim.than, Mapping):
        if claim.than_metric:
            known = _known(claim, claim.than_metric, planned, runs)
        return _comparisons(claim, group, _chosen(known, claim.than), {*claim.group, *claim.than})
    assert claim.than is not None
    number = float(claim.than)
    cells = []
    for fields, rows in split(group, varying([group], {"seed"})):
        there = rows[rows["_there"]]
        values = there["_value"].dropna().to_numpy()
        delta, above = cliffs_delta(values, np.array([number])), values - number
        seeds = (len(rows), len(there) - len(values))
        cells.append(_cell(claim, fields, seeds, above, above, delta))
    return cells


def _known(claim: Claim, metric: str, planned: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs a claim speaks of: `_there` if complete, `_value` NaN if not finite."""
    found = dict(zip(runs["run_key"], runs[metric], strict=True)) if metric in runs.columns else {}
    known = planned.assign(_value=planned["run_key"].map(found).astype(float))
    known["_value"] = known["_value"].where(np.isfinite(known["_value"]))
    known["_there"] = known["run_key"].isin(runs["run_key"])
    for field, op, value in claim.where:
        known = known[known[field].notna() & _OPERATORS[op](known[field], value)]
    return known


def _comparisons(
    claim: Claim, group: pd.DataFrame, other: pd.DataFrame, chosen: set[str]
) -> list[Cell]:
    both, fields = paired_rows(group, other, {"seed", *chosen})
    cells = []
    for values, rows in split(both, fields):
        there = rows[rows["_there"] & rows["_there_other"]]
        paired = there.dropna(subset=["_value", "_value_other"])
        a, b = (paired[name].to_numpy() for name in ("_value", "_value_other"))
        seeds = (len(rows), len(there) - len(paired))
        cells.append(_cell(claim, values, seeds, a - b, a - b, cliffs_delta(a, b)))
    return cells


def _trends(claim: Claim, group: pd.DataFrame, along: str) -> list[Cell]:
    cells = []
    for fields, rows in split(group, varying([group], {"seed", along})):
        if rows[along].nunique() < 2:  # of one value nothing rises or falls
            continue
        taus, changes = [], []
        seeds = [seed.sort_values(along) for _, seed in rows.groupby("seed")]
        for seed in seeds:
            values = seed["_value"].to_numpy()
            if np.isfinite(values).all():
                taus.append(kendall(seed[along].to_numpy(dtype=float), values))
                changes.append(values[-1] - values[0])
        tau, change = np.array(taus), np.array(changes)
        delta = float(tau.mean()) if len(tau) else np.nan
        there = sum(bool(seed["_there"].all()) for seed in seeds)
        cells.append(_cell(claim, fields, (len(seeds), there - len(taus)), tau, change, delta))
    return cells


def _cell(
    claim: Claim,
    fields: dict[str, Any],
    seeds: tuple[int, int],
    tested: NDArray[np.float64],
    differences: NDArray[np.float64],
    delta: float,
) -> Cell:
    planned, not_finite = seeds
    _, mean, _, low, high = summary(differences)
    p_more, p_less = signed_rank(tested), signed_rank(-tested)
    p_holds, p_fails = (p_more, p_less) if claim.sign > 0 else (p_less, p_more)
    return Cell(fields, len(tested), not_finite, planned, mean, low, high, delta, p_holds, p_fails)


def _chosen(frame: pd.DataFrame, fields: Mapping[str, Any]) -> pd.DataFrame:
    for field, value in fields.items():
        frame = frame[frame[field] == value]
    return frame
