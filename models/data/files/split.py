"""A data file as what is trained and tested on: checked, in float32, split once and for all.

**Which items are held out depends on their number and `test_fraction` alone, not on a run's seed**:
all runs of a file are tested on the same items, in the same units (those of the training part, if
they are standardised), as runs on MNIST are. Over seeds a metric then differs by what training
draws, and no run is tested on what another one of the sweep was trained on. How much the choice of
the items itself matters is another question: a file with `x_test` of one's own choice asks it.
Labels are numbered from 0 in the order of their values, over both parts.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimsweep.models.data.files.arrays import read_npy, read_npz
from mimsweep.models.data.files.fitting import Misfit, fitted
from mimsweep.models.data.files.reading import TABLES, FileError, Part, known, shown_cell
from mimsweep.models.data.files.tables import read_csv, read_parquet

MOST_CLASSES = 1000
"""More than that are no classes, but numbers of items or measurements."""

LEAST_COLUMNS = 2


@dataclass(frozen=True)
class Split:
    """Items with shape (·, D), float32, and labels with shape (·,), int64, of both parts.

    Attributes:
        train: to train on, in the order of the file.
        train_labels: all 0 where the file has none.
        test: to test on, in an order that says nothing: the first ones are any.
        test_labels: likewise.
        columns: what columns are called before people, D of them.
        classes: how many labels there are.
        own_test: whether the file says which are to test on.
    """

    train: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    columns: tuple[str, ...]
    classes: int
    own_test: bool


def split(path: Path, label: str, test_fraction: float) -> Split:
    """Reads and checks a data file, and splits it.

    Args:
        path: of the file, absolute.
        label: of a table, the column of labels; empty for none.
        test_fraction: part of the items to test on, of a file that doesn't have its own.

    Raises:
        FileError: the first thing that is wrong.
        OSError: the file can't be read.
    """
    path = known(path)
    if label and path.suffix.lower() not in TABLES:
        raise FileError(
            f"{label} is not allowed: {path} is no table; labels are the array y of an .npz file",
            "label",
        )
    match path.suffix.lower():
        case ".npz":
            part, test = read_npz(path)
        case ".npy":
            part, test = read_npy(path)
        case ".csv":
            part, test = read_csv(path, label)
        case _:
            part, test = read_parquet(path, label)
    parts = [part] if test is None else [part, test]
    items = [_items(each) for each in parts]
    if test is not None and items[0].shape[1] != items[1].shape[1]:
        wide = f"x has {items[0].shape[1]} columns, x_test {items[1].shape[1]}"
        raise FileError(f"{path}: {wide}; they must have the same")
    labels, classes = _labels(path, parts, [len(each) for each in items])
    if test is None:
        order = _any_order(len(items[0]))
        count = min(max(round(test_fraction * len(order)), 1), len(order) - 1)
        chosen = [np.sort(order[count:]), order[:count]]
        items, labels = ([values[0][some] for some in chosen] for values in (items, labels))
    else:
        order = _any_order(len(items[1]))
        items[1], labels[1] = items[1][order], labels[1][order]
    columns = tuple(part.column(number) for number in range(items[0].shape[1]))
    return Split(items[0], labels[0], items[1], labels[1], columns, classes, test is not None)


def _items(part: Part) -> NDArray[np.float32]:
    """Returns items as float32, or says why they are none."""
    x = part.x
    what = part.name
    if x.dtype.kind not in "fiub":
        kind = "complex numbers" if x.dtype.kind == "c" else f"values of {x.dtype}"
        raise FileError(f"{what} has {kind}; items must be real numbers")
    if x.ndim != 2:
        flat = f"; write x.reshape({x.shape[0]}, -1)" if x.ndim > 2 else ""
        raise FileError(f"{what} has shape {x.shape}; it must be (items, columns){flat}")
    if x.shape[1] < LEAST_COLUMNS:
        few = "one column" if x.shape[1] else "no column"
        raise FileError(f"{what} has {few} of numbers; there must be at least {LEAST_COLUMNS}")
    if len(x) < 2:
        raise FileError(f"{what} has {len(x)} items; that is too few to train and test on")
    found = fitted(x)
    if not isinstance(found, Misfit):
        return found
    column = part.column(found.column)
    if found.row is None:
        text = "float32 can't tell its values apart; subtract their mean"
        raise FileError(f"{what}: {column}: {text}")
    raise FileError(
        f"{part.place(what, found.row)}: {column} is {shown_cell(found.value)}; all must be finite "
        "numbers of float32"
    )


def _labels(
    path: Path, parts: list[Part], counts: list[int]
) -> tuple[list[NDArray[np.int64]], int]:
    """Returns the labels of each part, 0 to classes − 1, and the number of classes."""
    if parts[0].y is None:
        return [np.zeros(count, np.int64) for count in counts], 1
    for part, count in zip(parts, counts, strict=True):
        _check_labels(part, count)
    every = np.concatenate([part.y for part in parts if part.y is not None])
    values, numbers = np.unique(every, return_inverse=True)
    if len(values) > MOST_CLASSES:
        raise FileError(
            f"{path}: there are {len(values):,} different labels of {len(every):,} items; at most "
            f"{MOST_CLASSES:,} are classes"
        )
    return np.split(numbers.astype(np.int64), [counts[0]])[: len(parts)], len(values)


def _check_labels(part: Part, count: int) -> None:
    y = part.y
    assert y is not None
    what = part.y_name
    if y.ndim != 1:
        raise FileError(f"{what} has shape {y.shape}; labels are ({count},), one of each item")
    if len(y) != count:
        raise FileError(f"{what} has {len(y)} labels of {count} items; each must have one")
    if y.dtype.kind not in "fiubU":
        raise FileError(f"{what} has labels of {y.dtype}; they must be whole numbers or text")
    if y.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            wrong = np.flatnonzero(np.floor(y) != y)
        wrong = np.union1d(wrong, np.flatnonzero(~np.isfinite(y)))
        if len(wrong):
            row = int(wrong[0])
            raise FileError(
                f"{part.place(what, row)}: the label is {shown_cell(y[row])}; labels are whole "
                "numbers or text"
            )


def _any_order(count: int) -> NDArray[np.int64]:
    """Returns an order of so many items, always the same, that says nothing."""
    name = hashlib.sha256(b"split of a data file").digest()
    words = np.random.Philox(key=int.from_bytes(name[:16], "little")).random_raw(count)
    return np.argsort(words, kind="stable")


def standards(train: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns mean and standard deviation of each column, with shape (D,)."""
    mean = train.mean(axis=0, dtype=np.float64)
    squares: Any = sum(
        np.square(train[start : start + 50_000] - mean).sum(axis=0)
        for start in range(0, len(train), 50_000)
    )
    return mean, np.sqrt(squares / len(train))
