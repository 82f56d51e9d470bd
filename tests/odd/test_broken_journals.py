"""A search's journal was damaged, is something else, or was left by a killed process."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mimsweep.orchestrator.files.search import load_search
from mimsweep.orchestrator.search.storage import open_storage
from mimsweep.orchestrator.search.study import Study
from tests.odd.test_foreign_studies import FILE, search
from tests.orchestrator.commands import mimsweep

JOURNAL = Path(".mimsweep", "optuna", "small.log")
REMEDY = "give another --storage, or move the file away to begin anew; runs that are complete are"


@pytest.fixture
def journal(here: Path) -> Path:
    """A journal in which a trial has ended, where a search has it if no storage is named."""
    (here / "small.yaml").write_text(FILE)
    study = Study(load_search(here / "small.yaml"), str(JOURNAL))
    study.complete(study.ask()[0].number, [1.0], {"nll": {"1": 1.0}})
    study.close()
    return here / JOURNAL


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda b: b.split(b"\n", 3)[3], "its beginning is missing"),
        (lambda b: b.replace(b"\n", b"\n\x00\x00garbage\n", 1), "line 2 is no entry of one"),
        (lambda b: b + b"garbage\n", " is no entry of one"),
        (lambda b: b + b"garbage", " is no entry of one"),
        (lambda b: b.replace(b'"op_code"', b'"op"', 1), "line 1 is no entry of one"),
        (lambda _: b"name: small\nspace: {}\n", "line 1 is no entry of one"),
        (lambda _: b'{"a": 1}', "line 1 is no entry of one"),
        (lambda _: b"my only notes, without an end of line", "line 1 is no entry of one"),
    ],
)
def test_what_cannot_be_read_is_named_and_kept(
    damage: Callable[[bytes], bytes], why: str, journal: Path
) -> None:
    journal.write_bytes(damage(journal.read_bytes()))
    said = search(str(JOURNAL))
    assert said.startswith(f"{journal} is no journal of Optuna's that can be read (")
    assert why in said
    assert REMEDY in said


@pytest.mark.parametrize(
    ("written", "edited"),
    [
        ('"values":[1.0]', '"values":["good"]'),
        ('"values":[1.0]', '"values":[1.0,2.0]'),
        ('"values":[1.0]', '"values":null'),
        ('{"1":1.0}', '{"1":"good"}'),
        ('{"1":1.0}', '{"one":1.0}'),
        ('{"1":1.0}', "[1.0]"),
    ],
)
def test_a_trial_that_was_edited_is_none_of_ours(written: str, edited: str, journal: Path) -> None:
    text = journal.read_text()
    assert written in text
    journal.write_text(text.replace(written, edited))
    assert "has 1 trial that mimsweep did not make" in search(str(JOURNAL))


def test_a_folder_and_a_database_are_told_what_to_write(journal: Path) -> None:
    assert search(".mimsweep").endswith(
        "a folder: give --storage a journal file, or a database's URL"
    )
    open_storage("sqlite:///study.db").remove_session()
    assert search("study.db").endswith(f"give --storage its URL, sqlite:///{Path.cwd()}/study.db")


def test_an_empty_journal_and_a_half_written_line_are_gone_on_with(journal: Path) -> None:
    whole = journal.read_bytes()
    for content in (b"", whole[:-9], whole + b'{"op_co'):
        journal.write_bytes(content)
        Study(load_search(Path("small.yaml")), str(JOURNAL)).close()
        assert Study(load_search(Path("small.yaml")), str(JOURNAL)).summary() is not None


def test_a_lock_that_a_killed_search_left_is_waited_for_some_seconds(journal: Path) -> None:
    lock = journal.with_name(f"{journal.name}.lock")
    for target in (str(journal), str(JOURNAL)):  # older versions made a link that leads nowhere
        os.symlink(target, lock)
        began = time.monotonic()
        Study(load_search(Path("small.yaml")), str(JOURNAL)).close()
        assert time.monotonic() - began < 6
        assert not lock.is_symlink()


def test_trials_that_failed_are_tried_again_and_told_again(here: Path) -> None:
    (here / "small.yaml").write_text(FILE.replace("[0.001, 0.01]", "[1.0e+18, 1.0e+19]"))
    for start in range(2):
        ended = mimsweep("search", "small.yaml", "--engine", "inline")
        assert ended.exit_code == 1, ended.output
        assert "2 runs failed:" in ended.stderr
        assert ("2 trials that failed are tried again" in ended.stderr) == bool(start)
        assert "small: 2 trials (0 complete, 0 pruned, 2 failed)" in ended.stdout
