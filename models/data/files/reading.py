"""What a data file holds, whatever its kind: items in rows, and labels if there are any.

Knows no torch: sweep files, which name data files, are checked without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mimsweep.models import places
from mimsweep.models.places import UserError

ENDINGS = (".npz", ".npy", ".csv", ".parquet")
TABLES = (".csv", ".parquet")


class FileError(UserError):
    """A data file can't be used; the message says why, with file, row and column.

    Attributes:
        field: of a run, the one to blame: `dataset`, `label` or `test_fraction`.
    """

    def __init__(self, sentence: str, field: str = "dataset") -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True)
class Part:
    """Items and labels as they stand in a file.

    Attributes:
        x: items with shape (N, D), or whatever else the file has there.
        y: their labels with shape (N,), numbers or text; None if there are none.
        name: what x is called before people: `points.csv`, `points.npz: x_test`.
        y_name: likewise y.
        columns: names of the columns, D of them; empty where they have none.
        lines: of a text, the line of each row, from 1; empty where there are none.
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    name: str
    y_name: str
    columns: tuple[str, ...] = ()
    lines: Sequence[int] = ()

    def column(self, number: int) -> str:
        """Returns what a column, counted from 0, is called before people."""
        return f"column {self.columns[number]}" if self.columns else f"column {number} (from 0)"

    def place(self, name: str, row: int) -> str:
        """Returns where a row of x or y, counted from 0, is, for people."""
        return f"{name}:{self.lines[row]}" if self.lines else f"{name}: row {row} (from 0)"


def shown_cell(value: object) -> str:
    """Returns what stands in a cell, shortened."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def known(path: Path) -> Path:
    """Returns a path as people know it: from the working folder, where it is below that."""
    return Path(places.shown(str(path)))


def unreadable(path: Path, error: OSError) -> FileError:
    """Returns the error that says why the system doesn't give a file."""
    if isinstance(error, FileNotFoundError):
        return FileError(f"there is no file {known(path)}")
    return FileError(f"{known(path)} can't be read: {error.strerror or error}")
