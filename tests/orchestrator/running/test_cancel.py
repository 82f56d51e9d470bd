"""`mimsweep cancel` on real sweeps."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mimsweep.orchestrator.running.recorder import Recorder
from mimsweep.orchestrator.running.spool import Spool
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.bench import MIMSWEEP, SWEEP, Bench

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

ENDLESS = """
name: faults
fixed: {dataset: toy4, mid_dim: 20, epochs: 1000000, warmup: 1000000}
grid: {model: [mim, vae], z_dim: [2, 3], seed: 1..3}
"""


def cancel(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MIMSWEEP, "cancel", "faults.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_to_cancel_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text(SWEEP)
    done = cancel(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "faults is not being run: nothing to cancel\n"
    assert sorted(os.listdir(tmp_path)) == ["faults.yaml"]


@pytest.mark.slow
def test_a_cancelled_sweep_stops_and_can_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, seed=0)
    (tmp_path / "faults.yaml").write_text(ENDLESS)
    try:
        bench.start()
        bench.until_training()
        done = cancel(tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"process {bench.process.pid}" in done.stdout  # type: ignore[union-attr]
        assert "0/12 runs are complete, and `mimsweep run faults.yaml` goes on" in done.stdout
        assert bench.wait(15) == 130, bench.log()
        client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        (experiment,) = client.search_experiments(filter_string="name = 'faults'")
        runs = client.search_runs([experiment.experiment_id])
        assert {run.info.status for run in runs} == {"KILLED"}
        assert "nothing to cancel" in cancel(tmp_path).stdout
    finally:
        bench.close()


@pytest.mark.slow
def test_a_process_that_does_not_stop_is_told(tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text(SWEEP)
    deaf = (
        "import signal, time\n"
        "from mimsweep.orchestrator.tracking.writer import Tracking\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"Tracking('sqlite:///{tmp_path}/mlflow.db').start_sweep('faults', '', {{}}, {{}})\n"
        "print('started', flush=True)\n"
        "time.sleep(120)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", deaf], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            done = cancel(tmp_path)
        finally:
            process.kill()
    assert done.returncode == 3
    assert "was asked to stop; it is waited for, " in done.stderr
    assert "was asked to stop, but has not within 15 s" in done.stderr
    assert f"`kill -KILL {process.pid}` ends it" in done.stderr


@pytest.mark.slow
def test_an_orchestrator_elsewhere_is_asked_through_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimsweep.orchestrator.running.recorder.HEARTBEAT_SECONDS", 0.0)
    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db")
    parent_id = tracking.start_sweep("faults", "", {}, {})
    recorder = Recorder(tracking, "faults", parent_id, {}, Spool(tmp_path / "spool"))

    def cancelled_after_a_beat() -> bool:
        recorder.tick()
        recorder.create([]).result()  # all that was asked before is done
        return recorder.cancelled

    assert not cancelled_after_a_beat()
    # Another process, which sees the orchestrator as one of another host.
    elsewhere = (
        "import socket, sys\n"
        "socket.gethostname = lambda: 'elsewhere'\n"
        "from mimsweep.orchestrator.cli.main import main\n"
        "main(['cancel', 'faults.yaml'])"
    )
    (tmp_path / "faults.yaml").write_text(SWEEP)
    with subprocess.Popen(
        [sys.executable, "-c", elsewhere],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as canceller:
        deadline = time.monotonic() + 60
        while not cancelled_after_a_beat():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        recorder.close("KILLED", {}, 10.0)
        output, _ = canceller.communicate(timeout=60)
    assert canceller.returncode == 0
    assert "has stopped; 0/12 runs are complete" in output
