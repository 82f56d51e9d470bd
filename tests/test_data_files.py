"""Data files through the command line: from a file to results, pictures and measures."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mimsweep.orchestrator.tracking.writer import Tracking
from tests.models.data.files.examples import points, write_csv
from tests.odd.test_users_code import program
from tests.orchestrator.commands import mimsweep

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
INLINE = ("--engine", "inline")
METHODS = """[{model: [mim, amim, vae, ae, cmim]},
  {model: [vae], beta_end: [0.5]}, {model: [vae], cycles: [2]}, {model: [vae], free_bits: [0.5]},
  {model: [vae], bn_gamma: [0.7]}, {model: [vae], beta_end: [0], mmd: [10]},
  {model: [vae], importance_samples: [3]}]"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Tracking(f"sqlite:///{path}")
    return path


@pytest.fixture
def folder(here: Path, empty: Path) -> Path:
    shutil.copy(empty, here)
    return here


def sweep(
    folder: Path, dataset: str, grid: str, more: str = "", epochs: int = 3, warmup: int = 1
) -> Path:
    fields = f"dataset: {dataset}, mid_dim: 5, epochs: {epochs}, warmup: {warmup}, batch_size: 16"
    fields += more
    (folder / "s.yaml").write_text(f"name: s\nfixed: {{{fields}}}\ngrid: {grid}\n")
    return folder / "s.yaml"


def results() -> pd.DataFrame:
    assert mimsweep("results", "s.yaml", "--output", "table.json").exit_code == 0
    return pd.DataFrame(json.loads(Path("table.json").read_text()))


def test_all_models_train_on_a_table_with_labels(folder: Path) -> None:
    write_csv(folder / "points.csv", *points(160))
    file = sweep(folder, "file:points.csv", METHODS, ", label: kind", epochs=6, warmup=2)
    told = mimsweep("validate", file).stdout.splitlines()
    items = "128 items to train on, 32 to test on, 3 columns, 3 classes"
    assert told[1:] == [f"  file:points.csv: {items}"]
    assert mimsweep("run", "s.yaml", *INLINE).exit_code == 0
    table = results()
    assert list(table["dataset"]) == ["file:points.csv"] * 11
    assert table["run_name"][0].startswith("mim-file:points.csv-z2-m5-s1-")
    assert table["knn5"].between(0.2, 1).all()
    assert table[["rmse", "mi_lower", "distortion"]].notna().all(axis=None)
    assert mimsweep("status", "s.yaml").stdout.startswith("s: 11/11 complete\n")
    assert {"beta_end", "cycles", "free_bits", "bn_gamma", "mmd", "importance_samples"} < {*table}
    before = table[["run_key", "rmse", "mi_lower", "knn1"]]
    assert mimsweep("measure", "s.yaml", "--workers", "1").exit_code == 0
    pd.testing.assert_frame_equal(results()[before.columns], before)


def test_what_has_no_labels_has_no_accuracy_of_them(folder: Path) -> None:
    np.save(folder / "points.npy", points(160)[0])
    sweep(folder, "file:points.npy", "{model: [vae]}")
    assert mimsweep("run", "s.yaml", *INLINE).exit_code == 0
    table = results()
    assert table[["knn1", "knn3", "knn5", "knn10"]].isna().all(axis=None)
    assert table["mi_lower"].notna().all()


@pytest.mark.slow
def test_two_columns_are_drawn_though_there_are_few_items(folder: Path) -> None:
    np.save(folder / "a b.npy", points(160)[0][:, :2])
    np.save(folder / "points.npy", points(160, seed=2)[0][:, :2])
    grid = "{dataset: ['file:a b.npy', file:points.npy], model: [mim, vae]}"
    file = sweep(folder, "x", grid)
    figures = "figures: {x: z_dim, hue: model, metrics: [mi]}\n"
    file.write_text(file.read_text().replace("dataset: x, ", "") + figures)
    assert mimsweep("run", "s.yaml", *INLINE).exit_code == 0
    drawn = mimsweep("figures", "s.yaml", "--latent")
    assert drawn.exit_code == 0, drawn.output
    names = {path.name for path in Path("figures", "s").rglob("*.png")}
    assert "latent.png" in names
    assert "seeds_file_points.npy.png" in names
    assert all(" " not in name and ":" not in name for name in names)


@pytest.mark.parametrize(("values", "more"), [("bits", ""), ("levels", ", bits: true")])
def test_bits_have_a_bernoulli_decoder(folder: Path, values: str, more: str) -> None:
    source = np.random.default_rng(1)
    x = source.random((160, 4)) * [1, 1, 1, 0]  # one value is no harm here
    np.save(folder / "x.npy", x > 0.5 if values == "bits" else x)
    sweep(folder, "file:x.npy", "{model: [vae]}", more)
    assert mimsweep("run", "s.yaml", *INLINE).exit_code == 0
    table = results()
    # Never below the entropy of three fair bits but by chance; of a Gaussian it would be.
    assert 1.5 < table["distortion"][0] < 4


def test_errors_are_in_the_units_that_were_asked_for(folder: Path) -> None:
    np.save(folder / "x.npy", points(160)[0] * [1, 100, 1])
    rmse = {}
    for standardise in ("true", "false"):
        sweep(folder, "file:x.npy", "{model: [vae]}", f", standardise: {standardise}")
        assert mimsweep("run", "s.yaml", *INLINE).exit_code == 0
        rmse[standardise] = results()["rmse"][0]
    assert rmse["true"] < 5
    assert rmse["false"] > 1000  # the second column's standard deviation is 7,000


@pytest.mark.slow
def test_workers_find_it_from_another_folder(here: Path, tmp_path: Path) -> None:
    (here / "deep").mkdir()
    (here / "mine.py").write_text("")
    write_csv(here / "deep" / "points.csv", *points(160))
    sweep(here / "deep", "file:points.csv", "{model: [vae], seed: 1..2}", ", label: kind")
    done = program(here, "run", "deep/s.yaml", "--workers", "2")
    assert done.returncode == 0, done.stderr
    store = ("--tracking-uri", f"sqlite:///{here}/mlflow.db")
    listed = program(here, "results", "deep/s.yaml").stdout
    assert program(here / "deep", "results", "s.yaml", *store).stdout == listed
    assert len(listed.splitlines()) == 1 + 2
