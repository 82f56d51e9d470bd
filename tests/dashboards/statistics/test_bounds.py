import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import digamma

from mimsweep.dashboards.statistics.bounds import (
    beside,
    doubtful,
    saturated,
    stored,
)
from mimsweep.dashboards.statistics.seeds import aggregate
from mimsweep.models.densities.normal import Normal
from mimsweep.models.measures.bounds import information
from mimsweep.models.measures.ksg import ksg_ceiling, ksg_mutual_information

CEILING = float(digamma(9984) - digamma(5))


def test_a_lower_bound_is_saturated_within_a_tenth_of_log_n() -> None:
    log_n = np.log(9984)
    lower = [log_n, log_n - 0.09, log_n - 0.11, np.nan]
    assert saturated(lower, log_n).tolist() == [True, True, False, False]
    assert saturated(log_n, np.nan).tolist() is False


def test_ksg_is_in_doubt_near_its_ceiling_and_below_the_lower_bound() -> None:
    mi = [CEILING - 1.4, CEILING - 1.6, 1.9, 0.9, np.nan, 0.9, CEILING]
    lower = [0.0, 0.0, 9.2, 0.8, 0.8, np.nan, np.nan]
    expected = [True, False, True, False, False, False, True]
    assert doubtful(mi, lower, CEILING).tolist() == expected
    assert not doubtful(CEILING, np.nan, np.nan)


def frame() -> pd.DataFrame:
    rows = [
        (model, z_dim, seed, mi + seed / 100, lower, CEILING)
        for model, z_dim, mi, lower in (
            ("mim", 2, 2.7, 2.5), ("mim", 20, 1.7, 9.2),
            ("vae", 2, 0.8, 0.7), ("vae", 20, 0.9, 1.1),
        )
        for seed in range(3)
    ]  # fmt: skip
    made = pd.DataFrame(rows, columns=["model", "z_dim", "seed", "mi", "mi_lower", "mi_ceiling"])
    made = made.assign(mi_lower_ceiling=np.log(9984))
    return made.assign(mi_upper=made["mi_lower"] + 0.5)


def test_means_stand_beside_their_bounds() -> None:
    metrics = ["nll", "mi", "mi_lower", "mi_upper", "mi_ceiling", "mi_lower_ceiling"]
    table = aggregate(frame().assign(nll=1.0), "z_dim", "model", metrics)
    rows = beside(table).set_index(["model", "z_dim"])
    assert len(rows) == 4
    assert set(rows["metric"]) == {"mi"}
    assert rows.loc[("vae", 20), "mean"] == pytest.approx(0.91)
    assert rows.loc[("vae", 20), "lower"] == pytest.approx(1.1)
    assert rows.loc[("vae", 20), "upper"] == pytest.approx(1.6)
    assert np.exp(rows["log_n"].to_numpy()) == pytest.approx(9984, abs=0.01)
    assert rows.index[rows["saturated"]].tolist() == [("mim", 20)]
    assert set(rows.index[rows["doubtful"]]) == {("mim", 20), ("vae", 20)}


def test_panels_are_kept_apart_and_what_is_not_stored_is_empty() -> None:
    two = pd.concat([frame().assign(warmup=3), frame().assign(mi_lower=np.nan)])
    assert stored(two) == ["mi_lower", "mi_upper", "mi_ceiling", "mi_lower_ceiling"]
    rows = beside(aggregate(two, "z_dim", "model", ["mi", *stored(two)]))
    assert list(rows.columns[:3]) == ["warmup", "z_dim", "model"]
    assert (
        rows["lower"].notna().tolist()
        == rows["warmup"].notna().tolist()
        == [True] * 4 + [False] * 4
    )
    assert rows["doubtful"].sum() == 2


def test_runs_of_old_stores_have_none() -> None:
    old = frame()[["model", "z_dim", "seed", "mi"]]
    assert stored(old) == []
    assert stored(old.assign(mi_lower=np.nan)) == []
    rows = beside(aggregate(old, "z_dim", "model", ["mi"]))
    assert rows[["lower", "upper", "log_n"]].isna().all().all()
    assert not rows[["saturated", "doubtful"]].any().any()


@pytest.mark.parametrize(
    "count", [1000, pytest.param(10_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
@pytest.mark.parametrize("beyond", [-1.0, 0.0, 3.0])
@pytest.mark.parametrize("dims", [1, 2, 5, 20])
def test_ksg_is_in_doubt_wherever_there_is_more_than_it_can_tell(
    dims: int, beyond: float, count: int
) -> None:
    """Gaussian channels of log N − 1 nats and more, whose truth neither measure reaches."""
    truth = np.log(count) + beyond
    scale = 1 / np.sqrt(np.expm1(2 * truth / dims))
    rng = np.random.default_rng(1)
    x, noise = rng.normal(size=(2, count, dims))
    z = x + scale * noise
    measured = information(Normal(torch.from_numpy(x)[None], scale), torch.from_numpy(noise)[None])
    mi = ksg_mutual_information(x, z)
    assert measured["mi_lower"] <= truth <= measured["mi_upper"]
    assert doubtful(mi, measured["mi_lower"], ksg_ceiling(count))
