"""From a table of runs to the cells of a claim, and the test in each of them."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mimsweep.dashboards.statistics.claims.cells import joined_rows, split, varying
from mimsweep.dashboards.statistics.claims.claim import Cell, Claim
from mimsweep.dashboards.statistics.claims.forms import in_cell
from mimsweep.dashboards.statistics.ranks import cliffs_delta, kendall
from mimsweep.dashboards.statistics.seeds import summary

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def cells_of(claim: Claim, planned: pd.DataFrame, runs: pd.DataFrame) -> list[Cell]:
    """Returns the cells that a claim speaks of, tested.

    Args:
        claim: of any form.
        planned: as of `verdicts.judge`.
        runs: likewise.
    """
    known = _known(claim, claim.metric, planned, runs)
    group = _chosen(known, claim.group)
    if claim.along is not None:
        return _trends(claim, group, claim.along)
    if claim.ranks:
        return _rankings(claim, [_chosen(known, {claim.over: value}) for value in claim.ranks])
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
    known = planned.sort_values("seed")  # so that no draw among seeds depends on the order of runs
    known = known.assign(_value=known["run_key"].map(found).astype(float))
    known["_value"] = known["_value"].where(np.isfinite(known["_value"]))
    known["_there"] = known["run_key"].isin(runs["run_key"])
    for field, op, value in claim.where:
        held = known[field]
        if op not in ("=", "!="):  # of parts of the user's that share a name, one may be text
            held = pd.to_numeric(held, errors="coerce")
        known = known[held.notna() & _OPERATORS[op](held, value)]
    return known


def _comparisons(
    claim: Claim, group: pd.DataFrame, other: pd.DataFrame, chosen: set[str]
) -> list[Cell]:
    cells = []
    for fields, planned, not_finite, values in _compared([group, other], chosen):
        a, b = values.T
        cells.append(_cell(claim, fields, (planned, not_finite), a - b, a - b, cliffs_delta(a, b)))
    return cells


def _rankings(claim: Claim, groups: list[pd.DataFrame]) -> list[Cell]:
    cells, order = [], -np.arange(float(len(groups)))
    for fields, planned, not_finite, values in _compared(groups, {claim.over}):
        spans = values[:, 0] - values[:, -1]
        tau = np.mean([kendall(order, seed) for seed in values]) if len(values) else np.nan
        cells.append(_cell(claim, fields, (planned, not_finite), values, spans, float(tau)))
    return cells


def _compared(
    groups: Sequence[pd.DataFrame], chosen: set[str]
) -> Iterator[tuple[dict[str, Any], int, int, NDArray[np.float64]]]:
    """Yields each cell, its seeds, those with a value that isn't finite, and the values, (N, k)."""
    joined, fields = joined_rows(groups, {"seed", *chosen})
    numbers = range(len(groups))
    for cell, rows in split(joined, fields):
        there = rows[rows[[f"_there_{i}" for i in numbers]].all(axis=1)]
        values = there[[f"_value_{i}" for i in numbers]].dropna().to_numpy()
        yield cell, len(rows), len(there) - len(values), values


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
    holds, fails = in_cell(claim, tested)
    given = tuple(map(tuple, tested.tolist())) if claim.ranks else tuple(tested.tolist())
    return Cell(fields, given, not_finite, planned, mean, low, high, delta, holds, fails)


def _chosen(frame: pd.DataFrame, fields: Mapping[str, Any]) -> pd.DataFrame:
    for field, value in fields.items():
        frame = frame[frame[field] == value]
    return frame
