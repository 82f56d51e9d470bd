"""Sweeps on a real Slurm, disturbed; the numbers are those of the local engine."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from mimsweep.orchestrator.cli.main import main
from tests import faults
from tests.bench import MIMSWEEP, Bench
from tests.odd.ending import until as eventually
from tests.slurm import ask

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]

ON_SLURM = ["--engine", "slurm", "--workers", "2"]


@pytest.fixture
def bench(cluster: Path, tmp_path: Path) -> Iterator[Bench]:
    ask(cluster, "scancel", "--user=root")
    eventually(lambda: not running(cluster))
    bench = Bench(tmp_path, seed=3, options=ON_SLURM)
    yield bench
    bench.close()
    ask(cluster, "scancel", "--user=root")


def running(conf: Path, states: str = "running,completing") -> list[str]:
    command = ["squeue", "--noheader", "--array", f"--states={states}", "--format=%i"]
    return ask(conf, *command).split()


def test_a_sweep_completes_with_a_job_cancelled_and_one_requeued(
    bench: Bench, cluster: Path, without_faults: pd.DataFrame
) -> None:
    bench.start()
    bench.until_training()
    eventually(lambda: len(running(cluster)) == 2)
    cancelled, requeued = running(cluster)
    ask(cluster, "scancel", cancelled)
    time.sleep(2)
    ask(cluster, "scontrol", "requeue", requeued)
    assert bench.wait(300) == 0, bench.log()
    bench.check(without_faults)
    assert f"the worker of Slurm job {cancelled} has left: it was sent SIGTERM" in bench.log()
    assert f"job {requeued}" in bench.log().replace(cancelled, "")
    assert bench.log().count("tried again") >= 2
    eventually(lambda: not running(cluster, "pending,running,completing"), 10)


def test_a_sweep_is_cancelled_and_goes_on(
    bench: Bench, cluster: Path, without_faults: pd.DataFrame
) -> None:
    bench.start()
    bench.until_training()
    command = [MIMSWEEP, "cancel", "faults.yaml"]
    done = subprocess.run(command, cwd=bench.folder, capture_output=True, text=True, check=True)
    assert "has stopped" in done.stdout
    assert bench.wait(10) == 130
    eventually(lambda: not running(cluster, "pending,running,completing"), 10)
    bench.complete()
    bench.check(without_faults)


def test_what_a_killed_orchestrator_leaves_does_no_harm(
    bench: Bench, cluster: Path, without_faults: pd.DataFrame
) -> None:
    bench.start()
    bench.until_training()
    faults.kill_orchestrator(bench)
    bench.wait()
    assert running(cluster), "its jobs end when they have missed it for minutes"
    bench.complete()
    ask(cluster, "scancel", "--user=root")
    bench.check(without_faults)


def test_the_orchestrator_may_be_a_job(
    bench: Bench, cluster: Path, without_faults: pd.DataFrame
) -> None:
    words = [MIMSWEEP, "run", "faults.yaml", "--device", "cpu", *ON_SLURM]
    command = " ".join(map(str, words))
    submit = ["sbatch", "--parsable", f"--chdir={bench.folder}", "--output=log.txt"]
    job = ask(cluster, *submit, f"--wrap={command}").strip()
    assert job

    def state() -> str:
        return ask(cluster, "squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")

    eventually(lambda: state().strip() in ("COMPLETED", "FAILED", "CANCELLED"), 300)
    assert state().strip() == "COMPLETED", bench.log()
    bench.check(without_faults)


@pytest.mark.usefixtures("cluster")
def test_a_partition_that_is_not_there_is_told_before_anything_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "smoke", *ON_SLURM, "--slurm", "partition=nope"])
    assert ended.value.code == 2
    assert "mimsweep: --engine slurm: sbatch: invalid partition specified: nope" in (
        capsys.readouterr().err
    )
    assert os.listdir(here) == []
