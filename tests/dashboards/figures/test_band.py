"""Mutual information drawn between its bounds."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.special import digamma

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.canvas import to_svg
from mimsweep.dashboards.figures.curves import compare, default_axes, draw

CEILING = float(digamma(9984) - digamma(5))
LOG_N = np.log(9984)
BOUNDS = ["mi_lower", "mi_upper", "mi_ceiling", "mi_lower_ceiling"]
MI = {  # of a model at a latent size: KSG, lower and upper bound
    ("mim", 2): (2.7, 2.5, 2.9), ("mim", 8): (2.2, 6.0, 7.0),
    ("mim", 14): (2.0, 9.15, 30.0), ("mim", 20): (1.8, 9.2, 1e5),
    ("vae", 2): (0.8, 0.78, 0.85), ("vae", 8): (0.9, 0.8, 0.95),
    ("vae", 14): (0.9, 1.0, 1.05), ("vae", 20): (0.9, 1.14, 1.2),
}  # fmt: skip


def runs(**more: Any) -> pd.DataFrame:
    rows = [
        (model, z_dim, seed, mi + seed / 100, lower, upper)
        for (model, z_dim), (mi, lower, upper) in MI.items()
        for seed in range(3)
    ]
    frame = pd.DataFrame(rows, columns=["model", "z_dim", "seed", "mi", *BOUNDS[:2]])
    return frame.assign(mi_ceiling=CEILING, mi_lower_ceiling=np.log(9984), nll=1.0, **more)


def drawn(frame: pd.DataFrame, x: str = "z_dim", hue: str = "model") -> Figure:
    return compare(frame, x=x, hue=hue, metrics=["mi"]).of("mi", "a", "")


def axes_of(frame: pd.DataFrame, x: str = "z_dim", hue: str = "model") -> Axes:
    (axes,) = drawn(frame, x, hue).axes
    return axes


def points(axes: Axes, name: str, model: str) -> dict[float, float]:
    colour = style.MODELS[model].colour.lower()
    found = [
        dict(np.array(line.get_xydata()).tolist())
        for line in axes.lines
        if line.get_gid() == name
        and to_hex(line.get_markeredgecolor() if name == "hollow" else line.get_color()) == colour
    ]
    (only,) = found
    return {at: value for at, value in only.items() if value == value}


def caption(figure: Figure) -> str:
    return figure.get_supxlabel().replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")


def test_a_band_runs_from_the_lower_to_the_upper_bound() -> None:
    axes = axes_of(runs())
    assert points(axes, "lower", "vae") == pytest.approx({2: 0.78, 8: 0.8, 14: 1.0, 20: 1.14})
    assert points(axes, "upper", "vae") == pytest.approx({2: 0.85, 8: 0.95, 14: 1.05, 20: 1.2})
    assert points(axes, "lower", "mim") == pytest.approx({2: 2.5, 8: 6.0, 14: 9.15, 20: 9.2})
    assert len(axes.collections) >= 4


def test_at_log_n_the_upper_bound_is_left_out_and_makes_the_axis_no_longer() -> None:
    axes = axes_of(runs())
    assert points(axes, "upper", "mim") == pytest.approx({2: 2.9, 8: 7.0})
    low, high = axes.get_ylim()
    assert low < 0.78
    assert LOG_N < high < 11
    assert [text.get_text() for text in axes.texts] == ["log N"]
    (line,) = [line for line in axes.lines if line.is_dashed() and line.get_color() == "#777777"]
    assert np.array(line.get_ydata()) == pytest.approx(LOG_N, abs=1e-5)


def test_an_upper_bound_far_off_is_beyond_the_axis_even_below_log_n() -> None:
    frame = runs()
    few = frame[frame["z_dim"] < 10].assign(mi_upper=lambda rows: rows["mi_upper"] ** 4)
    axes = axes_of(few)
    assert points(axes, "upper", "mim") == {}
    assert axes.get_ylim()[1] < 8
    assert not axes.texts


def test_ksg_in_doubt_is_hollow() -> None:
    axes = axes_of(runs())
    assert list(points(axes, "hollow", "mim")) == [8, 14, 20]
    assert list(points(axes, "hollow", "vae")) == [14, 20]
    near = runs().assign(mi=CEILING - 1)
    assert list(points(axes_of(near), "hollow", "vae")) == [2, 8, 14, 20]


def test_the_caption_explains_what_occurs_and_nothing_else() -> None:
    words = ("Band:", "Faded:", "Hollow:", "Dashed grey: log N")
    every, frame = caption(drawn(runs())), runs()
    assert all(word in every for word in words)
    sure = caption(drawn(frame[(frame["model"] == "vae") & (frame["z_dim"] < 10)]))
    assert [word in sure for word in words] == [True, False, False, False]
    assert "not stored" not in every + sure


def test_the_caption_says_what_the_bounds_of_an_auto_encoder_are() -> None:
    fixed = "Bounds of AE: at the σ that it is given"
    assert fixed not in caption(drawn(runs()))
    assert fixed in caption(drawn(runs().replace({"model": {"vae": "ae"}})))


@pytest.mark.parametrize("lacking", ["columns", "values"])
def test_runs_of_old_stores_are_drawn_as_before_with_a_note(lacking: str) -> None:
    frame = runs()
    old = frame.drop(columns=BOUNDS) if lacking == "columns" else frame.assign(mi_lower=np.nan)
    figure = drawn(old if lacking == "columns" else old.assign(mi_upper=np.nan))
    assert "`mimsweep measure SWEEP` measures them" in caption(figure)
    assert "Band" not in caption(figure)
    assert not [line for line in figure.axes[0].lines if line.get_gid()]
    other = compare(old, x="z_dim", hue="model", metrics=["nll"]).of("nll", "a", "")
    assert "not stored" not in caption(other)


def test_categories_have_bars() -> None:
    frame = runs(act="tanh")
    axes = axes_of(frame[frame["z_dim"] == 8], x="act")
    assert points(axes, "lower", "mim") == pytest.approx({-0.1: 6.0})
    assert points(axes, "upper", "vae") == pytest.approx({0.1: 0.95})


def test_data_sets_have_axes_of_their_own_and_may_lack_bounds() -> None:
    two = [runs(dataset="a"), runs(dataset="b").assign(mi_lower=np.nan, mi_upper=np.nan)]
    figure = drawn(pd.concat(two))
    assert [bool(axes.texts) for axes in figure.axes] == [True, False]
    assert figure.axes[1].get_ylim()[1] < 4
    assert "not stored" not in caption(figure)
    to_svg(figure)


def test_the_bounds_are_in_the_table_but_get_no_panel(tmp_path: Any) -> None:
    axes = default_axes(runs())
    assert axes["metrics"] == ["mi", "nll"]
    written = draw(runs(), name="a", description="", folder=tmp_path, **axes)
    assert {path.stem for path in written} == {"mi", "nll", "combined", "table"}
    metrics = pd.read_csv(tmp_path / "table.csv")["metric"].unique()
    assert metrics.tolist() == ["mi", "nll", *BOUNDS]
    assert len(compare(runs(), **axes).combined("a", "").axes) == 2
