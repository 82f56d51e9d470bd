import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.image import imread

from mimsweep.dashboards.figures.curves import compare, default_axes, draw

SIZES = {"z_dim": [2, 4, 8], "seed": [1, 2, 3], "model": ["mim", "vae"]}


def runs(**grid: list[object]) -> pd.DataFrame:
    frame = pd.MultiIndex.from_product(grid.values(), names=grid.keys()).to_frame(index=False)
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.1, size=(2, len(frame)))
    return frame.assign(mi=1 + noise[0], rmse=10.0 ** (4 * (frame["model"] == "vae")) + noise[1])


def drawn(frame: pd.DataFrame, folder: Path, **options: object) -> dict[str, bytes]:
    given = {"name": "bottleneck", "description": "Costs $1 & $2 <now>", "x": "z_dim"}
    given |= {"hue": "model", "metrics": ["mi"]} | options
    return {path.name: path.read_bytes() for path in draw(frame, folder=folder, **given)}


def test_files_of_a_sweep(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    files = drawn(runs(**SIZES), folder, metrics=["mi", "rmse"])
    assert list(files) == [
        "mi.png", "mi.svg", "rmse.png", "rmse.svg", "combined.png", "combined.svg", "table.csv",
    ]  # fmt: skip
    assert {path.name for path in folder.iterdir()} == set(files)
    assert plt.get_fignums() == []
    assert len(pd.read_csv(folder / "table.csv")) == 12
    for stem in ("mi", "rmse", "combined"):
        picture = imread(folder / f"{stem}.png")
        assert picture.shape[0] > 600
        assert picture[..., :3].std() > 0.05


def test_svg_is_xml_with_its_title_and_no_path_or_date(tmp_path: Path) -> None:
    svg = drawn(runs(**SIZES), tmp_path)["mi.svg"].decode()
    ET.fromstring(svg)
    assert "bottleneck: Mutual information" in svg
    assert "MI (nats)" in svg
    for trace in (str(tmp_path), "/home", "/work", "<dc:date>", "/usr"):
        assert trace not in svg


def test_same_runs_same_bytes(tmp_path: Path) -> None:
    frame = runs(**SIZES)
    shuffled = frame.sample(frac=1, random_state=1)
    assert drawn(frame, tmp_path / "a") == drawn(shuffled, tmp_path / "b")


@pytest.mark.parametrize(
    ("grid", "options"),
    [
        (SIZES | {"act": ["tanh", "relu"]}, {"x": "act"}),
        (SIZES | {"z_dim": [2]}, {}),
        (SIZES | {"model": ["mim"], "seed": [1]}, {}),
        (SIZES | {"inv_h": [True, False]}, {"hue": "inv_h"}),
        (SIZES | {"lr": [1e-5, 1e-3, 1e-1], "z_dim": [2]}, {"x": "lr", "metrics": ["rmse"]}),
    ],
    ids=["categories", "one x", "one hue, one seed", "boolean hue", "log axes"],
)
def test_other_shapes_of_sweep(
    tmp_path: Path, grid: dict[str, list[object]], options: dict[str, object]
) -> None:
    assert len(drawn(runs(**grid), tmp_path, **options)) == 5


def test_missing_values_and_combinations(tmp_path: Path) -> None:
    frame = runs(**SIZES).assign(nll=np.nan)
    frame.loc[frame["z_dim"] == 4, "mi"] = np.nan
    frame = frame[~((frame["z_dim"] == 8) & (frame["model"] == "vae"))]
    svg = drawn(frame, tmp_path, metrics=["mi", "nll"])["nll.svg"].decode()
    assert "no finite values" in svg


def test_a_panel_per_value_of_what_varies_besides(tmp_path: Path) -> None:
    svg = drawn(runs(**SIZES, warmup=[3, 25]), tmp_path)["mi.svg"].decode()
    assert "warmup = 3" in svg
    assert "warmup = 25" in svg
    assert "Mean over n = 3 seeds" in svg


@pytest.mark.parametrize(("field", "shared"), [("dataset", 1), ("act", 2)])
def test_panels_share_an_axis_but_those_of_different_data_sets(field: str, shared: int) -> None:
    curves = compare(runs(**SIZES, **{field: ["a", "b"]}), x="z_dim", hue="model", metrics=["mi"])
    left, right = curves.of("mi", "a sweep", "").axes
    assert len(left.get_shared_y_axes().get_siblings(left)) == shared
    assert left is not right


def test_no_runs_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no complete runs"):
        drawn(runs(**SIZES).iloc[:0], tmp_path)


def test_default_axes() -> None:
    frame = runs(**SIZES, mid_dim=[50, 100], act=["tanh"])
    assert default_axes(frame) == {"x": "z_dim", "hue": "model", "metrics": ["mi", "rmse"]}
    many_seeds = runs(seed=list(range(9)), z_dim=[2], act=["tanh", "relu"], model=["mim"])
    assert default_axes(many_seeds)["x"] == "act"
    images = frame.assign(rmse=np.nan, nmi=0.5)
    assert default_axes(images)["metrics"] == ["mi", "nmi"]
    assert default_axes(runs(seed=[1], mid_dim=[50], z_dim=[2], model=["mim"]))["x"] == "z_dim"
