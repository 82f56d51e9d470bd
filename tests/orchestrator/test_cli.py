"""The command line as scripts see it: exit codes, sentences, JSON, CSV, and what it leaves."""

import io
import json
import math
import os
import re
import shutil
import time
from pathlib import Path

import click
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from orchestrator.choices import MODELS
from orchestrator.cli import main
from orchestrator.metrics import FINAL_METRICS, IMAGE_METRICS, TABLE_METRICS
from orchestrator.spec import RunSpec
from orchestrator.tracking import Tracking

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

ALL_MODELS = ", ".join(MODELS.now)

GOOD = """\
name: toy
fixed: {dataset: toy4}
grid:
  seed: 1..3
  model: [mim, vae]
"""
RUNS = [
    RunSpec(dataset="toy4", seed=seed, model=model)
    for seed in (1, 2, 3)
    for model in ("mim", "vae")
]
DEAD_SERVER = "http://127.0.0.1:9"

BAD = {
    "unknown field": ("grid: {seedz: 1..2}", ":3:8: grid.seedz: no such field; did you mean seed?"),
    "wrong type": ("grid: {seed: [1, two]}", ":3:18: grid.seed: 'two' is not allowed; it must be"),
    "empty grid": ("grid: {}", ":3:7: grid: is empty"),
    "empty list": ("grid: {seed: []}", ":3:14: grid.seed: the list is empty"),
    "duplicate key": ("grid: {seed: 1, seed: 2}", ":3:17: the key seed is given twice"),
    "duplicate run": (
        "grid:\n  - {seed: 1..3}\n  - {seed: 3..4}",
        ":5:5: grid: the run mim-toy4-z2-m50-s3 is in the block of line 4 already",
    ),
    "tab": ("grid:\n\tseed: 1", ":4:1: a tab is not allowed here; use spaces"),
    "z_dim 0": ("grid: {z_dim: [2, 0]}", ":3:19: grid.z_dim: 0 is not allowed; it must be at"),
    "backwards": ("grid: {seed: 10..1}", ":3:14: grid.seed: 10..1 runs backwards; write 1..10"),
    "object": (
        "grid: {seed: !!python/object/apply:os.system ['touch pwned']}",
        ":3:14: the tag !!python/object/apply:os.system is not allowed",
    ),
    "list under fixed": ("fixed: {seed: [1, 2]}", ":3:1: the key fixed is given twice"),
    "unknown section": ("grids: {seed: 1}", ":3:1: grids: no such field; did you mean grid?"),
    "unknown metric": (
        "figures: {x: z_dim, hue: model, metrics: [mii]}",
        ":3:43: figures.metrics: 'mii' is not a metric; did you mean mi?",
    ),
    "too many runs": ("grid: {seed: 1..9999999}", ":3:7: grid: 9,999,999 runs are more than"),
}
BAD_MODEL = "name: a\nfixed: {dataset: toy4}\ngrid: {model: [mim, vea]}\n"
COMMANDS = [
    ["validate"],
    ["plan"],
    ["plan", "--json"],
    ["run"],
    ["status"],
    ["results"],
    ["figures"],
    ["report"],
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    for name in ("MLFLOW_TRACKING_URI", "MIMSWEEP_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sweep(here: Path) -> Path:
    (here / "toy.yaml").write_text(GOOD)
    return here / "toy.yaml"


@pytest.fixture
def store(here: Path, empty_store: Path) -> Tracking:
    """The sweep's runs in the store of this folder: two complete, and one of each other kind."""
    shutil.copy(empty_store, here)
    tracking = Tracking("sqlite:///mlflow.db")
    parent = tracking.start_sweep("toy", "", {}, {})
    ids = tracking.create_runs(parent, RUNS[:5], {})
    for number, run_id in enumerate(ids[:2]):
        tracking.log_epochs(run_id, [(1, {"train_loss": 2.0, "test_loss": 2.5, "beta": 0.5})])
        metrics = dict.fromkeys(TABLE_METRICS, float(number)) | {"rmse": math.nan}
        tracking.finish(run_id, metrics, {})
    tracking.fail(ids[2], "the training loss turned nan in epoch 7", {})
    tracking.kill(ids[3:4])
    return tracking


def mimsweep(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], prog_name="mimsweep")


def refused(result: Result, exit_code: int = 2) -> str:
    """The sentence with which a command ended, which is all it printed."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("mimsweep: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr.removeprefix("mimsweep: ").strip()


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


@pytest.mark.parametrize("arguments", [["rum"], ["run"], ["run", "a.yaml", "--workers", "0"]])
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], here: Path) -> None:
    assert mimsweep(*arguments).exit_code == 2
    assert os.listdir(here) == []


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_file_is_told_with_its_place_and_nothing_is_written(case: str, here: Path) -> None:
    text, sentence = BAD[case]
    path = here / "a.yaml"
    path.write_text(f"name: a\nfixed: {{dataset: toy4, model: mim}}\n{text}\n")
    for command in COMMANDS:
        assert refused(mimsweep(*command, "a.yaml")).startswith(f"a.yaml{sentence}")
    assert os.listdir(here) == ["a.yaml"]


def test_an_unknown_model_is_told_with_a_near_one(here: Path) -> None:
    (here / "a.yaml").write_text(BAD_MODEL)
    for command in COMMANDS:
        sentence = refused(mimsweep(*command, "a.yaml"))
        assert sentence == (
            f"a.yaml:3:21: grid.model: vea is not allowed; allowed: {ALL_MODELS}; did you mean vae?"
        )
    assert os.listdir(here) == ["a.yaml"]


def test_a_missing_file(here: Path) -> None:
    for command in COMMANDS:
        assert refused(mimsweep(*command, "a.yaml")) == "a.yaml: no such file"
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("seedz=1", "no such field; did you mean seed?"),
        ("seed", "write field=value"),
        ("seed=", "write field=value"),
        ("z_dim=0", "0 is not allowed; it must be at least 1"),
        ("seed=3..1", "3..1 runs backwards; write 1..3"),
        ("seed=1,1", "1 is in the list twice"),
        ("model=vea", f"vea is not allowed; allowed: {ALL_MODELS}; did you mean vae?"),
        ("lr=fast", "'fast' is not allowed; it must be a number"),
    ],
)
def test_a_wrong_override(override: str, sentence: str, sweep: Path, here: Path) -> None:
    for command in COMMANDS:
        told = refused(mimsweep(*command, "toy.yaml", "--set", override))
        assert told.startswith(f"--set {override}: {sentence}")
    assert os.listdir(here) == ["toy.yaml"]


@pytest.mark.parametrize("size", ["0", "-1", "2.5", "all", ""])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_wrong_cohort_size(command: str, size: str, sweep: Path, here: Path) -> None:
    sentence = refused(mimsweep(command, sweep, "--cohort-size", size))
    assert sentence == f"--cohort-size {size}: it must be a whole number from 1, or auto"
    assert os.listdir(here) == ["toy.yaml"]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_no_gpu(command: str, sweep: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    sentence = refused(mimsweep(command, sweep, "--device", "cuda"))
    assert sentence.startswith("--device cuda: no GPU is visible")
    assert os.listdir(here) == ["toy.yaml"]


@pytest.mark.parametrize("command", ["plan", "run", "status", "results", "figures", "report"])
def test_a_store_out_of_reach_is_exit_code_3_at_once(command: str, sweep: Path, here: Path) -> None:
    start = time.monotonic()
    sentence = refused(mimsweep(command, sweep, "--tracking-uri", DEAD_SERVER), exit_code=3)
    assert time.monotonic() - start < 15
    assert sentence.startswith(f"the tracking store {DEAD_SERVER} failed: ")
    assert os.listdir(here) == ["toy.yaml"]


@pytest.mark.slow
def test_missing_image_files_are_told_before_anything_starts(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, DEAD_SERVER)  # there may be a network
    monkeypatch.setenv("MIMSWEEP_DATA_DIR", str(tmp_path / "data"))
    text = "name: a\nfixed: {dataset: pca-fashion-mnist20, model: mim}\n"
    (here / "a.yaml").write_text(text)
    start = time.monotonic()
    result = mimsweep("run", "a.yaml")
    assert time.monotonic() - start < 30
    assert result.exit_code == 2, result.output
    assert result.stderr.splitlines()[-1].startswith("mimsweep: Fashion-MNIST can't be downloaded")
    assert "MIMSWEEP_DATA_DIR" in result.stderr
    assert os.listdir(here) == ["a.yaml"]


def test_validate(sweep: Path, here: Path) -> None:
    result = mimsweep("validate", sweep, "--set", "seed=1..5")
    assert (result.exit_code, result.stdout) == (0, f"{sweep}: toy, 10 runs\n")
    assert os.listdir(here) == ["toy.yaml"]


def test_reading_a_store_that_is_not_there_creates_none(sweep: Path, here: Path) -> None:
    plan = json.loads(mimsweep("plan", sweep, "--json").stdout)
    assert (plan["runs"], plan["complete"], plan["to_run"]) == (6, 0, 6)
    status = json.loads(mimsweep("status", sweep, "--json").stdout)
    assert (status["total"], status["missing"]) == (6, 6)
    assert len(pd.read_csv(io.StringIO(mimsweep("results", sweep).stdout))) == 0
    assert os.listdir(here) == ["toy.yaml"]


def test_plan_json(sweep: Path, store: Tracking) -> None:
    arguments = ["plan", sweep, "--device", "cpu", "--cohort-size", "2", "--json"]
    plan = json.loads(mimsweep(*arguments).stdout)
    cohorts = plan.pop("cohorts")
    assert plan == {"sweep": "toy", "runs": 6, "complete": 2, "to_run": 4}
    assert all(cohort.keys() == {"size", "spec", "seeds"} for cohort in cohorts)
    runs = [(cohort["spec"]["model"], seed) for cohort in cohorts for seed in cohort["seeds"]]
    assert sorted(runs) == [("mim", 2), ("mim", 3), ("vae", 2), ("vae", 3)]
    assert cohorts[0]["size"] == len(cohorts[0]["seeds"]) == 2
    assert cohorts[0]["spec"].keys() == RUNS[0].own_fields().keys() - {"seed"}


def test_plan_for_people(sweep: Path, store: Tracking) -> None:
    lines = mimsweep("plan", sweep).stdout.splitlines()
    assert lines[0] == "toy: 6 runs, 2 complete"
    assert "2 runs  dataset=toy4 model=mim z_dim=2" in lines[1]


def test_status(sweep: Path, store: Tracking) -> None:
    assert json.loads(mimsweep("status", sweep, "--json").stdout) == {
        "sweep": "toy", "total": 6, "finished": 2, "failed": 1, "running": 1, "killed": 1,
        "missing": 1,
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
    result = mimsweep("figures", sweep)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "mimsweep: no sweep has complete runs; start one with `mimsweep run SWEEP`"
    )
    assert os.listdir(here) == ["toy.yaml"]


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
    arguments = ["status", sweep, "--json", "--tracking-uri", elsewhere]
    assert json.loads(mimsweep(*arguments).stdout)["finished"] == 0
