"""Data files that are tables, `.csv` and `.parquet`: columns of numbers, one of labels if named.

In a CSV the first line has the names of the columns, cells are separated by commas, decimals by a
point. It is read by Python's own reader, so that each cell that is wrong has its line.
"""

import csv
import difflib
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimsweep.models.data.files.reading import FileError, Part, shown_cell

_AT_ONCE = 10_000  # rows whose cells become numbers at once
_INDEX = "__index_level_0__"
"""What pandas calls the column that its index becomes in Parquet."""


def read_csv(path: Path, label: str) -> tuple[Part, None]:
    """Returns the items of a CSV file, with their labels if `label` names a column."""
    blocks, labels, lines = list[NDArray[np.float64]](), list[str](), array("q")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        rows = _rows(path, reader)
        first = next(rows, None)
        if first is None:
            raise FileError(f"{path} is empty")
        names = first[1]
        _check_header(path, names)
        chosen = _label_column(path, names, label)
        columns = [name for number, name in enumerate(names) if number != chosen]
        while some := list(islice(rows, _AT_ONCE)):
            for line, cells in some:
                if len(cells) != len(names):
                    raise FileError(
                        f"{path}:{line}: has {len(cells)} cells, where the first line has "
                        f"{len(names)} columns"
                    )
                if chosen is not None:
                    labels.append(cells.pop(chosen).strip())
                    if not labels[-1]:
                        raise FileError(f"{path}:{line}: column {label} is empty: no label")
                lines.append(line)
            blocks.append(_numbers(path, some, columns, bool(label)))
    x = np.concatenate(blocks) if blocks else np.empty((0, len(columns)))
    y = None if chosen is None else _narrowed(labels)
    return Part(x, y, str(path), str(path), tuple(columns), lines), None


def _rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:  # noqa: ANN401
    """Yields line and cells of each row that is not blank."""
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileError(f"{path}:{reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise FileError(f"{path}:{_undecodable(path)}: is not UTF-8 text") from error
        if cells:
            yield reader.line_num, cells


def _undecodable(path: Path) -> int:
    """Returns the line of the first byte that is not UTF-8: a reader decodes many lines at once."""
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1
    return 1


def _check_header(path: Path, names: Sequence[str]) -> None:
    where = f"{path}:1"
    if len(names) == 1 and (found := [mark for mark in ";\t|" if mark in names[0]]):
        what = {";": "semicolons", "\t": "tabs", "|": "bars"}[found[0]]
        points = ", and points in numbers" if found[0] == ";" else ""  # as spreadsheets pair them
        raise FileError(f"{where}: cells are separated by {what}; write commas{points}")
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise FileError(
                f"{where}: column {number} has no name (pandas writes its index so: "
                "to_csv(…, index=False) leaves it out)"
            )
    counted = ([str(n) for n in range(s, len(names) + s)] for s in (0, 1))  # as pandas names them
    if all(map(_is_number, names)) and list(names) not in counted:
        raise FileError(f"{where}: has numbers where names of columns belong; write a first line")
    _check_names(f"{where}", names)


def _check_names(where: str, names: Sequence[str]) -> None:
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise FileError(f"{where}: two columns are called {twice[0]}")


def _label_column(path: Path, names: Sequence[str], label: str) -> int | None:
    if not label:
        return None
    if label not in names:
        near = difflib.get_close_matches(label, names, n=1)
        more = ", …" if len(names) > 8 else ""
        listed = f"; there are {', '.join(names[:8])}{more}"
        meant = f"; did you mean {near[0]}?" if near else listed
        raise FileError(f"{path} has no column {label}{meant}", "label")
    return names.index(label)


def _numbers(
    path: Path, rows: Sequence[tuple[int, list[str]]], columns: Sequence[str], labelled: bool
) -> NDArray[np.float64]:
    """Returns the cells of some rows, with shape (n, D)."""
    cells = [cells for _, cells in rows]
    try:
        if "_" in "".join(chain.from_iterable(cells)):  # Python's own numbers may have it
            raise ValueError
        every = map(float, chain.from_iterable(cells))
        return np.fromiter(every, np.float64, len(rows) * len(columns)).reshape(len(rows), -1)
    except ValueError:
        line, number, cell = next(
            (line, number, cell)
            for line, cells in rows
            for number, cell in enumerate(cells)
            if not _is_number(cell)
        )
    where = f"{path}:{line}: column {columns[number]}"
    if not cell.strip():
        raise FileError(f"{where} is empty; fill it in, or leave the row out")
    hint = ""
    if _is_number(cell.replace(",", ".", 1)):
        hint = "; decimals are written with a point"
    elif not any(_is_number(cells[number]) for _, cells in rows[:100]):
        named = "" if labelled else f"name it by label: {columns[number]}, or "
        hint = f"; if the column is text, {named}leave it out"
    raise FileError(f"{where} is {shown_cell(cell)}, no number{hint}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _narrowed(labels: Sequence[str]) -> NDArray[Any]:
    """Returns labels as numbers if all are, else as text."""
    if all(map(_is_number, set(labels))):
        return np.array(list(map(float, labels)))
    return np.array(labels)


def read_parquet(path: Path, label: str) -> tuple[Part, None]:
    """Returns the items of a Parquet file, with their labels if `label` names a column."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, partitioning=None)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise FileError(f"{path} is no whole .parquet file") from error
    names = table.column_names
    _check_names(str(path), names)
    if _INDEX in names:
        raise FileError(f"{path}: pandas has stored its index: to_parquet(…, index=False)")
    chosen = _label_column(path, names, label)
    columns = [name for number, name in enumerate(names) if number != chosen]
    x = np.empty((len(table), len(columns)))
    for number, name in enumerate(columns):
        column = table.column(name)
        kind = column.type
        types = pyarrow.types
        if not (
            types.is_integer(kind)
            or types.is_floating(kind)
            or types.is_boolean(kind)
            or types.is_decimal(kind)
        ):
            named = "" if label else f" name it by label: {name}, or"
            raise FileError(f"{path}: column {name} is {kind}, no numbers;{named} leave it out")
        _check_whole(path, name, column)
        x[:, number] = column.cast(pyarrow.float64(), safe=False).to_numpy()
    y = None
    if chosen is not None:
        _check_whole(path, label, table.column(label))
        y = np.array(table.column(label).to_pylist())
    return Part(x, y, str(path), str(path), tuple(columns)), None


def _check_whole(path: Path, name: str, column: Any) -> None:  # noqa: ANN401
    """Refuses a column that has missing values."""
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise FileError(f"{path}: row {row} (from 0): column {name} is missing")
