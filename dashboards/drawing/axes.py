"""Values of a field: their kind, order and looks, and the ticks and scale that suit them."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator

from mimsweep.dashboards.drawing import style


def is_number(column: "pd.Series[Any]") -> bool:
    """Returns whether the values are numbers; true and false are none."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def distinct(column: "pd.Series[Any]") -> list[Any]:
    """Returns the different values in order."""
    return sorted(column.unique().tolist(), key=lambda value: (type(value).__name__, value))


def looks_in(runs: pd.DataFrame, hue: str) -> dict[Any, style.Look]:
    """Returns the look of each value of the hue field; models are called after their `inv_h`."""
    looks = style.looks(hue, distinct(runs[hue]))
    if hue != "model" or "inv_h" not in runs or not runs["inv_h"].all():
        return looks
    return {v: replace(look, label=style.INV_H.get(v, look.label)) for v, look in looks.items()}


def spans_decades(values: Iterable[float]) -> bool:
    """Returns whether all values are positive and they span more than two decades."""
    column = pd.Series(values, dtype=float)
    return bool(column.min() > 0 and column.max() > 100 * column.min())


def set_ticks(axes: Axes, values: list[Any], numeric: bool) -> None:
    """Sets scale, limits and ticks of the horizontal axis.

    Args:
        axes: where.
        values: the different values, in order.
        numeric: whether they are numbers; else the i-th is a category drawn at i.
    """
    if numeric:
        _set_numeric_ticks(axes, values)
    else:
        _set_category_ticks(axes, values)


def _set_category_ticks(axes: Axes, values: list[Any]) -> None:
    names = [style.value(value) for value in values]
    axes.set_xticks(range(len(values)), names)
    axes.set_xlim(-0.5, len(values) - 0.5)
    if max(map(len, names)) * len(names) > 36:
        for label in axes.get_xticklabels():
            label.set(rotation=30, ha="right", rotation_mode="anchor")


def _set_numeric_ticks(axes: Axes, values: list[float]) -> None:
    if spans_decades(values):
        axes.set_xscale("log")
        axes.set_xlim(values[0] / 1.5, values[-1] * 1.5)
        return
    width = values[-1] - values[0] or 1.0
    axes.set_xlim(values[0] - 0.05 * width, values[-1] + 0.05 * width)
    if all(b - a >= width / 12 for a, b in itertools.pairwise(values)):
        axes.xaxis.set_major_locator(FixedLocator(values))
    else:
        whole = all(float(value).is_integer() for value in values)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=whole))
