"""The engine on a real Slurm; the contract of all engines is in test_contract.py."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mimsweep.orchestrator.engines.base import CohortEnded, CohortLost, Drop, Engine, Event
from mimsweep.orchestrator.errors import SpecError, TrainingError
from tests.odd.ending import until as eventually
from tests.orchestrator.engines.helpers import (
    endless,
    kinds,
    slurm,
    specs,
    train,
    until,
    until_ended,
)
from tests.slurm import ask

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]

URGENT = ("sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null")

ORCHESTRATOR = """
import sys
from pathlib import Path
from tests.orchestrator.engines.helpers import endless, slurm
engine = slurm(Path(sys.argv[1]), 1, silent=4.0)
engine.submit(0, endless())
while not engine.events(1.0):
    pass
print("trains", flush=True)
sys.stdin.read()
"""


def jobs(conf: Path) -> dict[str, str]:
    """The state of each job that has not ended, by its id."""
    text = ask(conf, "squeue", "--noheader", "--array", "--format=%i %T")
    return dict(line.split() for line in text.splitlines())


@pytest.fixture
def empty(cluster: Path) -> Path:
    """The slurm.conf of a cluster that nobody uses."""
    ask(cluster, "scancel", "--user=root")
    eventually(lambda: not jobs(cluster))
    return cluster


@pytest.fixture
def engine(empty: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine of one slot, in a folder whose name is not simple."""
    folder = tmp_path / "a 'folder' $HOME"
    folder.mkdir()
    made = slurm(folder, 1)
    yield made
    made.close()


def until_lost(engine: Engine) -> CohortLost:
    lost = until_ended(engine)[-1]
    assert isinstance(lost, CohortLost)
    return lost


def until_training(engine: Engine, conf: Path) -> str:
    """Waits until an endless cohort trains; returns the job that trains it."""
    until(engine, lambda events: len(events) > 2)
    assert engine.waiting == {}
    (job,) = jobs(conf)
    return job


def test_a_job_that_a_stranger_cancels_loses_its_cohort_which_is_excused(
    engine: Engine, empty: Path
) -> None:
    engine.submit(0, endless())
    assert engine.idle == 0
    assert engine.waiting == {0: "for a job of Slurm's"}
    first = until_training(engine, empty)
    ask(empty, "scancel", first)
    lost = until_lost(engine)
    assert lost.excused
    assert lost.reason == f"the worker of Slurm job {first} has left: it was sent SIGTERM"
    assert Path(lost.details.removeprefix("see ")).exists()
    assert engine.idle == 1
    assert train(engine, 1, specs(2))[-1] == CohortEnded(1)
    (second,) = jobs(empty)
    assert second != first


def test_a_job_that_is_killed_without_a_word_loses_its_cohort(engine: Engine, empty: Path) -> None:
    engine.submit(0, endless())
    first = until_training(engine, empty)
    for process in psutil.process_iter(["cmdline", "pid"]):
        if "submitit.core._submit" in (process.info["cmdline"] or ()):
            process.kill()
    lost = until_lost(engine)
    assert not lost.excused, "it may be the cohort that has killed it"
    assert lost.reason == f"Slurm job {first} has ended, failed"
    assert train(engine, 1, specs(2))[-1] == CohortEnded(1)


def test_a_job_that_is_put_back_into_the_queue_goes_on_as_a_slot(
    engine: Engine, empty: Path
) -> None:
    engine.submit(0, endless())
    job = until_training(engine, empty)
    for cohort in (1, 2):
        ask(empty, "scontrol", "requeue", job)
        lost = until_lost(engine)
        assert lost.excused
        assert engine.idle == 1
        engine.submit(cohort, endless())
        assert cohort in engine.waiting
        events = until(engine, lambda events: len(events) > 2)
        # It goes on from the checkpoint of the cohort before.
        assert min(event.epoch for event in events) == 1  # type: ignore[union-attr]
        assert until_training(engine, empty) == job


def test_a_job_of_a_partition_that_is_preempted_is_excused(engine: Engine, empty: Path) -> None:
    engine.submit(0, endless())
    job = until_training(engine, empty)
    assert ask(empty, *URGENT, "--wrap=sleep 4")
    lost = until_lost(engine)
    assert lost.excused
    engine.submit(1, endless())
    assert until_training(engine, empty) == job, "Slurm has put it back into the queue itself"


@pytest.mark.parametrize("name", ["USR1", "USR2"])
def test_a_job_whose_time_is_nearly_over_hands_back_its_cohort(
    engine: Engine, empty: Path, name: str
) -> None:
    engine.submit(0, endless())
    first = until_training(engine, empty)
    ask(empty, "scancel", f"--signal={name}", first)
    lost = until_lost(engine)
    assert lost.excused
    assert f"it was sent SIG{name}" in lost.reason
    engine.submit(1, endless())
    assert until_training(engine, empty) != first


def test_messages_of_an_engine_that_was_killed_are_removed(tmp_path: Path) -> None:
    slurm(tmp_path, 1)  # as if killed: nobody closes it
    (alive,) = tmp_path.rglob("alive")
    slurm(tmp_path, 1).close()
    assert alive.exists(), "it may still live"
    os.utime(alive, (1, 1))
    slurm(tmp_path, 1).close()
    assert not alive.parent.exists()


def test_close_leaves_no_job(engine: Engine, empty: Path, tmp_path: Path) -> None:
    engine.submit(0, endless())
    until_training(engine, empty)
    start = time.monotonic()
    engine.close()
    assert time.monotonic() - start < 3
    eventually(lambda: not jobs(empty), 5)
    assert not list(tmp_path.rglob("mail"))
    assert not list(tmp_path.rglob("*submitted.pkl"))
    assert list(tmp_path.rglob("*_log.out")), "what it printed stays"
    engine.close()


def test_jobs_end_when_their_orchestrator_is_killed(empty: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORCHESTRATOR, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{os.getcwd()}:{os.environ.get('PYTHONPATH', '')}"},
    ) as orchestrator:
        assert orchestrator.stdout is not None
        assert orchestrator.stdout.readline() == "trains\n"
        assert len(jobs(empty)) == 1
        orchestrator.kill()
    eventually(lambda: not jobs(empty), 20)


def test_cohorts_wait_together_for_an_array_of_jobs_and_idle_ones_end(
    empty: Path, tmp_path: Path
) -> None:
    engine = slurm(tmp_path, 3, idle=3.0)
    try:
        for cohort in range(3):
            engine.submit(cohort, specs(cohort + 1, epochs=1))
        assert engine.idle == 0
        assert until_ended(engine, 3)
        names = set(jobs(empty))
        assert {name.partition("_")[2] for name in names} <= {"0", "1", "2"}
        assert names
        until(engine, lambda _: not jobs(empty))
        assert engine.idle == 3
        assert kinds(train(engine, 4, specs(2)))[-1] is CohortEnded
    finally:
        engine.close()


def test_a_cohort_that_waits_can_be_told_and_cancelled(empty: Path, tmp_path: Path) -> None:
    block = ask(empty, *URGENT, "--wrap=sleep 600").strip()
    engine = slurm(tmp_path, 2)
    try:
        engine.submit(0, [*endless(1), *specs(2, batch_size=128)])
        engine.submit(1, specs(3))
        until(engine, lambda _: "pending (" in engine.waiting.get(0, ""))
        assert "and 1 more" in engine.waiting[0]
        engine.command(0, Drop(frozenset([endless(1)[0].run_key])))
        engine.cancel(1, "not any more")
        assert engine.events(0) == [CohortLost(1, "not any more", "")]
        assert engine.waiting.keys() == {0}
        ask(empty, "scancel", block)
        assert until_ended(engine)[-1] == CohortEnded(0)
    finally:
        engine.close()


def test_a_worker_that_can_train_nothing_is_an_error(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken" / "torch"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('this torch is for another machine')")
    monkeypatch.setenv("PYTHONPATH", f"{broken.parent}:{os.environ.get('PYTHONPATH', '')}")
    engine = slurm(tmp_path, 1)
    try:
        with pytest.raises(TrainingError, match="this torch is for another machine"):
            _resubmitted(engine)
    finally:
        engine.close()


def test_jobs_that_end_before_their_worker_is_there_are_an_error(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cloudpickle.py").write_text("raise ImportError('no cloudpickle on this node')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    engine = slurm(tmp_path, 1)
    try:
        with pytest.raises(TrainingError, match=r"(?s)has ended before, failed.*no cloudpickle"):
            _resubmitted(engine)
    finally:
        engine.close()


def _resubmitted(engine: Engine) -> None:
    """Submits a cohort again as often as it is lost."""
    cohort = 0
    while True:
        engine.submit(cohort, specs(1))
        lost = until_lost(engine)
        assert lost.excused
        cohort += 1


def test_slurm_that_takes_no_job_is_waited_for(
    engine: Engine, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "away.conf"
    away.write_text(empty.read_text().replace("SlurmctldPort=", "SlurmctldPort=1#"))
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_CONF", str(away))
        engine.submit(0, specs(1))
        until(engine, lambda _: "takes no job" in engine.waiting.get(0, ""))
    assert until_ended(engine)[-1] == CohortEnded(0)


def test_a_folder_with_a_pattern_of_slurms_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="Slurm takes % in the path of a job's log for a pattern"):
        slurm(tmp_path / "per%20cent", 1)


def test_an_engine_in_a_job_hands_on_nothing_of_its_own(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SLURM_JOB_ID": "7", "SLURM_MEM_PER_CPU": "1", "SLURM_MEM_PER_NODE": "1",
        "SLURM_RESTART_COUNT": "3", "SLURM_NTASKS": "4", "SUBMITIT_EXECUTOR": "slurm",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    engine = slurm(tmp_path, 1)
    try:
        events: list[Event] = train(engine, 0, specs(1))
        assert events[-1] == CohortEnded(0)
    finally:
        engine.close()
    assert os.environ["SLURM_MEM_PER_NODE"] == "1"
