"""Orchestrators that don't end when they are asked to."""

from dataclasses import replace
from pathlib import Path

import pytest

from mimsweep.orchestrator.running import cancel
from mimsweep.orchestrator.tracking.owner import Owner
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.odd.ending import ENDLESS, SWEEP, rows, started, stop_between_writes, until
from tests.orchestrator.commands import mimsweep


def test_one_elsewhere_that_does_not_answer_is_told_with_what_to_do(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "s.yaml").write_text(SWEEP)
    ours = Owner.this_process()
    # Its clock is an hour ahead: its last heartbeat is not old for an hour.
    other = replace(ours, host="elsewhere", heartbeat=ours.heartbeat + 3600)
    monkeypatch.setattr(Owner, "this_process", lambda: other)
    Tracking(f"sqlite:///{here}/mlflow.db").start_sweep("s", "", {}, {})
    busy = mimsweep("run", "s.yaml")
    assert busy.exit_code == 2
    assert "on elsewhere, started " in busy.stderr
    assert "let it end, or stop it by `mimsweep cancel`" in busy.stderr
    monkeypatch.setattr(cancel, "ELSEWHERE_SECONDS", 1.0)
    monkeypatch.setattr(cancel, "TOLD_SECONDS", 0.2)
    asked = mimsweep("cancel", "s.yaml")
    assert asked.exit_code == 3
    assert "was asked to stop; it is waited for, 1 s more at most" in asked.stderr
    assert "has not within 1 s; end it on elsewhere; if it is dead, others may " in asked.stderr
    assert "start 120 s after its last heartbeat, which by its clock was at " in asked.stderr


@pytest.mark.slow
def test_a_sweep_that_ctrl_z_has_stopped_is_cancelled(here: Path) -> None:
    (here / "s.yaml").write_text(ENDLESS)
    with started("run", "s.yaml", "--workers", "1") as program:
        until(lambda: rows("SELECT * FROM runs WHERE name LIKE 'vae%' AND status = 'RUNNING'"))
        stop_between_writes(program.process, here)
        done = mimsweep("cancel", "s.yaml")
        assert done.exit_code == 0, done.output
        assert "has stopped; 0/2 runs are complete" in done.stdout
        code, _, err = program.end()
    assert code == 130, err
