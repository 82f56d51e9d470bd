"""The plane of rate and distortion."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.canvas import to_svg
from mimsweep.dashboards.figures.plane import rate_distortion

SIZES: dict[str, list[Any]] = {"z_dim": [2, 8, 20], "seed": [1, 2, 3], "model": ["mim", "vae"]}


def runs(**more: list[Any]) -> pd.DataFrame:
    grid = SIZES | more
    frame = pd.MultiIndex.from_product(grid.values(), names=grid.keys()).to_frame(index=False)
    mim, seed = (frame["model"] == "mim"), frame["seed"] / 10
    rate = np.where(mim, 2.0 * frame["z_dim"], 1.0) + seed
    return frame.assign(rate=rate, distortion=np.where(mim, 15 - frame["z_dim"], 30.0) - seed)


def drawn(frame: pd.DataFrame, x: str = "z_dim") -> Figure:
    figure = rate_distortion(frame, x, "model", "a $ plane")
    assert figure is not None
    return figure


def points(axes: Axes, kind: str, model: str = "mim") -> list[list[float]]:
    colour = style.MODELS[model].colour
    chosen = [x for x in axes.lines if x.get_gid() == kind and x.get_color() == colour]
    return [point for line in chosen for point in np.array(line.get_xydata()).tolist()]


def test_every_run_and_every_mean_are_drawn_and_means_joined_in_order_of_x() -> None:
    (axes,) = drawn(runs().sample(frac=1, random_state=0)).axes
    assert len(points(axes, "runs")) == len(points(axes, "runs", "vae")) == 9
    means = [[4.2, 12.8], [16.2, 6.8], [40.2, -5.2]]
    assert np.array(points(axes, "mean")) == pytest.approx(np.array(means))
    assert np.array(points(axes, "joined")) == pytest.approx(np.array(means))
    assert {text.get_text() for text in axes.texts} >= {"z_dim = 2", "z_dim = 20"}


def test_along_a_grey_line_rate_and_distortion_have_one_sum_which_is_its_number() -> None:
    (axes,) = drawn(runs()).axes
    sums = set()
    for line in axes.lines:
        if line.get_gid() == "elbo":
            first, last = np.array(line.get_xydata()).sum(axis=1)
            assert first == pytest.approx(last)
            sums.add(round(first, 6))
    assert len(sums) >= 3
    named = [text for text in axes.texts if text.get_text().startswith("ELBO")]
    assert named
    for text in named:
        number = float(text.get_text().removeprefix("ELBO ").replace("\N{MINUS SIGN}", "-"))
        assert -number in sums
        assert sum(text.get_position()) == pytest.approx(-number)


def test_a_group_off_by_magnitudes_is_beyond_the_axes_and_told() -> None:
    frame = runs()
    frame.loc[(frame["rate"] > 40) & (frame["seed"] == 1), "rate"] = 1e7
    figure = drawn(frame)
    (axes,) = figure.axes
    assert axes.get_xlim()[1] < 60
    assert len(points(axes, "mean")) == len(points(axes, "joined")) == 2
    assert "Beyond the axes: 1 of 6 means." in figure.get_supxlabel().replace("\n", " ")
    assert "Beyond" not in drawn(runs()).get_supxlabel()
    to_svg(figure)


def test_categories_are_not_joined_and_one_label_names_all_at_a_place() -> None:
    (axes,) = drawn(runs(act=["relu", "tanh"], z_dim=[8]), "act").axes
    assert points(axes, "joined") == []
    assert [t.get_text() for t in axes.texts if "ELBO" not in t.get_text()] == ["relu, tanh"] * 2


def test_fields_that_vary_besides_have_means_of_their_own() -> None:
    (axes,) = drawn(runs(warmup=[3, 25])).axes
    assert len(points(axes, "mean", "vae")) == 6


def test_runs_without_rate_or_distortion_have_no_plane() -> None:
    frame = runs()
    assert rate_distortion(frame.drop(columns="rate"), "z_dim", "model", "a") is None
    assert rate_distortion(frame.assign(distortion=np.nan), "z_dim", "model", "a") is None
    some = frame.assign(rate=frame["rate"].where(frame["model"] == "mim"))
    (axes,) = drawn(some).axes
    assert points(axes, "mean", "vae") == []
    to_svg(drawn(frame[(frame["z_dim"] == 2) & (frame["seed"] == 1)]))
