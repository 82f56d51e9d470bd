"""Runs of MIM and VAE with known values, and claims on them that are judged."""

from typing import Any

import pandas as pd

from mimsweep.dashboards.statistics.claims.claim import Claim, Judgement
from mimsweep.dashboards.statistics.verdicts import judge

SEEDS = range(1, 11)


def planned(**fixed: Any) -> pd.DataFrame:
    rows = [
        {"run_key": f"{model}-{z}-{seed}", "model": model, "z_dim": z, "seed": seed, **fixed}
        for model in ("mim", "vae")
        for z in (2, 4, 8)
        for seed in SEEDS
    ]
    return pd.DataFrame(rows)


def complete(**metric: Any) -> pd.DataFrame:
    """A run's metric is a function of (model, z_dim, seed)."""
    plan = planned()
    rows = zip(plan["model"], plan["z_dim"], plan["seed"], strict=True)
    ((name, function),) = metric.items()
    return plan[["run_key"]].assign(**{name: [float(function(*row)) for row in rows]})


def compare(sign: Any = 1, **more: Any) -> Claim:
    given: dict[str, Any] = {"text": "c", "metric": "mi", "group": {"model": "mim"}}
    return Claim(sign=sign, **(given | {"than": {"model": "vae"}} | more))


def one(claim: Claim, runs: pd.DataFrame) -> Judgement:
    (judgement,) = judge([claim], planned(), runs)
    return judgement


TRUE = complete(mi=lambda model, z, seed: (model == "mim") + 0.01 * seed * z)
