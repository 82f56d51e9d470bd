"""Where artifacts are: MLflow stores absolute paths, which a project that moves leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimsweep.orchestrator.errors import SpecError, TrackingError
from mimsweep.orchestrator.tracking.refusals import refusal
from mimsweep.orchestrator.tracking.runs import COMPLETE
from mimsweep.orchestrator.tracking.uri import (
    DATABASES,
    local_folder,
    place_of,
    scheme_of,
    sqlite_path,
)

_HOW = "`mimsweep doctor --move-artifacts {}` tells the store"


@dataclass(frozen=True)
class Moved:
    """How many runs and experiments have a new place, and how many complete runs kept the old."""

    runs: int
    experiments: int
    stay: int


def misplaced(client: Any, uri: str, experiment: Any) -> str:  # noqa: ANN401
    """Why an experiment's artifacts aren't where a database says, and what to do; "" if they are.

    A place that is not a folder of this machine's, or that a server looks after, is not judged.
    """
    place = local_folder(experiment.artifact_location)
    if place is None or scheme_of(uri) not in DATABASES:
        return ""
    query = f"tags.`{COMPLETE}` = 'true'"
    found = client.search_runs([experiment.experiment_id], query, max_results=1)
    if not found:
        if _made_anew(place):
            return ""
        copy = None
    else:
        copy = _copy(uri, place, found[0].info.run_id)
    path = sqlite_path(uri)
    name = experiment.name
    if not place.is_dir():
        how = _HOW.format(copy or "FOLDER")
        return (
            f"the artifacts of {name} are in {place}, the store says, but that folder is not there:"
            f" if they were moved, {how}; if they are lost, make it again: mkdir -p {place}"
        )
    if copy and path and copy.parent == path.parent:
        return (
            f"the artifacts of {name} are in {place}, the store says, but {copy} beside the store "
            f"has them too: if the store was copied or moved here, {_HOW.format(copy)}; else remove"
            f" {copy / place.name}"
        )
    return ""


def move_artifacts(uri: str, folder: Path) -> Moved:
    """Tells a database, in one transaction, that artifacts are in a folder of this machine's.

    Only runs are moved of which the folder has all that their old place has. What is elsewhere than
    in folders of this machine's is left.

    Args:
        uri: the store's.
        folder: has a folder for each experiment, as `mlruns` has.

    Raises:
        SpecError: they are not there.
        TrackingError: the store can't be changed.
    """
    import sqlalchemy

    folder = folder.absolute()
    if scheme_of(uri) not in DATABASES:
        raise SpecError(f"--move-artifacts {folder}: the store is no database: ask who runs it")
    if not folder.is_dir():
        raise SpecError(f"--move-artifacts {folder}: there is no such folder")
    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.begin() as database:
            return _move(database, folder)
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise _refused(uri, error) from None
    finally:
        engine.dispose()


def _refused(uri: str, error: Exception) -> TrackingError:
    return refusal(uri, getattr(error, "orig", None) or error)


def _move(database: Any, folder: Path) -> Moved:  # noqa: ANN401
    complete = set(
        _ask(database, "SELECT run_uuid, value FROM tags WHERE key = :key", key=COMPLETE)
    )
    runs = list(_ask(database, "SELECT run_uuid, experiment_id, artifact_uri FROM runs"))
    experiments = moved = stay = trained = 0
    for number, location in _ask(
        database, "SELECT experiment_id, artifact_location FROM experiments"
    ):
        old = local_folder(location or "")
        if old is None:
            continue
        new, is_needed = folder / old.name, False
        for run_id, _, place in (run for run in runs if run[1] == number):
            at, to = local_folder(place or ""), new / run_id / "artifacts"
            if at is None or at.parts[-2:] != to.parts[-2:]:
                continue
            is_complete = (run_id, "true") in complete
            is_needed |= is_complete
            if not _has_all(to, at, is_complete):
                stay += is_complete
            elif at != to:
                sql = "UPDATE runs SET artifact_uri = :place WHERE run_uuid = :id"
                _tell(database, sql, to, run_id)
                moved += 1
                trained += is_complete
        if old != new and (new.is_dir() or not is_needed):
            sql = "UPDATE experiments SET artifact_location = :place WHERE experiment_id = :id"
            _tell(database, sql, new, number)
            experiments += 1
    if stay and not trained:  # an error, so that the transaction changes nothing
        raise SpecError(
            f"--move-artifacts {folder}: it has none of the artifacts: name the folder that has a "
            "folder for each experiment, which is mlruns by MLflow's default"
        )
    return Moved(moved, experiments, stay)


def _ask(database: Any, sql: str, **values: str) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    from sqlalchemy import text

    return (tuple(row) for row in database.execute(text(sql), values).all())


def _tell(database: Any, sql: str, place: Path, key: str) -> None:  # noqa: ANN401
    from sqlalchemy import text

    database.execute(text(sql), {"place": place_of(place), "id": key})


def _has_all(new: Path, old: Path, is_complete: bool) -> bool:
    """Whether a run's new place has all that is in its old one, or in it nothing is lost."""
    if not old.is_dir():
        return new.is_dir() or not is_complete
    return all(
        (copy := new / file.relative_to(old)).is_file()
        and (not is_complete or copy.stat().st_size == file.stat().st_size)
        for file in old.rglob("*")
        if file.is_file()
    )


def _made_anew(place: Path) -> bool:
    """Whether a folder of no complete run may be made: its project's folder is there."""
    return place.is_dir() or place.parent.is_dir() or place.parent.parent.is_dir()


def _copy(uri: str, place: Path, run_id: str) -> Path | None:
    """The folder beside the store, or here, that has an experiment's artifacts too."""
    path = sqlite_path(uri)
    beside = [path.parent / "mlruns"] if path else []
    for folder in (*beside, Path("mlruns").absolute()):
        there = folder / place.name / run_id
        if there.is_dir() and not _are_same(there, place / run_id):
            return folder
    return None


def _are_same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)
