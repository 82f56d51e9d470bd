"""Published points, read strictly from a CSV: every error is a sentence with line and column.

Imports no pandas, so that whoever checks a file need not wait for it.
"""

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("metric", "model", "x", "mean", "spread")

_READING_ERROR = "# error of reading a mean:"
_EXAMPLE = f"`{_READING_ERROR} mi=0.01`"


@dataclass(frozen=True)
class Point:
    """A published point; mean, spread (NaN if it isn't known) and error in the metric's unit."""

    metric: str
    model: str
    x: float
    mean: float
    spread: float
    reading_error: float


@dataclass(frozen=True)
class _Row:
    """A line of the file: its text, and its values by column."""

    path: Path
    line: int
    text: str
    columns: Sequence[str]
    values: Sequence[str]

    def __getitem__(self, column: str) -> str:
        return self.values[self.columns.index(column)]

    def error(self, column: str, sentence: str) -> ValueError:
        """Returns the error `file:line:column: name: sentence`."""
        return self.error_at(self.columns.index(column), f"{column}: {sentence}")

    def error_at(self, index: int, sentence: str) -> ValueError:
        """Returns the error that points to the value of that index, or behind the last."""
        ends = [0, *(place + 1 for place, letter in enumerate(self.text) if letter == ",")]
        # A comma inside quotation marks ends no value.
        starts = (end for end in ends if len(_split(f"{self.text[:end]}.")) == index + 1)
        at = next(starts, len(self.text.rstrip()))
        at += len(self.text[at:]) - len(self.text[at:].lstrip())
        return _error(self.path, self.line, at + 1, sentence)

    def number(self, column: str) -> float:
        """Returns the finite number in a column."""
        text = self[column]
        if not text:
            raise self.error(column, "is missing")
        number = _number(text)
        if number is None:
            point = text.replace(",", ".")
            hint = f"; write {point}" if _number(point) is not None else ""
            raise self.error(column, f"{text!r} is not allowed; it must be a finite number{hint}")
        return number


def read_points(path: Path, check_metric: Callable[[str], object] = str) -> list[Point]:
    """Returns the points of a published table, in their order.

    Args:
        path: CSV with the columns `COLUMNS`, in any order, in UTF-8. Empty lines, and what follows
            a `#`, are passed over; but one comment gives each metric's error of reading a mean:
            `# error of reading a mean: mi=0.009 nll=…`.
        check_metric: raises a ValueError, with a sentence, for what is no metric.

    Raises:
        ValueError: the first thing that is wrong, as `file:line:column: name: sentence`.
    """
    lines = re.split(r"\r\n|\r|\n", _decoded(path))
    errors = _reading_errors(path, lines)
    points: dict[tuple[str, str, float], int] = {}
    found = []
    for row in _rows(path, lines):
        for column in ("metric", "model"):
            if not row[column]:
                raise row.error(column, "is missing")
        try:
            check_metric(row["metric"])
        except ValueError as error:
            raise row.error("metric", str(error)) from None
        if row["metric"] not in errors:
            text = f"no error of reading for {row['metric']}; add it in a comment like {_EXAMPLE}"
            raise row.error("metric", text)
        x, mean = row.number("x"), row.number("mean")
        spread = row.number("spread") if row["spread"] else math.nan
        if spread < 0:
            raise row.error("spread", f"{row['spread']} is not allowed; it must be at least 0")
        first = points.setdefault((row["metric"], row["model"], x), row.line)
        if first != row.line:
            raise row.error("metric", f"this metric, model and x are in line {first} already")
        metric = row["metric"]
        found.append(Point(metric, row["model"], x, mean, spread, errors[metric]))
    if not found:
        raise ValueError(f"{path}: has no point, only a head; add a row per point")
    return found


def _rows(path: Path, lines: Sequence[str]) -> Iterator[_Row]:
    columns: Sequence[str] = ()
    for line, whole in enumerate(lines, 1):
        text = whole.partition("#")[0]
        try:
            values = _split(text)
        except csv.Error as error:
            raise _error(path, line, 1, f"the row can't be read: {error}") from None
        if not any(values):
            continue
        row = _Row(path, line, text, columns or values, values)
        if not columns:
            _check_head(row)
            columns = values
            continue
        if len(values) != len(columns):
            text = f"the row has {len(values)} values, but there are {len(columns)} columns"
            raise row.error_at(len(columns), text)
        yield row
    if not columns:
        raise ValueError(f"{path}: the file is empty; write a head of {', '.join(COLUMNS)}")


def _check_head(row: _Row) -> None:
    """Refuses a head that doesn't name each column once."""
    others = [each for each in (";", "\t", "|") if each in row.text]
    if len(row.values) == 1 and others:
        raise row.error_at(0, f"columns must be separated by commas, not by {others[0]!r}")
    for index, name in enumerate(row.values):
        if name not in COLUMNS:
            text = f"{name!r} is not a column; allowed: {', '.join(COLUMNS)}"
            raise row.error_at(index, text)
        if name in row.values[:index]:
            raise row.error_at(index, f"the column {name} is there twice")
    missing = [name for name in COLUMNS if name not in row.values]
    if missing:
        raise row.error_at(len(row.values), f"the column {missing[0]} is missing")


def _reading_errors(path: Path, lines: Sequence[str]) -> dict[str, float]:
    """Returns each metric's error of reading a mean."""
    errors: dict[str, float] = {}
    for line, text in enumerate(lines, 1):
        # Spreadsheets that save the file put quotation marks around a comment, commas behind it.
        if not text.lstrip(' "').startswith(_READING_ERROR):
            continue
        for match in re.finditer(r'(\w+)\s*=\s*([^\s,;"]*)', text):
            error = _number(match[2])
            if error is None or error <= 0:
                sentence = f"{match[2]!r} is not allowed; it must be a finite number above 0"
                raise _error(path, line, match.start(2) + 1, f"{match[1]}: {sentence}")
            if errors.get(match[1], error) != error:
                sentence = f"{match[2]} is not what an earlier comment says: {errors[match[1]]}"
                raise _error(path, line, match.start(2) + 1, f"{match[1]}: {sentence}")
            errors[match[1]] = error
    return errors


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        column = len(before) - before.rfind("\n")
        line = before.count("\n") + 1
        raise _error(path, line, column, "the file is not UTF-8 text") from None


def _split(text: str) -> list[str]:
    """Returns the values of a line, without spaces around them."""
    return [value.strip() for row in csv.reader([text], skipinitialspace=True) for value in row]


def _number(text: str) -> float | None:
    """Returns the finite number that a text is: a whole one as an int; None if it is none."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _error(path: Path, line: int, column: int, sentence: str) -> ValueError:
    return ValueError(f"{path}:{line}:{column}: {sentence}")
