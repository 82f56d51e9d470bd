"""The cells that a claim speaks of: which fields vary among its runs, and who is compared in each.

Of frames that have a row per run: `run_key`, spec fields, `_value` and `_there`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd


def joined_rows(groups: Sequence[pd.DataFrame], but: set[str]) -> tuple[pd.DataFrame, list[str]]:
    """Returns each run of a group beside those it is compared with, and the fields of the cells.

    A field that differs between the groups but not within them follows from the group. One that a
    whole group lacks makes a cell of each value that the others have, against the same runs.

    Args:
        groups: the runs that a claim is on, and those they are compared with; the columns `_value`
            and `_there` of the i-th, from 0, end in `_i`.
        but: fields that make no cells, the seed among them.
    """
    fields = varying(groups, but)
    joined = _numbered(groups[0], fields, 0)
    for index, group in enumerate(groups[1:], start=1):
        other = _numbered(group, fields, index)
        lacked = [f for f in fields if joined[f].isna().all() or other[f].isna().all()]
        shared = [f for f in fields if f not in lacked]
        joined = joined.merge(other, on=[*shared, "seed"], suffixes=("", "_other"))
        for f in lacked:
            joined[f] = joined[f].where(joined[f].notna(), joined.pop(f"{f}_other"))
    return joined, fields


def _numbered(group: pd.DataFrame, fields: list[str], index: int) -> pd.DataFrame:
    kept = group[[*fields, "seed", "_value", "_there"]]
    return kept.rename(columns={name: f"{name}_{index}" for name in ("_value", "_there")})


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
