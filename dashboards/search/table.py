"""Trials of a search as tables: by seed, by point of the space, the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mimsweep.dashboards.statistics.seeds import summary


@dataclass(frozen=True)
class Objective:
    """A metric that was searched for, and whether more of it is better."""

    metric: str
    maximize: bool


def by_seed(trials: pd.DataFrame, objective: Objective, fields: Sequence[str]) -> pd.DataFrame:
    """Returns a row per trial and seed: `number`, the fields, `seed`, `value`."""
    rows: list[dict[str, Any]] = [
        {**{name: row[name] for name in ("number", *fields)}, "seed": int(seed), "value": value}
        for row in trials.to_dict("records")
        for seed, value in row[f"{objective.metric}_by_seed"].items()
    ]
    return pd.DataFrame(rows, columns=["number", *fields, "seed", "value"])


def points(trials: pd.DataFrame, objective: Objective, fields: Sequence[str]) -> pd.DataFrame:
    """Returns a row per point of the space that has values of seeds, in order of the fields.

    Trials at one point have the same runs: they are one row.

    Returns:
        The fields, `n`, `mean`, `low` and `high` over seeds, as `statistics.aggregate` has them,
        `complete`, false for a trial that was pruned after some seeds, and `best`, true for the
        trial with the best value (the first, if several have it).
    """
    by_state = trials.sort_values("state", kind="stable").drop_duplicates(list(fields))
    rows = []
    for trial in by_state.to_dict("records"):
        values = np.array(list(trial[f"{objective.metric}_by_seed"].values()), dtype=float)
        if not len(values):
            continue
        n, mean, _, low, high = summary(values)
        head = {field: trial[field] for field in fields}
        head["complete"] = trial["state"] == "complete"
        value = trial[objective.metric] * (-1 if objective.maximize else 1)
        rows.append({**head, "n": n, "mean": mean, "low": low, "high": high, "_value": value})
    table = pd.DataFrame(rows, columns=[*fields, "complete", "n", "mean", "low", "high", "_value"])
    table["best"] = table.index == table["_value"].idxmin()
    return table.drop(columns="_value").sort_values(list(fields), ignore_index=True)


def front(trials: pd.DataFrame, objectives: Sequence[Objective]) -> NDArray[np.bool_]:
    """Returns which trials are complete, and no other is better in one objective, worse in none."""
    signs = [-1.0 if objective.maximize else 1.0 for objective in objectives]
    values = trials[[objective.metric for objective in objectives]].to_numpy(dtype=float) * signs
    known = np.isfinite(values).all(axis=1)
    no_worse = (values[:, None] <= values[None, :]).all(axis=2)
    better = (values[:, None] < values[None, :]).any(axis=2)
    return np.asarray(known & ~(no_worse & better).any(axis=0))
