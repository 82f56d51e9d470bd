"""Who is to blame for a job's end; its worker is played by the test."""

from pathlib import Path

import pytest

from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    EpochEnded,
    Event,
    RunFailed,
    RunFinished,
)  # fmt: skip
from mimsweep.orchestrator.engines.slurm.commands import State
from mimsweep.orchestrator.engines.slurm.jobs import Job
from mimsweep.orchestrator.engines.slurm.mail import Broken, Left, Log, Up

FOLDER_LOG = "4711_0_log.out"


class Played:
    """A job, and what its worker writes."""

    def __init__(self, folder: Path, farthest: dict[str, int] | None = None) -> None:
        farthest = {} if farthest is None else farthest
        self.job = Job("4711", folder, folder / FOLDER_LOG, farthest)
        self._folder = folder
        self.words = Log(folder / "words.0")

    def train(self, cohort: int, *epochs: int) -> list[Event]:
        self.job.train(cohort, [])
        events = [EpochEnded("a run", epoch, {}) for epoch in epochs]
        Log(self._folder / f"events.{cohort}").append(events)
        return self.job.hear()


@pytest.fixture
def played(tmp_path: Path) -> Played:
    played = Played(tmp_path)
    played.words.append(Up())
    assert played.job.worker == "expected"
    assert played.job.hear() == []
    assert played.job.free
    return played


def test_orders_are_for_the_present_start_of_a_job(played: Played, tmp_path: Path) -> None:
    orders = Log(tmp_path / "orders")
    played.job.train(3, [["runs"]])
    played.job.order("drop")
    assert orders.read() == [(0, 3, ["runs"]), (0, 3, "drop")]
    (lost,) = played.job.learn(State("PENDING", 2, "BeginTime"))
    assert lost == CohortLost(
        3, "Slurm has put job 4711 back into the queue", f"see {tmp_path / FOLDER_LOG}", False, True
    )
    assert played.job.worker == "expected"
    Log(tmp_path / "words.1").append(Up())  # of a start that was over before it was noticed
    assert played.job.hear() == []
    assert not played.job.free
    Log(tmp_path / "words.2").append(Up())
    played.job.hear()
    assert played.job.free
    played.job.train(4, [["more runs"]])
    assert orders.read() == [(2, 4, ["more runs"])]


@pytest.mark.parametrize(
    ("state", "epochs", "excused"),
    [
        ("NODE_FAIL", (), True),
        ("PREEMPTED", (), True),
        ("TIMEOUT", (1, 2), True),
        ("TIMEOUT", (), False),
        ("CANCELLED", (1,), True),
        ("CANCELLED", (), False),
        ("no longer known to Slurm", (), False),
        ("FAILED", (1, 2), False),
        ("OUT_OF_MEMORY", (1, 2), False),
    ],
)
def test_what_slurm_has_done_is_not_held_against_a_cohort(
    played: Played, state: str, epochs: tuple[int, ...], excused: bool
) -> None:
    assert len(played.train(0, *epochs)) == len(epochs)
    (lost,) = played.job.learn(State(state))
    assert isinstance(lost, CohortLost)
    assert lost.excused == excused
    assert lost.too_large == (state == "OUT_OF_MEMORY")
    assert lost.reason == f"Slurm job 4711 has ended, {state.lower().replace('_', ' ')}"
    assert played.job.learn(State(state)) == []


@pytest.mark.parametrize(("at_limit", "again"), [(True, False), (False, True)])
def test_a_cohort_that_comes_no_farther_within_a_jobs_time_is_not_excused(
    played: Played, tmp_path: Path, at_limit: bool, again: bool
) -> None:
    left = Left("it was sent SIGUSR2", at_limit)
    farthest: dict[str, int] = {}
    for number, expected in enumerate((True, again)):
        folder = tmp_path / str(number)
        folder.mkdir()
        job = Played(folder, farthest)
        job.words.append(Up())
        job.train(number, 1, 2)  # the second time, what it has done anew
        job.words.append(left)
        (lost,) = job.job.hear()
        assert isinstance(lost, CohortLost)
        assert lost.excused == expected
        assert job.job.worker == "gone"
        assert not job.job.free


def test_who_had_not_a_jobs_whole_time_or_ended_a_run_is_excused(
    played: Played, tmp_path: Path
) -> None:
    played.job.train(0, [])
    Log(tmp_path / "events.0").append([CohortEnded(0)])
    assert played.job.hear() == [CohortEnded(0)]
    played.train(1)  # shortly before the end
    played.words.append(Left("it was sent SIGUSR2", at_limit=True))
    (lost,) = played.job.hear()
    assert isinstance(lost, CohortLost)
    assert lost.excused


@pytest.mark.parametrize("event", [RunFinished("a run", {}, b""), RunFailed("a run", "nan")])
def test_a_run_that_has_ended_is_progress(played: Played, tmp_path: Path, event: Event) -> None:
    played.job.train(0, [])
    Log(tmp_path / "events.0").append([event])
    *_, lost = played.job.learn(State("TIMEOUT"))
    assert isinstance(lost, CohortLost)
    assert lost.excused


def test_the_last_events_come_before_the_last_word(played: Played, tmp_path: Path) -> None:
    played.job.train(1, [])
    Log(tmp_path / "events.1").append([EpochEnded("a run", 2, {}), CohortEnded(1)])
    played.words.append(Left("it was sent SIGTERM", at_limit=False))
    assert played.job.hear() == [EpochEnded("a run", 2, {}), CohortEnded(1)]
    assert played.job.worker == "gone"
    assert played.job.learn(State("COMPLETED")) == []


def test_a_worker_that_can_not_train_excuses_its_cohort(played: Played, tmp_path: Path) -> None:
    played.train(0)
    played.words.append(Broken("no worker can be started: it has no torch"))
    (lost,) = played.job.hear()
    assert isinstance(lost, CohortLost)
    assert lost.excused
    assert played.job.broken == "no worker can be started: it has no torch"
    assert "can't be read: are this folder's files seen on all nodes?" in played.job.last_words()
    (tmp_path / FOLDER_LOG).write_text("one\n\ntwo\nthree\nfour\n")
    assert played.job.last_words().endswith("ends with:\n  two\n  three\n  four")
