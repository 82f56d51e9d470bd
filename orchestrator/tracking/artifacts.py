"""Artifacts of runs: stored, and read so that what is missing is told and the rest is used."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mimsweep.orchestrator.errors import MimsweepError, MissingError, RefusedError, TrackingError
from mimsweep.orchestrator.tracking.refusals import refusal

if TYPE_CHECKING:
    from mimsweep.orchestrator.tracking.reader import Reader

_MOST_TOLD = 10
_PATIENCE = 3
"""Failures of the store after which it is asked for no more artifacts."""

T = TypeVar("T")


class Artifacts:
    """Reads artifacts of runs, and notes those that are missing or can't be used.

    Attributes:
        barred: why none can be read; empty if they can.
        lost: what was missing so far, a line each.
    """

    def __init__(self, store: Reader, barred: str = "") -> None:
        """`barred` is what `store.misplaced` says of the runs' sweep."""
        self._store = store
        self._failures = 0
        self.barred = barred
        self.lost: list[str] = []

    def get(self, name: str, run_id: str, file: str, use: Callable[[bytes], T]) -> T | None:
        """Returns what is made of an artifact; None, with a note, if nothing can be.

        Args:
            name: the run's, for people.
            run_id: MLflow's.
            file: the artifact's name.
            use: makes something of its content. What it raises, other than an error that ends the
                command, is for want of a whole file.
        """
        if self.barred:
            if self.barred not in self.lost:
                self.lost.append(self.barred)
            return None
        try:
            return read_artifact(self._store, run_id, file, use)
        except (MissingError, RefusedError) as error:
            self.note(name, run_id, str(error))
        except TrackingError as error:
            self._failures += 1
            if self._failures == _PATIENCE:
                self.barred = str(error)
            self.note(name, run_id, f"its {file} could not be read: {error}")
        return None

    def note(self, name: str, run_id: str, why: str) -> None:
        """Notes that something of a run is missing."""
        line = f"{name} (MLflow run {run_id}): {why}"
        if line not in self.lost:
            self.lost.append(line)


File = tuple[str, int, int]
"""A file of a folder: its name, and what is another once it is replaced."""


def files_in(folder: Path) -> frozenset[File]:
    """Returns the files that are in a folder, if it is there."""
    if not folder.is_dir():
        return frozenset()
    there = ((path.name, path.stat()) for path in folder.iterdir() if path.is_file())
    return frozenset((name, stat.st_ino, stat.st_mtime_ns) for name, stat in there)


@contextmanager
def written_since(folder: Path, before: frozenset[File]) -> Iterator[Path]:
    """Yields a folder of copies of what has been written into one since it had `before`.

    What else is there is the user's, or of other runs.
    """
    with tempfile.TemporaryDirectory() as copies:
        for name, *_ in files_in(folder) - before:
            shutil.copyfile(folder / name, Path(copies, name))
        yield Path(copies)


def upload(client: Any, run_id: str, folder: str) -> None:  # noqa: ANN401
    """Stores the files of a folder as a run's artifacts, which may be kept elsewhere than runs.

    Raises:
        TrackingError: they are in a folder that can't be written.
    """
    try:
        client.log_artifacts(run_id, folder)
    except OSError as error:
        place = client.get_run(run_id).info.artifact_uri
        if not place.startswith(("/", "file:")):
            raise
        raise refusal(place, error, "artifact folder") from None


def read_artifact(store: Reader, run_id: str, file: str, use: Callable[[bytes], T]) -> T:
    """Returns what `use` makes of the content of an artifact.

    Raises:
        MissingError: it is not there, or nothing can be made of it.
        TrackingError: the store can't be asked.
    """
    from mimsweep.models.registry import told

    content = store.artifact(run_id, file)
    if content is None:
        raise MissingError(f"its {file} is not in the store")
    try:
        return use(content)
    except MimsweepError:
        raise
    except (Exception, SystemExit) as error:  # cut off, another version's, a user's code
        raise MissingError(f"its {file} can't be used: {told(error)}") from error


def missing_error(lost: Sequence[str]) -> MissingError:
    """The error that tells what was missing, after all else was done."""
    more = len(lost) - _MOST_TOLD
    lines = [*lost[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else [])]
    listed = "".join(f"\n  {line}" for line in lines)
    return MissingError(
        f"done without what is missing or can't be used:{listed}\n"
        "  `mimsweep measure` makes kl_per_dimension.json anew; a run that is deleted in MLflow is "
        "trained anew by `mimsweep run`"
    )
