"""The KL of each latent dimension."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.canvas import to_svg
from mimsweep.dashboards.figures.kl import kl_profile, runs_profiled


def runs(**more: list[Any]) -> pd.DataFrame:
    grid = {"z_dim": [2, 4], "seed": [1, 2], "model": ["mim", "vae"]} | more
    frame = pd.MultiIndex.from_product(grid.values(), names=grid.keys()).to_frame(index=False)
    return frame.assign(run_id=[f"run{i}" for i in range(len(frame))])


def profiles(frame: pd.DataFrame, unused: float = 0.0) -> dict[str, list[float]]:
    """Those of MIM fall from z_dim nats, in any order; VAE's last dimension is unused."""
    found = {}
    for run in frame.to_dict("records"):
        kl = np.arange(1.0, run["z_dim"] + 1) + run["seed"] / 10
        kl[0] = kl[0] if run["model"] == "mim" else unused
        found[run["run_id"]] = np.roll(kl, run["seed"]).tolist()
    return found


def drawn(frame: pd.DataFrame, given: dict[str, list[float]]) -> Figure:
    figure = kl_profile(frame, given, "z_dim", "model", "a $ sweep")
    assert figure is not None
    return figure


def line(axes: Axes, model: str) -> list[float]:
    (only,) = [x for x in axes.lines if x.get_color() == style.MODELS[model].colour]
    assert np.array(only.get_xdata()).tolist() == list(
        range(1, len(np.array(only.get_ydata())) + 1)
    )
    return np.array(only.get_ydata()).tolist()


def test_the_dimensions_of_each_run_are_ranked_before_the_mean_over_seeds() -> None:
    frame = runs()
    small, large = drawn(frame, profiles(frame)).axes
    assert [axes.get_title() for axes in (small, large)] == ["z_dim = 2", "z_dim = 4"]
    assert line(large, "mim") == pytest.approx([4.15, 3.15, 2.15, 1.15])
    assert line(large, "vae") == pytest.approx([4.15, 3.15, 2.15, 0.0])
    assert line(small, "mim") == pytest.approx([2.15, 1.15])


@pytest.mark.parametrize(("unused", "scale"), [(0.0, "symlog"), (-1e-4, "symlog"), (0.5, "linear")])
def test_the_axis_is_logarithmic_where_some_dimension_is_unused(unused: float, scale: str) -> None:
    frame = runs()
    figure = drawn(frame, profiles(frame, unused))
    assert [axes.get_yscale() for axes in figure.axes] == [scale, scale]
    low, high = figure.axes[0].get_ylim()
    assert low < min(unused, 0)
    assert high > 4.2
    assert ("linear below" in figure.get_supxlabel()) == (scale == "symlog")
    to_svg(figure)


def test_of_many_runs_six_panels_and_three_seeds_are_drawn() -> None:
    frame = runs(z_dim=list(range(2, 22, 2)), seed=list(range(10)))
    asked = frame[frame["run_id"].isin(runs_profiled(frame, "z_dim", "model"))]
    assert sorted(asked["seed"].unique()) == [0, 1, 2]
    assert len(asked) == 6 * 3 * 2
    figure = drawn(frame, profiles(asked))
    assert len(figure.axes) == 6
    assert "mean over the first 3 seeds." in figure.get_supxlabel().replace("\n", " ")
    few = runs()
    assert sorted(runs_profiled(few, "z_dim", "model")) == sorted(few["run_id"])
    assert "mean over seeds." in drawn(few, profiles(few)).get_supxlabel().replace("\n", " ")


def test_runs_without_a_profile_are_left_out() -> None:
    frame = runs()
    assert kl_profile(frame, {}, "z_dim", "model", "a") is None
    given = profiles(frame)
    assert kl_profile(frame, {"run0": [np.nan, 1.0]}, "z_dim", "model", "a") is None
    given = {name: kl for name, kl in given.items() if name != "run0"} | {"run1": [np.inf, 0.0]}
    (small, _) = drawn(frame, given).axes
    assert line(small, "mim") == pytest.approx([2.2, 1.2])
    to_svg(drawn(frame.iloc[:1], {"run0": [0.0, 0.0]}))


def test_a_field_that_some_runs_lack_has_a_panel_too() -> None:
    two = pd.concat([runs(warmup=[3]), runs(warmup=[3]).assign(warmup=np.nan)], ignore_index=True)
    frame = two.assign(run_id=[f"run{i}" for i in range(len(two))])
    figure = drawn(frame, profiles(frame))
    assert len(figure.axes) == 4
    assert all(axes.lines for axes in figure.axes)
