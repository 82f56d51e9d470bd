"""Commands on a good sweep, and what they print."""

import io
import json
import os
import re
import shutil
from pathlib import Path

import click
import pandas as pd
import pytest

from mimsweep.orchestrator.cli.main import main
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.metrics import FINAL_METRICS, IMAGE_METRICS
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import RUNS, mimsweep, refused
from tests.orchestrator.conftest import Driver

pytestmark = [
    pytest.mark.usefixtures("here"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]


@pytest.mark.parametrize("command", [[], *([name] for name in main.commands)])
def test_help(command: list[str]) -> None:
    result = mimsweep(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_every_command_and_option_has_help() -> None:
    for name, command in main.commands.items():
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Option) and option.name != "engine":
                assert option.help, f"{name} {option.opts}"


def test_version() -> None:
    result = mimsweep("--version")
    assert re.fullmatch(r"mimsweep, version \d+\.\d+\.\d+\S*\n", result.stdout)


def test_validate(sweep: Path, here: Path) -> None:
    result = mimsweep("validate", sweep, "--set", "seed=1..5")
    assert (result.exit_code, result.stdout) == (0, f"{sweep}: toy, 10 runs\n")
    assert os.listdir(here) == ["toy.yaml"]


def test_reading_a_store_that_is_not_there_creates_none(sweep: Path, here: Path) -> None:
    plan = json.loads(mimsweep("plan", sweep, "--json").stdout)
    assert (plan["runs"], plan["complete"], plan["to_run"]) == (6, 0, 6)
    assert json.loads(mimsweep("status", sweep, "--json").stdout)["missing"] == 6
    assert "there is no tracking store at" in refused(mimsweep("results", sweep), 3)
    assert os.listdir(here) == ["toy.yaml"]


def test_plan_json(sweep: Path, store: Tracking) -> None:
    arguments = ["plan", sweep, "--device", "cpu", "--cohort-size", "2", "--json"]
    plan = json.loads(mimsweep(*arguments).stdout)
    cohorts = plan.pop("cohorts")
    assert plan == {"sweep": "toy", "runs": 6, "complete": 2, "to_run": 4, "stale": {}}
    assert all(cohort.keys() == {"size", "spec", "seeds"} for cohort in cohorts)
    runs = [(cohort["spec"]["model"], seed) for cohort in cohorts for seed in cohort["seeds"]]
    assert sorted(runs) == [("mim", 2), ("mim", 3), ("vae", 2), ("vae", 3)]
    assert cohorts[0]["size"] == len(cohorts[0]["seeds"]) == 2
    assert cohorts[0]["spec"].keys() == RUNS[0].own_fields().keys() - {"seed"}


def test_plan_for_people(sweep: Path, store: Tracking) -> None:
    lines = mimsweep("plan", sweep).stdout.splitlines()
    assert lines[0] == "toy: 6 runs, 2 complete"
    assert "2 runs  dataset=toy4 model=mim z_dim=2" in lines[1]


def test_plan_says_which_device_it_takes_unmeasured(
    sweep: Path, store: Tracking, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimsweep.orchestrator.gpus._torch", lambda: ("2.9", "13.0"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver(2, 99000)
    told = "mimsweep: planned for 2 GPUs; `run` measures whether CPU cores are faster\n"
    assert mimsweep("plan", sweep, "--json").stderr == told
    assert mimsweep("plan", sweep, "--device", "cuda").stderr == ""
    assert mimsweep("plan", sweep, "--device", "cpu").stderr == ""
    assert mimsweep("plan", sweep, "--set", "seed=1").stderr.count("planned for") == 0


def test_status(sweep: Path, store: Tracking) -> None:
    told = json.loads(mimsweep("status", sweep, "--json").stdout)
    assert [each["run_name"] for each in told.pop("failures")] == [RUNS[2].run_name]
    assert told == {
        "sweep": "toy", "total": 6, "finished": 2, "failed": 1, "running": 1, "killed": 1,
        "missing": 1, "stale": {},
    }  # fmt: skip
    lines = mimsweep("status", sweep).stdout.splitlines()
    assert lines[0] == "toy: 2/6 complete"
    reason = "mim-toy4-z2-m50-s2 failed: the training loss turned nan in epoch 7 (MLflow run "
    assert lines[-1].strip().startswith(reason)


def test_results_have_the_columns_of_the_contract(sweep: Path, store: Tracking) -> None:
    table = pd.read_csv(io.StringIO(mimsweep("results", sweep).stdout))
    head = ["run_key", "run_id", "run_name", "status"]
    assert list(table.columns)[: len(head)] == head
    assert set(table.columns) == {
        *head, *RunSpec.model_fields, *FINAL_METRICS, *IMAGE_METRICS,
        "epochs_run", "best_epoch", "best_loss", "seconds",
    }  # fmt: skip
    assert list(table["run_key"]) == [run.run_key for run in RUNS[:2]]
    assert list(table["mi"]) == [0.0, 1.0]
    assert table["rmse"].isna().all()
    assert set(table["status"]) == {"FINISHED"}
    only = pd.read_csv(io.StringIO(mimsweep("results", sweep, "--set", "model=vae").stdout))
    assert list(only["model"]) == ["vae"]


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_results_as_a_file(ending: str, sweep: Path, store: Tracking, here: Path) -> None:
    result = mimsweep("results", sweep, "--output", f"a.{ending}")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"a.{ending}: 2 of 6 runs\n"
    assert (here / f"a.{ending}").stat().st_size > 0


def test_results_into_a_file_of_unknown_ending(sweep: Path, store: Tracking, here: Path) -> None:
    before = sorted(os.listdir(here))
    assert "must end in" in refused(mimsweep("results", sweep, "--output", "a.xls"))
    assert sorted(os.listdir(here)) == before


def test_figures_without_complete_runs(sweep: Path, here: Path) -> None:
    Tracking("sqlite:///mlflow.db")
    result = mimsweep("figures", sweep)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "mimsweep: no sweep has complete runs; start one with `mimsweep run SWEEP`"
    )
    assert sorted(os.listdir(here)) == ["mlflow.db", "toy.yaml"]


def test_run_of_a_complete_sweep_starts_nothing(sweep: Path, store: Tracking, here: Path) -> None:
    before = sorted(os.listdir(here))
    result = mimsweep("run", sweep, "--set", "seed=1")
    assert result.exit_code == 0, result.output
    assert "toy: all 2 runs are complete" in result.stderr
    assert sorted(os.listdir(here)) == before


def test_run_refuses_a_sweep_that_is_run_already(sweep: Path, store: Tracking) -> None:
    # The store's parent run is of this process, which lives.
    sentence = refused(mimsweep("run", sweep))
    assert sentence.startswith("the sweep toy is being run already, by process ")


def test_the_store_of_the_environment(
    sweep: Path, store: Tracking, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(here / "mlflow.db", tmp_path / "other.db")
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert json.loads(mimsweep("status", sweep, "--json").stdout)["finished"] == 2
    elsewhere = f"sqlite:///{tmp_path / 'none.db'}"
    arguments = ["results", sweep, "--tracking-uri", elsewhere]
    assert f"there is no tracking store at {elsewhere}" in refused(mimsweep(*arguments), 3)
