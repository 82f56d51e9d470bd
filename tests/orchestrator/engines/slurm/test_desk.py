"""What is done when Slurm refuses jobs, or doesn't answer; its commands are a test's."""

from pathlib import Path

import pytest

from mimsweep.orchestrator.engines.slurm import commands, submission
from mimsweep.orchestrator.engines.slurm.desk import MOST, Desk
from mimsweep.orchestrator.errors import TrainingError
from tests.odd.ending import until


def refuse(*_: object) -> list[str]:
    raise TrainingError("Slurm takes no job: Socket timed out")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(submission, "submit", refuse)
    return Desk(tmp_path, "mimsweep-a", {}, ask=0.0, refused=0.0)


def submitted(desk: Desk, count: int, needed: bool) -> list[str]:
    desk.submit([print] * count)
    taken: list[str] = []
    until(lambda: taken.extend(desk.taken(needed)) or desk.ready)
    return taken


def test_fewer_are_asked_for_where_many_are_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.most == MOST
    for asked, most in ((100, 50), (50, 25), (1, 1)):
        assert submitted(desk, asked, needed=False) == []
        assert (desk.most, desk.refusal) == (most, "Slurm takes no job: Socket timed out")
    monkeypatch.setattr(
        submission, "submit", lambda calls, *_: [f"7_{n}" for n in range(len(calls))]
    )
    assert submitted(desk, 2, needed=False) == ["7_0", "7_1"]
    assert (desk.most, desk.refusal) == (MOST, "")


def test_a_refusal_is_an_end_only_where_no_job_is_there(desk: Desk) -> None:
    assert submitted(desk, 3, needed=False) == []
    with pytest.raises(TrainingError, match="Socket timed out"):
        submitted(desk, 3, needed=True)


def test_that_slurm_says_nothing_of_jobs_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def states() -> dict[str, commands.State]:
        raise ValueError("no number")

    monkeypatch.setattr(commands, "states", states)
    until(lambda: desk.told(soon=False) is None and desk.silence)
    assert desk.silence == "Slurm says nothing of its jobs: no number"
    monkeypatch.setattr(commands, "states", dict)
    until(lambda: desk.told(soon=False))
    assert desk.silence == ""
