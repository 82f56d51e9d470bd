"""Mutual information beside its bounds: where a bound is at its ceiling, where KSG is in doubt.

The bounds are those of Poole et al. (2019), arXiv 1905.06922; of N items the lower one is at most
log N. KSG's estimate is at most ψ(N) − ψ(k), of an N that may be another.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

BOUNDS = ("mi_lower", "mi_upper", "mi_ceiling", "mi_lower_ceiling")
"""The metrics that say how far `mi` can be trusted."""

AT_CEILING = 0.1
"""Nats below log N within which a lower bound says no more than that there is more."""

NEAR_CEILING = 1.5
"""Nats below KSG's ceiling within which its value is in doubt."""

_KEPT = ["mi", *BOUNDS]


def stored(frame: pd.DataFrame) -> list[str]:
    """Returns the `BOUNDS` that some of the runs have; those of old stores have none."""
    return [name for name in BOUNDS if name in frame and frame[name].notna().any()]


def with_bounds(frame: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """Returns the metrics of a table: after `mi` both bounds, as far as they are stored."""
    both = [name for name in stored(frame) if not name.endswith("ceiling")]
    pairs = [[name, *both] if name == "mi" else [name] for name in metrics]
    return list(dict.fromkeys(itertools.chain.from_iterable(pairs)))


def saturated(lower: ArrayLike, log_n: ArrayLike) -> NDArray[np.bool_]:
    """Returns whether a lower bound is so near log N that it can't tell; False where one lacks."""
    return np.asarray(np.asarray(lower, dtype=float) > np.asarray(log_n, dtype=float) - AT_CEILING)


def doubtful(mi: ArrayLike, lower: ArrayLike, ceiling: ArrayLike) -> NDArray[np.bool_]:
    """Returns whether KSG's value is near its ceiling or below the lower bound; in nats, all."""
    value, bound, most = (np.asarray(given, dtype=float) for given in (mi, lower, ceiling))
    return np.asarray((value > most - NEAR_CEILING) | (value < bound))


def beside(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the means of `mi` beside those of the bounds.

    Args:
        table: from `seeds.aggregate`, of `mi` and of what is `stored`.

    Returns:
        The rows of `mi` as they are, and `lower`, `upper`, `log_n`, the means in nats, NaN where
        nothing is stored; `saturated` and `doubtful`, as the functions say.
    """
    means = table.pivot(index=_group(table), columns="metric", values="mean")
    means = means.reindex(columns=_KEPT).add_prefix("_").reset_index()
    both = table[table["metric"] == "mi"].merge(means, how="left", on=_group(table))
    mi, lower, upper, ceiling, log_n = (both[f"_{name}"].to_numpy(dtype=float) for name in _KEPT)
    return both.drop(columns=[f"_{name}" for name in _KEPT]).assign(
        lower=lower,
        upper=upper,
        log_n=log_n,
        saturated=saturated(lower, log_n),
        doubtful=doubtful(mi, lower, ceiling),
    )


def _group(table: pd.DataFrame) -> list[Any]:
    """Returns the columns of an aggregated table that tell its groups apart."""
    return list(table.columns[: list(table.columns).index("metric")])
