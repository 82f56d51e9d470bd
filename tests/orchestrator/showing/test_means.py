"""`mimsweep table`: what its rows and columns are, and what is refused, by stored runs."""

import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import mimsweep, refused

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

SWEEP = """\
name: small
fixed: {dataset: toy4}
grid:
  - {seed: 1..8, z_dim: [2, 10], model: [mim, vae]}
  - {seed: 1..8, z_dim: [2, 10], model: [vae], beta_end: [0.5], mmd: [100]}
figures: {x: z_dim, hue: [model, mmd], metrics: [mi_lower, nll]}
"""
VERSIONS = {"mimsweep.version": "9.9", "mimsweep.torch": "8.8"}


def nll(run: RunSpec) -> float:
    return run.z_dim + (run.model == "mim") + run.seed / 10 + run.mmd / 1000


def store(folder: Path, text: str = SWEEP, missing: int = 0) -> None:
    (folder / "s.yaml").write_text(text)
    runs = load_sweep(folder / "s.yaml").runs
    made = Tracking(f"sqlite:///{folder / 'mlflow.db'}")
    parent = made.start_sweep("small", "", VERSIONS, {})
    kept = runs[: len(runs) - missing]
    for run, run_id in zip(kept, made.create_runs(parent, kept, {}), strict=True):
        made.finish(run_id, {"mi_lower": run.seed / 10, "nll": nll(run), "seconds": 1.0}, {})


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sweep and a store of all its runs."""
    folder = tmp_path_factory.mktemp("complete")
    store(folder)
    return folder


@pytest.fixture
def stored(here: Path, complete: Path) -> Path:
    return Path(shutil.copytree(complete, here, dirs_exist_ok=True))


def table(*options: str) -> pd.DataFrame:
    done = mimsweep("table", "s.yaml", "--format", "csv", *options)
    assert done.exit_code == 0, done.output
    return pd.read_csv(StringIO(done.stdout))


def test_by_default_it_is_what_the_figures_show(stored: Path) -> None:
    rows = table()
    assert list(rows["metric"]) == ["mi_lower"] * 6 + ["nll"] * 6
    assert list(rows["row"].unique()) == ["MIM", "VAE", "VAE, mmd 100"]
    assert list(rows["column"].unique()) == [2, 10]
    assert set(rows["n"]) == {8}
    printed = mimsweep("table", "s.yaml").stdout
    assert "| VAE, mmd 100 | " in printed
    assert printed.endswith("Trained with mimsweep 9.9 and PyTorch 8.8.\n")


def test_its_numbers_are_those_of_results(stored: Path) -> None:
    assert mimsweep("results", "s.yaml", "--output", "r.json").exit_code == 0
    results = pd.DataFrame(json.loads(Path("r.json").read_text()))
    means = results.groupby(["model", "mmd", "z_dim"])["nll"].agg(["mean", "std"])
    rows = table("--metric", "nll").set_index(["row", "column"])
    for model, mmd, name in (("mim", 0, "MIM"), ("vae", 0, "VAE"), ("vae", 100, "VAE, mmd 100")):
        for z_dim in (2, 10):
            found, expected = rows.loc[(name, z_dim)], means.loc[(model, mmd, z_dim)]
            assert found["mean"] == pytest.approx(expected["mean"], rel=1e-12)
            assert found["std"] == pytest.approx(expected["std"], rel=1e-12)
    assert list(rows["mark"].fillna("")) == ["", "", "best", "best", "", ""]


def test_rows_and_columns_are_any_fields(stored: Path) -> None:
    rows = table("--rows", "z_dim", "--columns", "model, mmd,beta_end", "--metric", "nll")
    assert list(rows["row"].unique()) == [2, 10]
    columns = ["MIM", "VAE", "VAE, mmd 100, beta_end 0.5"]
    assert list(rows["column"].unique()) == columns
    fixed = table("--rows", "model", "--set", "mmd=0", "--set", "beta_end=1", "--metric", "nll")
    assert list(fixed["row"].unique()) == ["MIM", "VAE"]


@pytest.mark.parametrize(
    ("rows", "columns", "corner"),
    [
        ("z_dim", "model,mmd,beta_end", "latent size z_dim (dimensions)"),
        ("model,mmd,beta_end", "z_dim", "latent size z_dim (dimensions)"),
        ("mmd", "beta_end", "weight of MMD² / β at its end, beta_end"),
    ],
)
def test_its_corner_says_what_bare_values_are_of(
    stored: Path, rows: str, columns: str, corner: str
) -> None:
    chosen = ("--set", "model=vae", "--set", "z_dim=2") if "/" in corner else ()
    told = mimsweep("table", "s.yaml", "--rows", rows, "--columns", columns, *chosen)
    assert f"| {corner.replace('_', chr(92) + '_')} |" in told.stdout


def test_rows_are_what_the_figures_have_on_their_x_where_columns_are_their_hue(
    stored: Path,
) -> None:
    rows = table("--columns", "model,mmd", "--metric", "nll")
    assert list(rows["row"].unique()) == [2, 10]


def test_what_is_complete_is_shown_and_told(here: Path) -> None:
    store(here, missing=3)
    done = mimsweep("table", "s.yaml", "--format", "latex", "--output", "t.tex")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "mimsweep: small: 45 of 48 runs are complete",
        "t.tex: small",
    ]
    assert "6 to 8 seeds" in Path("t.tex").read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--rows", "width"],
            "--rows width: no run has such a field; allowed: dataset, model, ",
        ),
        (
            ["--columns", "seed"],
            "--columns seed: means are over it; allowed: dataset, model, ",
        ),
        (["--rows", "z_dim"], "--rows and --columns: both have z_dim; leave it out of one"),
        (["--metric", "loss"], "--metric loss: there is no such metric; allowed: mi, mi_ceiling"),
        (
            ["--rows", "model"],
            "small: a mean would mix runs that differ in beta_end, mmd; add them to --rows or "
            "--columns, or choose one value by --set beta_end=1",
        ),
        (["--columns", "z_dim,model,mmd"], "--columns z_dim,model,mmd: say by --rows what makes"),
        (["--output", "s.yaml"], "--output s.yaml: that is a file of small; name another"),
        (["--output", "no/t.tex"], "--output no/t.tex: there is no folder no; make it first"),
    ],
)
def test_what_cannot_be_shown_is_told(stored: Path, options: list[str], sentence: str) -> None:
    assert refused(mimsweep("table", "s.yaml", *options)).startswith(sentence)


def test_a_sweep_without_complete_runs_has_no_table(here: Path) -> None:
    store(here, missing=48)
    told = refused(mimsweep("table", "s.yaml"))
    assert told == "small: no run is complete; `mimsweep run` trains them"


def test_a_store_that_is_not_there_is_told_and_not_made(here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    told: Any = mimsweep("table", "s.yaml")
    assert told.exit_code == 3
    assert not (here / "mlflow.db").exists()
