"""A project that was moved, copied or reached by a link: its store has absolute paths."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.tracking.places import Moved, move_artifacts
from mimsweep.orchestrator.tracking.uri import resolve_uri
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.odd.ending import SWEEP, rows
from tests.orchestrator.commands import mimsweep
from tests.orchestrator.stores import SPECS

WEIGHTS = "weights.safetensors"
GONE = "store says, but that folder is not there: if they were moved, `mimsweep doctor --move"
TWICE = "has them too: if the store was copied or moved here, `mimsweep doctor --move-artifacts"


@pytest.fixture
def old(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store of two complete runs, in which we work."""
    folder = here / "a"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "s.yaml").write_text(SWEEP)
    store = Tracking(resolve_uri(None))
    parent_id = store.start_sweep("s", "", {}, {})
    for run_id in store.create_runs(parent_id, SPECS, {}):
        store.finish(run_id, {"nll": 1.0}, {WEIGHTS: run_id.encode()})
    store.finish_sweep(parent_id, "FINISHED", {})
    return folder


def refused_run(says: str) -> None:
    """Starts a run, which is refused before anything is changed."""
    before = Path("mlflow.db").read_bytes()
    result = mimsweep("run", "s.yaml", "--workers", "1")
    assert result.exit_code == 3, result.output
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert Path("mlflow.db").read_bytes() == before


def doctor(*arguments: str) -> Result:
    result = mimsweep("doctor", *arguments)
    assert "Traceback" not in result.output
    return result


def read_all() -> None:
    """Reads the weights of both runs, which are in this folder."""
    store = Tracking(resolve_uri(None), create=False)
    complete = store.complete("s").values()
    assert len(complete) == 2
    assert all(store.artifact(run_id, WEIGHTS) == run_id.encode() for run_id in complete)
    places = [str(place) for (place,) in rows("SELECT artifact_uri FROM runs")]
    places += [str(place) for (place,) in rows("SELECT artifact_location FROM experiments")]
    assert all(place.startswith(f"{Path.cwd()}/mlruns/") for place in places), places


def test_a_moved_project_is_told_before_it_trains_and_can_be_put_right(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = old.rename(old.with_name("b"))
    monkeypatch.chdir(new)
    refused_run(GONE)
    assert not old.exists()
    found = doctor()
    assert found.exit_code == 3
    assert f"FAIL artifacts: the artifacts of s are in {old}/mlruns/1, the {GONE}" in found.stdout
    assert f"--move-artifacts {new}/mlruns` tells the store" in found.stdout
    moved = doctor("--move-artifacts", "mlruns")
    assert f"have them in {new}/mlruns" in moved.stdout or "have them in mlruns" in moved.stdout
    assert moved.exit_code != 3
    read_all()
    assert "FAIL artifacts" not in doctor().stdout
    assert not old.exists()


def test_a_copied_project_leaves_the_original_alone(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = old.with_name("b")
    shutil.copytree(old, new)
    monkeypatch.chdir(new)
    refused_run(TWICE)
    assert move_artifacts(resolve_uri(None), Path("mlruns")) == Moved(3, 2, 0)
    read_all()
    assert move_artifacts(resolve_uri(None), Path("mlruns")) == Moved(0, 0, 0)
    monkeypatch.chdir(old)
    read_all()
    store = Tracking(resolve_uri(None), create=False)
    assert store.misplaced("s") == ""


def test_only_runs_whose_files_are_all_there_are_moved(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = old.with_name("b")
    shutil.copytree(old, new)
    first, second = sorted(new.glob(f"mlruns/1/*/artifacts/{WEIGHTS}"))
    first.unlink()
    second.write_bytes(b"cut")
    before = (new / "mlflow.db").read_bytes()
    with pytest.raises(SpecError, match="it has none of the artifacts: name the folder that has"):
        move_artifacts(f"sqlite:///{new}/mlflow.db", new / "mlruns")
    assert (new / "mlflow.db").read_bytes() == before
    second.write_bytes(second.parts[-3].encode())
    monkeypatch.chdir(new)
    told = doctor("--move-artifacts", "mlruns").stdout
    assert "WARN moved artifacts: " in told
    assert "1 complete runs stay where they were: not all of theirs is in mlruns" in told
    store = Tracking(resolve_uri(None), create=False)
    assert len(store.complete("s")) == 2
    for run_id in store.complete("s").values():
        assert store.artifact(run_id, WEIGHTS) == run_id.encode()


def test_a_wrong_folder_changes_nothing(old: Path) -> None:
    (old / "empty").mkdir()
    before = (old / "mlflow.db").read_bytes()
    for folder, says in {"empty": "it has none of the", "no": "there is no such folder"}.items():
        result = doctor("--move-artifacts", folder)
        assert result.exit_code == 2
        assert says in result.stderr
    assert (old / "mlflow.db").read_bytes() == before


def test_a_project_reached_by_a_link_is_where_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = old.with_name("link")
    link.symlink_to(old)
    store = Tracking(f"sqlite:///{link}/mlflow.db", create=False)
    assert store.misplaced("s") == ""
    old.rename(old.with_name("b"))
    link.unlink()
    old.symlink_to(old.with_name("b"))
    monkeypatch.chdir(old)
    assert Tracking(resolve_uri(None), create=False).misplaced("s") == ""


def test_artifacts_of_a_server_are_not_judged_or_moved(old: Path) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = 's3://bucket/1'")
        database.execute("UPDATE runs SET artifact_uri = 's3://bucket/1/' || run_uuid")
    assert Tracking(resolve_uri(None), create=False).misplaced("s") == ""
    assert move_artifacts(resolve_uri(None), Path("mlruns")) == Moved(0, 0, 0)
    assert os.listdir("mlruns") == ["1"]
    with pytest.raises(SpecError, match="the store is no database: ask who runs it"):
        move_artifacts("http://127.0.0.1:9", Path("mlruns"))
