"""Learning curves, strips, latent pictures, overlays, the animation: the same bytes each time."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.canvas import save, to_svg
from mimsweep.dashboards.figures.animation import animate, find_ffmpeg
from mimsweep.dashboards.figures.curves import compare
from mimsweep.dashboards.figures.latent import Column, Scene, latent_figure, samples_figure
from mimsweep.dashboards.figures.learning import learning_curves
from mimsweep.dashboards.figures.panels import runs_drawn
from mimsweep.dashboards.figures.strips import strips
from mimsweep.dashboards.report.inline import inline_svg

SIZES: dict[str, list[Any]] = {"z_dim": [2, 4, 8], "seed": [1, 2, 3], "model": ["mim", "vae"]}


def runs(**grid: list[Any]) -> pd.DataFrame:
    frame = pd.MultiIndex.from_product(grid.values(), names=grid.keys()).to_frame(index=False)
    rng = np.random.default_rng(0)
    return frame.assign(
        run_id=[f"run{i}" for i in range(len(frame))],
        mi=rng.normal(size=len(frame)),
        seconds=rng.uniform(1, 900, size=len(frame)),
    )


def history(frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = [
        {"run_id": run_id, "epoch": epoch, "test_loss": 9 / epoch, "train_loss": 10 / epoch}
        for run_id in frame["run_id"]
        for epoch in range(1, int(rng.integers(4, 9)))
    ]
    return pd.DataFrame(rows)


def scene(seed: int = 0) -> Scene:
    rng = np.random.default_rng(seed)
    axis = np.linspace(-2, 2, 21)
    z = rng.normal(size=(30, 2))
    return Scene(
        axis=axis,
        log_p_x=-(axis[:, None] ** 2 + axis**2) * 4,
        reconstructed=z / 2,
        z_mean=z,
        z_scale=np.abs(z) / 9,
        grid_z=z,
        samples=z,
    )


SCENES: dict[Column, Scene] = {("MIM", "mid_dim = 5"): scene(0), ("VAE", "mid_dim = 5"): scene(1)}
PUBLISHED = pd.DataFrame(
    {
        "metric": "mi",
        "model": ["mim", "mim", "vae"],
        "x": [2, 4, 2],
        "mean": 1.0,
        "spread": [0.1, np.nan, 0.2],
    }
)


def pictures() -> dict[str, Figure]:
    frame = runs(**SIZES)
    return {
        "learning": learning_curves(frame, history(frame), "z_dim", "model", "a $ sweep"),
        "strips": strips(frame, "z_dim", "model", ["mi", "seconds"], "every run"),
        "latent": latent_figure(SCENES, "learned"),
        "samples": samples_figure(SCENES, "samples"),
        "overlay": compare(
            frame, x="z_dim", hue="model", metrics=["mi"], published=PUBLISHED
        ).combined("published", ""),
    }


@pytest.mark.parametrize("name", ["learning", "strips", "latent", "samples", "overlay"])
def test_the_same_input_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    first = save(pictures()[name], tmp_path / ".", name)
    before = [path.read_bytes() for path in first]
    with plt.rc_context({"font.size": 30, "lines.linewidth": 9}):
        again = save(pictures()[name], tmp_path, name)
    assert [path.read_bytes() for path in again] == before
    assert plt.get_fignums() == []
    assert str(tmp_path).encode() not in before[1]


def test_published_points_are_grey_and_named() -> None:
    svg = to_svg(pictures()["overlay"])
    assert style.PUBLISHED_COLOUR.lower() in svg
    frame = runs(**SIZES, lr=[0.1, 0.2])
    with pytest.raises(ValueError, match="a curve per model only"):
        compare(frame, x="z_dim", hue="model", metrics=["mi"], published=PUBLISHED)


@pytest.mark.parametrize(
    "grid",
    [
        SIZES | {"seed": [1]},
        SIZES | {"z_dim": [2]},
        SIZES | {"z_dim": list(range(40))},
        SIZES | {"warmup": [3, 25]},
    ],
    ids=["one seed", "one x", "many x", "a second field"],
)
def test_other_shapes_of_sweep(grid: dict[str, list[Any]]) -> None:
    frame = runs(**grid)
    drawn = runs_drawn(frame, "z_dim", "model")
    assert set(drawn) <= set(frame["run_id"])
    some = history(frame[frame["run_id"].isin(drawn)])
    to_svg(learning_curves(frame, some, "z_dim", "model", "a"))
    to_svg(strips(frame, "z_dim", "model", ["mi"], "a"))


def test_of_a_large_sweep_only_some_histories_are_asked_for() -> None:
    frame = runs(z_dim=list(range(18)), seed=list(range(10)), model=["mim", "vae", "ae", "amim"])
    assert len(runs_drawn(frame, "z_dim", "model")) <= 200
    few = runs(**SIZES)
    assert runs_drawn(few, "z_dim", "model") == few["run_id"].tolist()


def test_losses_that_are_not_finite_leave_a_gap() -> None:
    frame = runs(**SIZES)
    losses = history(frame)
    losses.loc[losses["epoch"] > 2, "test_loss"] = np.nan
    losses["train_loss"] = np.inf
    to_svg(learning_curves(frame, losses, "z_dim", "model", "a"))
    with pytest.raises(ValueError, match="no history"):
        learning_curves(frame, losses.iloc[:0], "z_dim", "model", "a")


def test_an_unknown_density_and_a_text_are_drawn() -> None:
    axis = np.linspace(-2, 2, 81)
    letters = 3 * np.sin(9 * axis) * np.sin(9 * axis[:, None])
    for log_p_x in (None, letters):
        one = dataclasses.replace(scene(), axis=axis, log_p_x=log_p_x)
        to_svg(latent_figure({("MIM", ""): one}, "a"))


def test_an_inline_figure_can_change_its_colours_and_has_ids_of_its_own() -> None:
    svg = inline_svg(pictures()["overlay"], "s0-0", 'MI "grows" & <falls>')
    assert svg.startswith(
        '<svg id="s0-0" role="img" aria-label="MI &quot;grows&quot; &amp; &lt;falls>"'
    )
    assert "var(--0072b2, #0072b2)" in svg
    assert "<metadata" not in svg
    assert "<?xml" not in svg
    assert all(part.startswith("s0-0") for part in svg.split(' id="')[1:])
    assert all(part.startswith("s0-0-") for part in svg.split('href="#')[1:])
    assert all(part.startswith("s0-0-") for part in svg.split("url(#")[1:])


@pytest.mark.slow
def test_the_animation_has_a_frame_per_epoch(tmp_path: Path) -> None:
    films = {("MIM", ""): [scene(i) for i in range(4)], ("VAE", ""): [scene(i) for i in range(2)]}
    written = animate(films, "film", "of four epochs", tmp_path)
    assert written[0] == tmp_path / "animation.gif"
    assert len(written) == (2 if find_ffmpeg() else 1)
    before = [path.read_bytes() for path in written]
    assert [
        path.read_bytes() for path in animate(films, "film", "of four epochs", tmp_path)
    ] == before
    with Image.open(written[0]) as gif:
        assert gif.n_frames == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)
