"""Whole sweeps by the installed command, and what is left of them when something is killed."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from mimsweep.orchestrator.metrics import FINAL_METRICS, IMAGE_METRICS
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]

MIMSWEEP = Path(sys.executable).with_name("mimsweep")

ODD_SHAPES = """\
name: odd-shapes
fixed: {z_dim: 1, epochs: 2, batch_size: 1000}
grid:
  mid_dim: [1, 9]
  dataset: [toy2_5, toy-3, toy7_3]
  model: [mim, amim, vae, ae]
figures: {x: mid_dim, hue: model, metrics: [mi, nll, rmse, knn5]}
"""
COHORTS = """\
name: cohorts
fixed: {dataset: toy4, mid_dim: 9, batch_size: 1000, epochs: 12}
grid: {seed: 1..4, model: [mim, vae], warmup: [1, 3]}
"""
# The short runs of both cohorts are complete while the long ones train.
MIDDLE = """\
name: middle
fixed: {dataset: toy4, model: mim, mid_dim: 9, batch_size: 1000}
grid:
  - {seed: 1..2, z_dim: [2, 3], epochs: 3, warmup: 3}
  - {seed: 3..4, z_dim: [2, 3], epochs: 250, warmup: 250}
"""
RUNS_OF_MIDDLE = 8
# The runs of few epochs are complete while the others train.
METHODS = """\
name: methods
fixed: {dataset: DATASET, z_dim: 3, mid_dim: 9, batch_size: 400}
x-long: &long {seed: 1..2, epochs: 15, warmup: 15}
grid:
  - {model: [cmim, vae], epochs: 1}
  - {<<: *long, model: cmim}
  - {<<: *long, model: vae, beta_end: 4, cycles: 2, warmup: 5}
  - {<<: *long, model: vae, free_bits: 0.3, bn_gamma: 0.7}
  - {<<: *long, model: vae, beta_end: 0, mmd: 10}
  - {<<: *long, model: vae, importance_samples: 3}
"""
BAD = """\
name: bad
fixed: {dataset: toy4, model: vae, epochs: 3, batch_size: 10000}
grid: {lr: [1e-3, 1e30]}
"""


class Place:
    """A folder with a sweep file, where the command is run."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "sweep.yaml").write_text(text)
        self.name = text.split()[1]
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.started: list[subprocess.Popen[str]] = []

    def start(self, command: str, *options: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        environment.pop("MLFLOW_TRACKING_URI", None)
        process = subprocess.Popen(
            [str(MIMSWEEP), command, "sweep.yaml", *options],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def end(self, process: "subprocess.Popen[str]", exit_code: int = 0) -> tuple[str, str]:
        out, err = process.communicate(timeout=600)
        assert process.returncode == exit_code, err
        assert "Traceback" not in err
        return out, err

    def mimsweep(self, command: str, *options: str, exit_code: int = 0) -> tuple[str, str]:
        return self.end(self.start(command, *options), exit_code)

    def status(self) -> dict[str, int]:
        counts = json.loads(self.mimsweep("status", "--json")[0])
        assert (counts.pop("sweep"), counts.pop("stale")) == (self.name, {})
        assert len(counts.pop("failures")) == counts["failed"]
        return dict(counts)

    def results(self) -> pd.DataFrame:
        # As text: the very digits are compared.
        return pd.read_csv(io.StringIO(self.mimsweep("results")[0]), dtype=str)

    def complete(self) -> dict[str, str]:
        return Tracking(self.uri, create=False).complete(self.name)

    def all_statuses(self) -> list[str]:
        """Of all runs that were ever created, parents included, as MLflow has them."""
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(self.name)
        assert experiment is not None
        return [run.info.status for run in client.search_runs([experiment.experiment_id])]

    def wait_for_the_middle(self, process: "subprocess.Popen[str]") -> list[psutil.Process]:
        """Waits until runs are complete and others in training; returns the workers."""
        wait_until((self.folder / "mlflow.db").exists)
        wait_until(lambda: process.poll() is not None or len(self.complete()) >= 2)
        assert process.poll() is None, "it ended before there was a middle"
        assert len(self.complete()) < RUNS_OF_MIDDLE
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) == 2
        return workers


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=15)
    for process in alive:
        process.kill()
    assert alive == []


@pytest.fixture
def middle(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "middle", MIDDLE)
    yield place
    for process in place.started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.communicate()


def test_a_sweep_over_odd_shapes(tmp_path: Path) -> None:
    place = Place(tmp_path / "odd", ODD_SHAPES)
    _, err = place.mimsweep("run", "--workers", "2")
    assert "odd-shapes: 24/24 runs complete, 0 running, 0 failed" in err
    everything = {"total": 24, "finished": 24}
    nothing = dict.fromkeys(("failed", "running", "killed", "missing"), 0)
    assert place.status() == everything | nothing
    table = place.results()
    assert len(table) == table["run_key"].nunique() == 24
    assert table[list(IMAGE_METRICS)].isna().all(axis=None)
    untold = ["nll_untrained", "kl_qp", "kl_pq", "kl_mean"]  # of the default q(x) they say nothing
    assert table[untold].isna().all(axis=None)
    of_files = ["label", "content"]  # of which there is none: empty texts
    assert table[of_files].isna().all(axis=None)
    assert table.drop(columns=[*untold, *IMAGE_METRICS, *of_files]).notna().all(axis=None)
    assert table[list(FINAL_METRICS)].astype(float).abs().max(axis=None) < float("inf")
    assert set(table["epochs_run"].astype(float)) == {2.0}
    for name, rows in table.groupby("dataset"):
        # What the data is like does not depend on who learns it.
        assert rows["nll_true_x"].nunique() == 1, name

    before = place.all_statuses()
    _, err = place.mimsweep("run")
    assert "all 24 runs are complete" in err
    assert place.all_statuses() == before == ["FINISHED"] * 25

    out, _ = place.mimsweep("figures", "--output", "drawn")
    assert "24 of 24 runs" in out
    drawn = {file.name for file in (place.folder / "drawn" / "odd-shapes").iterdir()}
    each = ("seeds", "rate_distortion", "kl_profile")
    own = [f"{stem}_{dataset}" for stem in each for dataset in ("toy2_5", "toy-3", "toy7_3")]
    names = ["mi", "nll", "rmse", "knn5", "combined", "learning", "durations", *own]
    assert drawn == {f"{name}.{end}" for name in names for end in ("png", "svg")} | {"table.csv"}
    parent = Tracking(place.uri, create=False).latest_parent("odd-shapes")
    assert parent is not None
    stored = {file.path for file in MlflowClient(place.uri).list_artifacts(parent)}
    assert drawn <= stored


def test_results_do_not_depend_on_cohorts(tmp_path: Path) -> None:
    tables = []
    for name, options in (("auto", []), ("alone", ["--cohort-size", "1"])):
        place = Place(tmp_path / name, COHORTS)
        plan = json.loads(place.mimsweep("plan", "--json", *options)[0])
        assert {cohort["size"] for cohort in plan["cohorts"]} == {1 if options else 8}
        place.mimsweep("run", "--workers", "2", *options)
        tables.append(place.results().drop(columns=["run_id", "seconds"]))
    assert len(tables[0]) == 16
    pd.testing.assert_frame_equal(*tables)


def test_a_killed_worker_costs_no_run(middle: Place) -> None:
    process = middle.start("run", "--workers", "2")
    before = middle.wait_for_the_middle(process)
    before[0].kill()
    _, err = middle.end(process)
    assert "killed by SIGKILL; tried again" in err
    assert middle.all_statuses() == ["FINISHED"] * (RUNS_OF_MIDDLE + 1)
    assert middle.status()["finished"] == RUNS_OF_MIDDLE
    assert middle.results()["run_key"].nunique() == RUNS_OF_MIDDLE
    client = MlflowClient(middle.uri)
    for run_id in middle.complete().values():
        steps = [point.step for point in client.get_metric_history(run_id, "train_loss")]
        epochs = int(client.get_run(run_id).data.params["epochs"])
        assert sorted(steps) == list(range(1, epochs + 1))
    assert_gone(before)


def test_a_killed_orchestrator_is_made_good_by_the_same_command(middle: Place) -> None:
    process = middle.start("run", "--workers", "2")
    workers = middle.wait_for_the_middle(process)
    process.kill()
    process.communicate()
    assert_gone(workers)
    complete = middle.complete()
    status = middle.status()
    assert status["finished"] == len(complete) < RUNS_OF_MIDDLE
    assert (status["running"], status["failed"]) == (0, 0)
    assert status["killed"] > 0
    assert "RUNNING" in middle.all_statuses()
    _, err = middle.mimsweep("run", "--workers", "2")
    assert "left RUNNING are closed as KILLED" in err
    assert complete.items() <= middle.complete().items()
    statuses = middle.all_statuses()
    assert statuses.count("FINISHED") == RUNS_OF_MIDDLE + 1
    assert set(statuses) == {"FINISHED", "KILLED"}
    assert middle.status()["finished"] == RUNS_OF_MIDDLE


@pytest.mark.parametrize("dataset", ["toy4", "toy4_20", "file:../points.npy"])
def test_methods_of_the_field_come_to_the_same_after_a_kill(tmp_path: Path, dataset: str) -> None:
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(9_000, 6)))
    text = METHODS.replace("DATASET", dataset)
    whole, killed = (Place(tmp_path / name, text) for name in ("whole", "killed"))
    whole.mimsweep("run", "--workers", "1")
    process = killed.start("run", "--workers", "1")
    wait_until((killed.folder / "mlflow.db").exists)
    wait_until(lambda: process.poll() is not None or len(killed.complete()) >= 3)
    assert process.poll() is None, "it ended before there was a middle"
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert_gone(workers)
    killed.mimsweep("run", "--workers", "1")
    tables = [place.results().drop(columns=["run_id", "seconds"]) for place in (whole, killed)]
    assert len(tables[0]) == 12
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_within_five_seconds_and_says_how_to_go_on(
    middle: Place, number: signal.Signals
) -> None:
    process = middle.start("run", "--workers", "2")
    workers = middle.wait_for_the_middle(process)
    start = time.monotonic()
    process.send_signal(number)
    _, err = middle.end(process, exit_code=130)
    assert time.monotonic() - start < 5
    assert "the same command completes what is missing" in err
    assert_gone(workers)
    complete = middle.complete()
    statuses = middle.all_statuses()
    assert statuses.count("FINISHED") == len(complete) >= 2
    assert set(statuses) == {"FINISHED", "KILLED"}
    _, err = middle.mimsweep("run", "--workers", "2")
    assert "RUNNING" not in err
    assert complete.items() <= middle.complete().items()
    assert middle.all_statuses().count("FINISHED") == RUNS_OF_MIDDLE + 1
    assert middle.status()["finished"] == RUNS_OF_MIDDLE


def test_a_second_orchestrator_is_refused(middle: Place) -> None:
    process = middle.start("run", "--workers", "2")
    workers = middle.wait_for_the_middle(process)
    for worker in workers:
        worker.suspend()  # or it might be done before the second has started
    kept = middle.folder / ".mimsweep" / "checkpoints" / "middle" / "kept.safetensors"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(b"work of the first")
    for options in ([], ["--fresh"]):
        _, err = middle.mimsweep("run", *options, exit_code=2)
        assert re.search(rf"is being run already, by process {process.pid} on ", err)
        assert kept.read_bytes() == b"work of the first"
    for worker in workers:
        worker.resume()
    middle.end(process)
    assert middle.all_statuses() == ["FINISHED"] * (RUNS_OF_MIDDLE + 1)


def test_a_failed_run_is_named_and_the_others_are_complete(tmp_path: Path) -> None:
    place = Place(tmp_path / "bad", BAD)
    _, err = place.mimsweep("run", "--workers", "1", exit_code=1)
    failed = r"mimsweep: 1 runs? failed:\s+vae-toy4-z2-m50-s1-\S*lr1e\+30: the training loss turned"
    assert re.search(failed, err)
    assert place.status() == {
        "total": 2, "finished": 1, "failed": 1, "running": 0, "killed": 0, "missing": 0
    }  # fmt: skip
    assert list(place.results()["lr"].astype(float)) == [1e-3]
