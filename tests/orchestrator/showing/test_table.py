import json
import os
from pathlib import Path

import pandas as pd
import pytest

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.metrics import TABLE_METRICS
from mimsweep.orchestrator.showing.table import methods, results_table, write_table

RUNS = [RunSpec(dataset="toy4", model=model, seed=2, lr=0.5) for model in ("vae", "mim")]
HEAD = ["run_key", "run_id", "run_name", "status"]


def frame(*runs: RunSpec, **metrics: object) -> pd.DataFrame:
    """A frame as `Tracking.frame` gives it."""
    rows = [
        {"run_key": run.run_key, "run_id": f"id{number}", "run_name": run.run_name,
         "status": "FINISHED", **run.model_dump(), "train_loss": 1.0, "beta": 0.5, **metrics}
        for number, run in enumerate(runs)
    ]  # fmt: skip
    columns = [*HEAD, *sorted(RunSpec.model_fields), "train_loss", "beta", *metrics]
    return pd.DataFrame(rows, columns=columns)


def test_columns_are_those_of_the_contract_in_order() -> None:
    table = results_table(frame(*RUNS, mi=1.5, seconds=3.0), RUNS)
    assert list(table.columns) == [*HEAD, *RunSpec.model_fields, *TABLE_METRICS]
    assert list(table["mi"]) == [1.5, 1.5]
    assert table["nll"].isna().all()
    assert list(table["lr"]) == [0.5, 0.5]


def test_rows_are_the_complete_runs_of_the_sweep_in_its_order() -> None:
    other = RunSpec(dataset="toy4", model="ae")
    missing = RunSpec(dataset="toy4", model="amim")
    table = results_table(frame(other, *reversed(RUNS)), [*RUNS, missing])
    assert list(table["model"]) == ["vae", "mim"]
    assert list(table.index) == [0, 1]


def test_runs_of_an_older_version_have_the_defaults_of_newer_fields() -> None:
    old = frame(*RUNS).drop(columns=["patience", "prior", "use_training_data_init"])
    new = RunSpec(dataset="omniglot", model="convhvae_2level", z_dim=40, patience=3)
    table = results_table(pd.concat([old, frame(new)]), [*RUNS, new])
    assert list(table["patience"]) == [50, 50, 3]
    assert list(table["prior"]) == ["standard"] * 3
    assert table["use_training_data_init"].all()
    assert list(table.columns) == [*HEAD, *RunSpec.model_fields, *TABLE_METRICS]


def test_a_method_is_what_is_not_default() -> None:
    runs = [
        RunSpec(dataset="toy4", model="vae"),
        RunSpec(dataset="toy4", model="vae", free_bits=0.5, mmd=10),
        RunSpec(dataset="toy4", model="cmim", temperature=1, p_z="prior"),
    ]
    table = results_table(frame(*runs), runs)
    fields = ("model", "free_bits", "mmd", "temperature", "p_z")
    named = ["VAE", "VAE, free_bits 0.5, mmd 10", "cMIM, temperature 1, p_z prior"]
    assert methods(table, fields) == named
    assert methods(table, ("mmd",)) == ["default", "mmd 10", "default"]
    assert methods(table.assign(alpha=[None, 2.5, float("nan")]), ("model", "alpha")) == [
        "VAE",
        "VAE, alpha 2.5",
        "cMIM",
    ]


def test_what_else_was_stored_comes_last() -> None:
    table = results_table(frame(*RUNS, mi_error=2.0), RUNS)
    assert list(table.columns)[-1] == "mi_error"
    assert "beta" not in table.columns


def test_no_complete_run_is_a_table_without_rows() -> None:
    table = results_table(pd.DataFrame(columns=HEAD), RUNS)
    assert list(table.columns) == [*HEAD, *RunSpec.model_fields, *TABLE_METRICS]
    assert table.empty


def test_files(tmp_path: Path) -> None:
    table = results_table(frame(*RUNS, mi=0.1 + 0.2), RUNS)
    for name in ("a.csv", "a.parquet", "a.json"):
        write_table(table, tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.json", "a.parquet"]
    for read in (pd.read_csv(tmp_path / "a.csv"), pd.read_parquet(tmp_path / "a.parquet")):
        assert list(read.columns) == list(table.columns)
        assert list(read["mi"]) == [0.1 + 0.2] * 2
        assert list(read["inv_h"]) == [False, False]
    rows = json.loads((tmp_path / "a.json").read_text())
    assert [row["run_key"] for row in rows] == [run.run_key for run in RUNS]
    assert rows[0]["nll"] is None
    assert rows[0]["mi"] == pytest.approx(0.3)


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    write_table(results_table(frame(*RUNS), RUNS), path)
    assert path.read_text().startswith("run_key,run_id,run_name,status,dataset,model,seed,")


@pytest.mark.parametrize("name", ["a.txt", "a", "a.CSV.gz"])
def test_an_unknown_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"must end in \.csv, \.parquet, \.json"):
        write_table(results_table(frame(*RUNS), RUNS), tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_a_folder_that_is_not_there_is_told(tmp_path: Path, ending: str) -> None:
    with pytest.raises(SpecError, match=r"--output .*nowhere/a\.\w+: .+"):
        write_table(results_table(frame(*RUNS), RUNS), tmp_path / "nowhere" / f"a.{ending}")
    assert os.listdir(tmp_path) == []
