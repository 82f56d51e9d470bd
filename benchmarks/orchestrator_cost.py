"""What the orchestrator costs: plans, skip checks and the store, of many runs.

    python benchmarks/orchestrator_cost.py [--runs 10000] [--repeats 3]

All on SQLite, in a temporary folder. The store is filled through the recorder, as `mimsweep run`
fills it. Filling takes about 40 ms a run: `--runs 1000` for a quick look.
"""

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

from mlflow import MlflowClient

from mimsweep.orchestrator.engines.base import EpochEnded, Place, RunFinished
from mimsweep.orchestrator.engines.choice import choose
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.files.sweep import Sweep, load_sweep
from mimsweep.orchestrator.metrics import EPOCH_METRICS, TABLE_METRICS
from mimsweep.orchestrator.planning import plan
from mimsweep.orchestrator.running.dispatch import Dispatcher
from mimsweep.orchestrator.running.policy import Policy
from mimsweep.orchestrator.running.progress import ProgressState, view
from mimsweep.orchestrator.running.recorder import Recorder
from mimsweep.orchestrator.running.spool import Spool
from mimsweep.orchestrator.tracking.writer import Tracking

MIMSWEEP = Path(sys.executable).with_name("mimsweep")
MANY = """
name: many
fixed: {{dataset: toy4, mid_dim: 5, epochs: 5, warmup: 1}}
grid: {{model: [mim, vae], seed: 1..{seeds}}}
"""
STUDY = """
name: study
fixed: {dataset: toy4, min_logvar: 6, warmup: 3, epochs: 40}
grid: {model: [mim, vae], mid_dim: [20, 50], seed: 1..10}
"""


class Silent(Recorder):
    """A recorder that stores nothing: what training takes without the store."""

    def _call(self, function: Callable[[], object]) -> Future:
        done: Future = Future()
        done.set_result(None)
        return done


class FirstEpoch:
    """Notes when the first epoch ends: workers have started by then."""

    at = 0.0

    def more(self, dispatcher: Dispatcher) -> bool:
        """Asks for nothing."""
        return False

    def epoch(self, event: EpochEnded) -> None:
        """A run has trained an epoch."""
        self.at = self.at or time.monotonic()

    def ended(self, run: RunSpec, metrics: Mapping[str, float] | None) -> None:
        """A run has ended."""


def recorder_of(sweep: Sweep, kind: type[Recorder] = Recorder) -> Recorder:
    """Returns the recorder of a new invocation of a sweep in the current folder's store."""
    tracking = Tracking("sqlite:///mlflow.db")
    parent_id = tracking.start_sweep(sweep.name, "", {}, {})
    return kind(tracking, sweep.name, parent_id, {}, Spool(Path("spool")))


def fill(sweep: Sweep) -> tuple[float, float]:
    """Stores all runs of a sweep as complete; returns seconds a run, and points a second."""
    recorder, points = recorder_of(sweep), 0
    start = time.monotonic()
    for first in range(0, len(sweep.runs), 64):
        runs = sweep.runs[first : first + 64]
        recorder.create(runs).result()
        for run in runs:
            for epoch in range(1, run.epochs + 1):
                row = dict.fromkeys(EPOCH_METRICS, 1.0 / epoch)
                recorder.epoch(EpochEnded(run.run_key, epoch, row))
            recorder.finish(run, RunFinished(run.run_key, dict.fromkeys(TABLE_METRICS, 1.0), b"0"))
            points += run.epochs * len(EPOCH_METRICS) + len(TABLE_METRICS)
        recorder.tick()
    recorder.close("FINISHED", {}, 3600)
    seconds = time.monotonic() - start
    return seconds / len(sweep.runs), points / seconds


def sustained(sweep: Sweep, seconds: float = 20) -> float:
    """Returns the points a second that a recorder stores of 40 runs in training."""
    runs = sweep.runs[:40]
    recorder, points = recorder_of(sweep), 0
    recorder.create(runs).result()
    start = time.monotonic()
    for epoch in itertools.count(1):
        if time.monotonic() - start > seconds:
            break
        for run in runs:
            row = dict.fromkeys(EPOCH_METRICS, 1.0)
            recorder.epoch(EpochEnded(run.run_key, epoch, row))
            points += len(row)
        if epoch % 100 == 0:  # as many as a fast cohort sends between two flushes
            recorder._flushed = 0.0
            recorder.tick()
            recorder.create([]).result()  # all that was asked before is done
    recorder.close("KILLED", {}, 600)
    return points / (time.monotonic() - start)


def skip_check(runs: int) -> None:
    """Prints the time of `mimsweep plan` with all complete, and of MLflow's own search alone."""
    command = [str(MIMSWEEP), "plan", "many.yaml", "--tracking-uri", "sqlite:///mlflow.db"]
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    assert status == 0
    searching = time.monotonic()
    client, found, token = MlflowClient("sqlite:///mlflow.db"), 0, None
    experiment = client.get_experiment_by_name("many")
    assert experiment is not None
    while True:
        page = client.search_runs(
            [experiment.experiment_id], "tags.`mimsweep.complete` = 'true'", max_results=2500,
            page_token=token,
        )  # fmt: skip
        found, token = found + len(page), page.token
        if not token:
            break
    searching = time.monotonic() - searching
    print(
        f"skip check, {found} complete: `mimsweep plan` {seconds:.1f} s in all (start included), "
        f"{usage.ru_maxrss / 1024:.0f} MB; MLflow's own search alone {searching:.1f} s"
    )
    assert found == runs


def training(sweep: Sweep, kind: type[Recorder], workers: int) -> float:
    """Returns the seconds in which a sweep trains, from the first epoch to the last run's end."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        recorder = recorder_of(sweep, kind)
        choice = choose("local", "cpu", workers, 1.0)
        engine = choice.make(Place("cpu", Path("data"), Path("checkpoints"), 30.0), Path("logs"))
        todo = plan(sweep.name, sweep.runs, (), None, "cpu", workers)
        with view() as shown:
            state, first = ProgressState(sweep.name, len(sweep.runs), 0), FirstEpoch()
            dispatcher = Dispatcher(engine, recorder, shown, Policy(), state, first)
            for cohort in todo.cohorts:
                dispatcher.add(cohort)
            assert not dispatcher.run(lambda: False).failed
            seconds = time.monotonic() - first.at
        engine.close()
        recorder.close("FINISHED", {}, 600)
    return seconds


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("many.yaml").write_text(MANY.format(seeds=options.runs // 2))
        Path("study.yaml").write_text(STUDY)
        start = time.monotonic()
        many = load_sweep(Path("many.yaml"))
        loaded = time.monotonic()
        plan(many.name, many.runs, (), None)
        planned = time.monotonic()
        print(
            f"{len(many.runs)} runs: loaded in {loaded - start:.2f} s, "
            f"planned in {planned - loaded:.2f} s"
        )
        print(f"epochs into SQLite, sustained: {sustained(many):.0f} points a second", flush=True)
        per_run, points = fill(many)
        print(f"complete runs: {per_run * 1000:.0f} ms each, {points:.0f} points a second")
        skip_check(len(many.runs))
        print(f"peak memory of this process: {peak():.0f} MB", flush=True)
        study = load_sweep(Path("study.yaml"))
        for workers in (1, 2):
            pairs = [
                (training(study, Silent, workers), training(study, Recorder, workers))
                for _ in range(options.repeats)
            ]
            os.chdir(folder)
            slower = statistics.median(told / silent - 1 for silent, told in pairs)
            shown = ", ".join(f"{silent:.1f} → {told:.1f} s" for silent, told in pairs)
            print(f"training of {len(study.runs)} runs, {workers} workers, without → with the "
                  f"store: {shown}; median {slower:+.1%}", flush=True)  # fmt: skip


def peak() -> float:
    """Returns the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
