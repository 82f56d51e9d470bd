"""What Slurm's commands are given, by commands of their names that print it."""

from pathlib import Path

import pytest

from mimsweep.orchestrator.engines.slurm.commands import State, ask, outside, words

THEIRS = {
    "SQUEUE_PARTITION": "gpu", "SCANCEL_INTERACTIVE": "1", "SBATCH_EXPORT": "NONE",
    "SBATCH_SIGNAL": "KILL@10", "SBATCH_ARRAY_INX": "1-9",
}  # fmt: skip


def test_a_users_settings_change_no_question_and_no_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**THEIRS, "SBATCH_PARTITION": "debug", "SLURM_CONF": "/a/b"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "squeue").write_text("#!/bin/sh\nenv\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    given = {line.partition("=")[0] for line in ask("squeue").splitlines()}
    assert not given & {*THEIRS}
    assert given >= {"SBATCH_PARTITION", "SLURM_CONF"}
    with outside():
        given = {line.partition("=")[0] for line in ask("squeue").splitlines()}
        assert given >= {"SBATCH_PARTITION", "SLURM_CONF"}


def test_options_are_words_of_sbatch() -> None:
    assert words({"time": "4:00:00", "exclusive": True}) == ["--time=4:00:00", "--exclusive"]


@pytest.mark.parametrize(
    ("state", "held", "ended"),
    [
        (State("PENDING", 1, "launch failed requeued held"), True, False),
        (State("PENDING", 1, "launch_failed_requeued_held"), True, False),
        (State("PENDING", 0, "Resources"), False, False),
        (State("PENDING", 0, "JobHeldUser"), False, False),
        (State("RUNNING"), False, False),
        (State("TIMEOUT"), False, True),
    ],
)
def test_states(state: State, held: bool, ended: bool) -> None:
    assert (state.held, state.ended) == (held, ended)
