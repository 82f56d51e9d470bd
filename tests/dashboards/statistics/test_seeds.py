import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimsweep.dashboards.statistics.seeds import aggregate, facets, spec_fields

finite = st.floats(-1e6, 1e6, allow_subnormal=False)


def runs(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"run_key": "k", "status": "FINISHED", "z_dim": 2, "model": "mim"} | columns
    )
    return frame.assign(seed=range(1, len(frame) + 1))


def one(values: list[float]) -> pd.Series:
    table = aggregate(runs(mi=values), "z_dim", "model", ["mi"])
    assert len(table) == 1
    return table.iloc[0]


def test_known_mean_and_deviation() -> None:
    row = one([1.0, 2.0, 3.0, 4.0])
    assert (row["n"], row["mean"]) == (4, 2.5)
    assert row["std"] == pytest.approx(np.sqrt(5 / 3))


def test_interval_of_many_seeds_is_near_the_normal_one() -> None:
    values = np.random.default_rng(3).normal(size=400)
    row = one(list(values))
    half = 1.96 * values.std(ddof=1) / 20
    assert row["low"] == pytest.approx(values.mean() - half, abs=0.01)
    assert row["high"] == pytest.approx(values.mean() + half, abs=0.01)


def test_one_seed_has_no_interval() -> None:
    row = one([1.5])
    assert (row["n"], row["mean"]) == (1, 1.5)
    assert row[["std", "low", "high"]].isna().all()


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7])
def test_equal_seeds_have_an_interval_of_no_width(value: float) -> None:
    row = one([value] * 3)
    assert list(row[["mean", "std", "low", "high"]]) == [value, 0.0, value, value]


def test_what_is_not_finite_is_left_out_and_counted_so() -> None:
    row = one([1.0, np.nan, 3.0, np.inf])
    assert (row["n"], row["mean"]) == (2, 2.0)
    empty = one([np.nan, np.nan])
    assert empty["n"] == 0
    assert np.isnan(empty["mean"])


@settings(max_examples=20, deadline=None)
@given(st.lists(finite, min_size=2, max_size=12))
def test_interval_holds_the_mean_and_lies_among_the_values(values: list[float]) -> None:
    row = one(values)
    slack = 1e-9 * max(map(abs, values))
    assert row["low"] <= row["mean"] <= row["high"]
    assert min(values) - slack <= row["low"]
    assert row["high"] <= max(values) + slack


@settings(max_examples=15, deadline=None)
@given(st.lists(finite, min_size=6, max_size=12), st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing(values: list[float], random: object) -> None:
    models = ["mim" if i % 2 else "vae" for i in range(len(values))]
    frame = runs(mi=values, model=models, z_dim=[2 + i % 3 for i in range(len(values))])
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    tables = [aggregate(f, "z_dim", "model", ["mi"]) for f in (frame, frame.iloc[order])]
    assert tables[0].to_csv() == tables[1].to_csv()


def test_a_group_does_not_depend_on_the_others() -> None:
    values = np.random.default_rng(0).normal(size=10)
    frame = runs(mi=values, z_dim=[2, 4] * 5)
    both = aggregate(frame, "z_dim", "model", ["mi"])
    alone = aggregate(frame[frame["z_dim"] == 4], "z_dim", "model", ["mi"])
    pd.testing.assert_frame_equal(both[both["z_dim"] == 4].reset_index(drop=True), alone)


def test_a_second_varying_field_is_kept_apart() -> None:
    frame = runs(mi=[1.0, 2.0, 5.0, 7.0], warmup=[3, 3, 25, 25])
    assert facets(frame, "z_dim", "model") == ["warmup"]
    table = aggregate(frame, "z_dim", "model", ["mi"])
    assert list(table.columns[:4]) == ["warmup", "z_dim", "model", "metric"]
    assert list(table["mean"]) == [1.5, 6.0]


def test_a_field_that_follows_from_the_hue_is_no_facet() -> None:
    frame = runs(mi=[1.0, 2.0], model=["mim", "vae"], warmup=[3, 25])
    assert facets(frame, "z_dim", "model") == []


def test_what_is_no_metric_of_ours_is_a_field() -> None:
    frame = runs(mi=[1.0], lr=[1e-3], elbo=[2.0], alpha=[0.5], pixel_layers=[8])
    assert spec_fields(frame) == ["z_dim", "model", "lr", "alpha", "pixel_layers", "seed"]


@pytest.mark.parametrize(
    ("frame", "x", "metrics", "message"),
    [
        (runs(mi=[1.0]).iloc[:0], "z_dim", ["mi"], "no complete runs"),
        (runs(mi=[1.0]), "z_dimm", ["mi"], "no 'z_dimm'"),
        (runs(mi=[1.0]), "z_dim", ["nll"], "no 'nll'"),
        (runs(mi=[1.0]), "z_dim", [], "no metric"),
        (runs(mi=[1.0]), "model", ["mi"], "both 'model'"),
        (runs(mi=[1.0], z_dim=[None]), "z_dim", ["mi"], "no value of 'z_dim'"),
    ],
)
def test_refusals(frame: pd.DataFrame, x: str, metrics: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aggregate(frame, x, "model", metrics)
