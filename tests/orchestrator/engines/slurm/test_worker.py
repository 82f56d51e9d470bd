"""What a job does, without Slurm: a process that calls the worker, as submitit does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import psutil
import pytest

from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Drop,
    EpochEnded,
    Event,
    RunFinished,
)
from mimsweep.orchestrator.engines.slurm import worker
from mimsweep.orchestrator.engines.slurm.mail import Broken, Left, Log, Up
from tests.orchestrator.engines.helpers import endless, kinds, specs

JOB = """
import sys
from pathlib import Path
from mimsweep.orchestrator.engines.base import Place
from mimsweep.orchestrator.engines.slurm.worker import Worker
folder = Path(sys.argv[1])
place = Place("cpu", folder, folder / "checkpoints", 30)
Worker(place, folder / "box", folder / "alive", float(sys.argv[2]), folder / "logs")()
"""


class Job:
    """A process that does what a job does, started so often before."""

    def __init__(self, folder: Path, starts: int = 0, patience: float = 300) -> None:
        (folder / "box").mkdir(exist_ok=True)
        (folder / "alive").touch()
        self.alive = folder / "alive"
        self._box = folder / "box"
        self._starts = starts
        self._orders = Log(self._box / "orders")
        self._words = Log(self._box / f"words.{starts}")
        command = [sys.executable, "-c", JOB, str(folder), str(patience)]
        environment = {**os.environ, "SLURM_RESTART_COUNT": str(starts)}
        self.process = subprocess.Popen(command, env=environment)

    def order(self, cohort: int, what: object, to: int | None = None) -> None:
        self._orders.append((self._starts if to is None else to, cohort, what))

    def words(self, count: int) -> list[object]:
        """What it says of itself, when it has said so much more."""
        words: list[object] = self._words.read()
        self._until(lambda: len(words) >= count or words.extend(self._words.read()))
        return words

    def events(self, cohort: int, done: Callable[[list[Event]], bool]) -> list[Event]:
        """What has happened to a cohort until it is enough."""
        log = Log(self._box / f"events.{cohort}")
        events: list[Event] = []

        def enough() -> bool:
            for batch in log.read():
                events.extend(cast("list[Event]", batch))
            return done(events)

        self._until(enough)
        return events

    def _until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def wait(self) -> int:
        return self.process.wait(20)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    job = Job(tmp_path)
    yield job
    job.process.kill()
    job.process.wait()


def ended(events: list[Event]) -> bool:
    return any(isinstance(event, CohortEnded | CohortLost) for event in events)


def test_a_job_trains_cohorts_and_leaves_when_it_is_told_to(job: Job, tmp_path: Path) -> None:
    assert job.words(1) == [Up()]
    job.order(3, specs(1), to=7)  # to another start: it is not this one's
    job.order(4, specs(1, 2))
    events = job.events(4, ended)
    assert kinds(events).count(RunFinished) == 2
    assert events[-1] == CohortEnded(4)
    job.order(5, endless())
    events = job.events(5, lambda events: len(events) > 2)
    assert set(kinds(events)) == {EpochEnded}
    training = psutil.Process(job.process.pid).children()
    for process in training:  # Slurm tells all processes of a job
        process.terminate()
    job.process.send_signal(signal.SIGTERM)
    assert job.wait() == 0
    assert job.words(1) == [Left("it was sent SIGTERM", at_limit=False)]
    assert not ended(job.events(5, bool)), "the training was ended by a signal that is not its own"
    assert psutil.wait_procs(training, 5)[1] == []


def test_a_job_that_was_started_again_has_words_of_its_own(tmp_path: Path) -> None:
    job = Job(tmp_path, starts=2)
    try:
        assert job.words(1) == [Up()]
        job.order(1, specs(1), to=1)
        job.order(2, endless(1))
        job.order(2, Drop(frozenset(run.run_key for run in endless(1))))
        assert job.events(2, ended)[-1] == CohortEnded(2)
        job.process.send_signal(signal.SIGUSR1)
        assert job.wait() == 0
        assert job.words(1) == [Left("it was sent SIGUSR1", at_limit=True)]
    finally:
        job.process.kill()


def test_a_job_that_nobody_knows_of_ends(tmp_path: Path) -> None:
    """Slurm said that it took none, say, and did."""
    forgotten = Job(tmp_path, patience=4)
    words = forgotten.words(0)
    deadline = time.monotonic() + 60
    while len(words) < 2:
        forgotten.alive.touch()
        assert time.monotonic() < deadline
        time.sleep(0.1)
        words += forgotten.words(0)
    assert words == [Up(), Left("it was given nothing to train", at_limit=False)]
    assert forgotten.wait() == 0


@pytest.mark.parametrize(("ends", "over"), [("", True), ("1", True), ("9999999999", False)])
def test_a_signal_long_before_a_jobs_end_is_not_that_of_its_time(
    monkeypatch: pytest.MonkeyPatch, ends: str, over: bool
) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", ends)
    assert worker._nearly_over() == over


def test_a_job_ends_when_its_orchestrator_is_silent(tmp_path: Path) -> None:
    silent = Job(tmp_path, patience=3)
    while not (words := silent.words(0)):  # it has not said yet that it is up
        silent.alive.touch()
    assert words + silent.words(1) == [
        Up(),
        Left("its orchestrator was silent for too long", at_limit=False),
    ]
    assert silent.wait() == 0


def test_a_job_that_starts_after_its_orchestrator_has_died_ends_at_once(tmp_path: Path) -> None:
    late = Job(tmp_path)
    os.utime(late.alive, (1, 1))
    assert late.wait() == 0
    assert late.words(0) == []


def test_a_job_ends_when_its_messages_are_removed(job: Job, tmp_path: Path) -> None:
    job.order(1, endless())
    job.events(1, lambda events: len(events) > 0)
    (tmp_path / "box").rename(tmp_path / "gone")
    assert job.wait() == 0


def test_a_job_that_can_not_load_torch_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken" / "torch"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('this torch is for another machine')")
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{broken.parent}:{path}")
    job = Job(tmp_path)
    job.order(1, specs(1))
    words = job.words(2)
    assert job.wait() == 1
    assert isinstance(words[1], Broken)
    assert "no worker can be started" in words[1].reason
    assert "this torch is for another machine" in words[1].reason
