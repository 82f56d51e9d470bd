"""A table of means over seeds, before it has a form: rows by columns, a block per metric."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.statistics.best import Mark, marks
from mimsweep.dashboards.statistics.bounds import saturated
from mimsweep.dashboards.statistics.seeds import spec_fields, summary


@dataclass(frozen=True)
class Cell:
    """A mean over seeds, in the metric's unit.

    Attributes:
        n: runs with a finite value.
        mean: NaN if there is none.
        std: of the runs, with n − 1 degrees of freedom; NaN of one.
        low: of the 95 % bootstrap interval of the mean; NaN of one.
        high: likewise.
        mark: whether it is the best of its column, or not told from that.
        least: whether it is a lower bound at its ceiling, which can show no more.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float
    mark: Mark
    least: bool = False

    @property
    def half(self) -> float:
        """Half of the interval's width, what stands behind ±."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Block:
    """The cells of a metric: of each row, one of each column, None where nothing was run."""

    metric: str
    cells: Sequence[Sequence[Cell | None]]


@dataclass(frozen=True)
class Table:
    """Means over seeds.

    Attributes:
        name: of the sweep.
        corner: what the rows and columns are of, where their names don't say it.
        rows: what the rows are called.
        columns: likewise.
        blocks: one for each metric, all of the same rows and columns.
        seeds: most runs in a cell.
    """

    name: str
    corner: str
    rows: Sequence[str]
    columns: Sequence[str]
    blocks: Sequence[Block]

    @property
    def seeds(self) -> int:
        """Most runs behind a cell."""
        return max((c.n for b in self.blocks for row in b.cells for c in row if c), default=0)


def layout(
    name: str,
    runs: pd.DataFrame,
    rows: pd.Series,
    columns: pd.Series,
    metrics: Sequence[str],
    corner: str,
) -> Table:
    """Returns the table of runs.

    Args:
        name: of the sweep.
        runs: a row per complete run.
        rows: of each run, what its row is called.
        columns: likewise its column.
        metrics: one for each block.
        corner: what the rows and columns are of, where their names don't say it.
    """
    row_names, column_names = [*dict.fromkeys(rows)], [*dict.fromkeys(columns)]
    blocks = []
    for metric in metrics:
        filled = [_column(runs[columns == each], rows, metric) for each in column_names]
        cells = [[column.get(row) for column in filled] for row in row_names]
        blocks.append(Block(metric, cells))
    return Table(name, corner, row_names, column_names, blocks)


def _column(runs: pd.DataFrame, rows: pd.Series, metric: str) -> dict[Any, Cell]:
    """Returns the cells of a column by row; those without a value of the metric are not there."""
    of_rows = dict(iter(runs.groupby(rows.loc[runs.index], sort=False)))
    groups = {r: group.set_index("seed")[metric].astype(float) for r, group in of_rows.items()}
    found = marks(groups, style.metric(metric).better)
    least = {row for row, group in of_rows.items() if _at_ceiling(metric, group)}
    if any(found[row] == "best" for row in least):  # what is above the ceiling nobody knows
        found |= {row: "same" for row in least if not found[row]}
    cells = {}
    for row, group in groups.items():
        values: NDArray[np.float64] = np.asarray(group, dtype=np.float64)
        cells[row] = Cell(*summary(values), mark=found[row], least=row in least)
    return {row: cell for row, cell in cells.items() if cell.n}


def _at_ceiling(metric: str, runs: pd.DataFrame) -> bool:
    """Returns whether the mean of a lower bound of MI can't be told from log N."""
    if metric != "mi_lower" or "mi_lower_ceiling" not in runs:
        return False
    return bool(saturated(*runs[[metric, "mi_lower_ceiling"]].astype(float).mean()))


def mixed(runs: pd.DataFrame, fields: Sequence[str]) -> list[str]:
    """Returns the fields besides `fields` and the seed that vary within a cell of the table.

    A mean over them would mix different questions. A field that follows from the others, such as
    a warm-up that differs by model only, is none of them.
    """
    groups = runs.groupby(list(fields), dropna=False)
    others = [each for each in spec_fields(runs) if each not in (*fields, "seed", style.METHOD)]
    return [each for each in others if groups[each].nunique(dropna=False).max() > 1]


def tidy(table: Table) -> pd.DataFrame:
    """Returns a row per cell: `metric`, `row`, `column`, and what a `Cell` has.

    Numbers are whole, in the metric's unit.
    """
    found = [
        {"metric": block.metric, "row": row, "column": column, **vars(cell)}
        for block in table.blocks
        for row, cells in zip(table.rows, block.cells, strict=True)
        for column, cell in zip(table.columns, cells, strict=True)
        if cell
    ]
    columns = ["metric", "row", "column", "n", "mean", "std", "low", "high", "mark", "least"]
    return pd.DataFrame(found, columns=columns)


def number(cell: Cell) -> tuple[str, str]:
    """Returns mean and half of the interval as texts, to two digits of the latter.

    A mean without an interval, or one of no width, has four digits, and no second text. Of what is
    very small both have an exponent, as in 1.234e-08.
    """
    if not cell.half > 0 or not np.isfinite(cell.half):
        return f"{cell.mean:.4g}", ""
    exponent = _exponent(cell.half)
    digits = max(1 - exponent, 0)
    if digits > 6:
        more = max(_exponent(cell.mean) - exponent, 0)
        return f"{cell.mean:.{1 + more}e}", f"{cell.half:.1e}"
    return f"{cell.mean:.{digits}f}", f"{cell.half:.{digits}f}"


def _exponent(value: float) -> int:
    """Returns the power of ten of a number's first digit, once it is rounded to two."""
    return int(f"{value:.1e}".partition("e")[2])
