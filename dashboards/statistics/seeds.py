"""Means over seeds with their uncertainty, from a tidy frame of complete runs."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap

from mimsweep.dashboards.drawing import style

CONFIDENCE = 0.95
_RESAMPLES = 9999
_BOOKKEEPING = {"run_key", "run_id", "run_name", "status", "content"}  # which follow from others


def spec_fields(frame: pd.DataFrame) -> list[str]:
    """Returns the columns of `frame` that say what was run, seed included, in their order."""
    return [
        column
        for column in frame.columns
        if column not in style.METRICS and column not in _BOOKKEEPING
    ]


def facets(frame: pd.DataFrame, x: str, hue: str) -> list[str]:
    """Returns the fields besides the seed that vary among runs of equal `x` and `hue`.

    A mean over them would mix different questions, so they are kept apart. A field that follows
    from `x` and `hue`, such as a warm-up that differs by model only, is none of them.
    """
    groups = frame.groupby([x, hue], dropna=False)
    return [
        field
        for field in spec_fields(frame)
        if field not in (x, hue, "seed") and groups[field].nunique(dropna=False).max() > 1
    ]


def aggregate(frame: pd.DataFrame, x: str, hue: str, metrics: Sequence[str]) -> pd.DataFrame:
    """Returns mean and uncertainty over seeds of each metric at each `x` and `hue`.

    Runs that have no value of `x` or `hue`, a field that not all runs have, are left out.

    The order of the rows of `frame` makes no difference, and a group's numbers don't depend on
    the other groups.

    Args:
        frame: a row per complete run.
        x: the spec field of the horizontal axis.
        hue: the spec field that tells curves apart.
        metrics: columns to aggregate.

    Returns:
        A row per metric and group: the `facets`, `x`, `hue`, `metric`, then `n` (runs with a
        finite value; the others are left out), `mean`, `std` (n − 1 degrees of freedom), `low`
        and `high` (95 % percentile bootstrap interval of the mean), all in the metric's unit.
        What n can't support is NaN: all of them at 0, the spread and the interval at 1.

    Raises:
        ValueError: there is nothing to aggregate, a column or all values of `x` or `hue` are
            missing, or `x` and `hue` are the same.
    """
    _check(frame, x, hue, metrics)
    frame = frame.dropna(subset=[x, hue])
    groups = [*facets(frame, x, hue), x, hue]
    rows: list[list[Any]] = []
    for metric in metrics:
        for group, values in frame.groupby(groups, dropna=False)[metric]:
            rows.append([*group, metric, *summary(values.to_numpy(dtype=float))])
    return pd.DataFrame(rows, columns=[*groups, "metric", "n", "mean", "std", "low", "high"])


def _check(frame: pd.DataFrame, x: str, hue: str, metrics: Sequence[str]) -> None:
    if frame.empty:
        raise ValueError("there are no complete runs to aggregate")
    if not metrics:
        raise ValueError("there is no metric to aggregate")
    if x == hue:
        raise ValueError(f"x and hue are both {x!r}; choose two fields")
    missing = [column for column in (x, hue, *metrics) if column not in frame.columns]
    if missing:
        raise ValueError(f"the runs have no {', '.join(map(repr, missing))}")
    for field in (x, hue):
        if frame[field].isna().all():
            raise ValueError(f"the runs have no value of {field!r}")
    if frame[[x, hue]].isna().any(axis=1).all():
        raise ValueError(f"no run has a value of both {x!r} and {hue!r}")


def summary(values: NDArray[np.float64]) -> tuple[int, float, float, float, float]:
    """Returns n, mean, standard deviation and 95 % interval of the finite ones of `values`."""
    # Sorted, because neither a sum of floats nor a draw by index forgets the order.
    values = np.sort(values[np.isfinite(values)])
    n = len(values)
    if n == 0:
        return 0, np.nan, np.nan, np.nan, np.nan
    if n == 1:
        return 1, float(values[0]), np.nan, np.nan, np.nan
    if values[0] == values[-1]:
        same = float(values[0])
        return n, same, 0.0, same, same
    mean = float(values.mean())
    low, high = _bootstrap(tuple(values.tolist()))
    # Rounding alone can put the mean of nearly equal values outside.
    return n, mean, float(values.std(ddof=1)), min(low, mean), max(high, mean)


@functools.lru_cache(maxsize=100_000)  # a report asks for the same groups several times
def _bootstrap(values: tuple[float, ...]) -> tuple[float, float]:
    # The percentile method, because BCa is undefined where leaving out a seed changes nothing.
    interval = bootstrap(
        (values,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)
