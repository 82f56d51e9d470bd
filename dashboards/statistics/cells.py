"""The cells that a claim speaks of: which fields vary among its runs, and who is compared in each.

Of frames that have a row per run: `run_key`, spec fields, `_value` and `_there`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd


def paired_rows(
    group: pd.DataFrame, other: pd.DataFrame, but: set[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Returns each run of a group beside the one it is compared with, and the fields of the cells.

    A field that differs between the groups but not within them follows from the group. One that a
    whole group lacks makes a cell of each value that the other has, against the same runs.

    Args:
        group: the runs that a claim is on.
        other: those they are compared with, whose columns end in `_other`.
        but: fields that make no cells, the seed among them.
    """
    fields = varying([group, other], but)
    lacked = [f for f in fields if group[f].isna().all() or other[f].isna().all()]
    shared = [f for f in fields if f not in lacked]
    both = group.merge(other, on=[*shared, "seed"], suffixes=("", "_other"))
    for f in lacked:
        both[f] = both[f].where(both[f].notna(), both[f"{f}_other"])
    return both, fields


def varying(groups: Sequence[pd.DataFrame], but: set[str]) -> list[str]:
    """Returns the fields that vary within one of the groups."""
    fields = [
        name for name in groups[0].columns if name not in {"run_key", "_value", "_there", *but}
    ]
    return [f for f in fields if any(group[f].nunique(dropna=False) > 1 for group in groups)]


def split(
    frame: pd.DataFrame, fields: Sequence[str]
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yields each combination of values of `fields`, and its rows."""
    if frame.empty:
        return
    if not fields:
        yield {}, frame
        return
    for values, rows in frame.groupby(list(fields), dropna=False):
        plain = [v.item() if isinstance(v, np.generic) else v for v in values]
        yield dict(zip(fields, plain, strict=True)), rows
