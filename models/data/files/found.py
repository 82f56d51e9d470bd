"""Finds the data files that sweeps name: where each is, and what is in it.

What is in a file is known by its content alone: it is read once, and its parts, kept as they are
trained on in a folder, tell it from then on. Whatever happens to the file while runs train, they
train on what was checked; all processes share the memory of what is kept.
"""

import hashlib
import json
import os
import shutil
import stat
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimsweep.models.data.files.reading import ENDINGS, FileError, known, unreadable
from mimsweep.models.data.files.split import Split, split, standards

LEAST_TEST, LEAST_NEIGHBOURS = 6, 10
"""Items that the estimate of mutual information needs, and those of `knn`, which has k = 10."""

_FACTS = "facts.json"
_VERSION = 1  # of what is kept


@dataclass(frozen=True)
class Facts:
    """What is in a data file.

    Attributes:
        dims: D, the size of an item.
        classes: how many labels there are; 1 where the file has none.
        train_items: how many to train on.
        test_items: how many to test on.
        own_test: whether the file itself says which are to test on.
        low: the smallest number.
        high: the largest.
        bits: whether all are 0 or 1.
        constant: what the columns are called that have one value only, of those to train on.
    """

    dims: int
    classes: int
    train_items: int
    test_items: int
    own_test: bool
    low: float
    high: float
    bits: bool
    constant: tuple[str, ...]


@dataclass(frozen=True)
class DataFile:
    """A data file of a sweep; two of equal content, label and fraction are the same.

    Attributes:
        content: hash of its bytes, 16 hexadecimal digits.
        label: the column of its labels, or empty.
        test_fraction: part of it to test on.
        facts: what is in it.
        path: where it is, an absolute path.
        kept: the folder of its parts, made by `keep`; an absolute path.
    """

    content: str
    label: str
    test_fraction: float
    facts: Facts
    path: Path = field(compare=False)
    kept: Path = field(compare=False)

    def largest_batch(self, limit: int) -> int:
        """Returns the largest batch size up to a limit that both parts suffice for; 0 if none."""
        facts = self.facts

        def suffices(size: int) -> bool:
            test, train = (n // size * size for n in (facts.test_items, facts.train_items))
            return test >= LEAST_TEST and train >= LEAST_NEIGHBOURS

        return next((size for size in range(limit, 0, -1) if suffices(size)), 0)

    @property
    def described(self) -> str:
        """What is in it, for people."""
        facts = self.facts
        parts = f"{facts.train_items:,} items to train on, {facts.test_items:,} to test on"
        labels = f", {facts.classes} classes" if facts.classes > 1 else ""
        return f"{parts}, {facts.dims} columns{' of bits' if facts.bits else ''}{labels}"


def find(name: str, label: str, test_fraction: float, folder: Path, kept: Path) -> DataFile:
    """Returns a data file, read and checked unless it is kept.

    Args:
        name: its path.
        label: the column of its labels, or empty.
        test_fraction: part of it to test on.
        folder: where a relative path starts.
        kept: the folder of what is kept of data files.

    Raises:
        FileError: it is missing, or the first thing that is wrong with it.
    """
    path = Path(os.path.abspath(folder / os.path.expanduser(name)))
    if path.suffix.lower() not in ENDINGS:
        raise FileError(f"{known(path)} is no data file: it must end in {', '.join(ENDINGS)}")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "a pipe or a device"
            raise FileError(f"{known(path)} is {kind}, not a file")
        state = _state(path)
        found = _found(path, state, label, test_fraction, kept.absolute())
        if state != _state(path):
            raise FileError(f"{known(path)} has changed while it was read")
    except OSError as error:
        raise unreadable(path, error) from error
    return found


State = tuple[int, int, int]
"""By what a file that has not changed is known without a look into it: size, time and number."""


def _state(path: Path) -> State:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


@lru_cache(maxsize=256)
def _found(path: Path, state: State, label: str, test_fraction: float, kept: Path) -> DataFile:
    content = _content(path)
    name = hashlib.sha256(json.dumps([_VERSION, label, test_fraction]).encode()).hexdigest()[:8]
    place = kept / f"{content}-{name}"
    facts = _kept_facts(place) or _facts(_parts(path, state, label, test_fraction))
    return DataFile(content, label, test_fraction, facts, path, place)


@lru_cache(maxsize=1)  # what is found is soon kept, and a large text takes long to read
def _parts(path: Path, state: State, label: str, test_fraction: float) -> Split:
    return split(path, label, test_fraction)


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _facts(parts: Split) -> Facts:
    both = (parts.train, parts.test)
    constant = np.flatnonzero(parts.train.min(axis=0) == parts.train.max(axis=0))
    return Facts(
        dims=parts.train.shape[1],
        classes=parts.classes,
        train_items=len(parts.train),
        test_items=len(parts.test),
        own_test=parts.own_test,
        low=min(float(part.min()) for part in both),
        high=max(float(part.max()) for part in both),
        bits=all(bool(((part == 0) | (part == 1)).all()) for part in both),
        constant=tuple(parts.columns[number] for number in constant),
    )


def _kept_facts(place: Path) -> Facts | None:
    with suppress(OSError, ValueError, TypeError):
        known: dict[str, Any] = json.loads((place / _FACTS).read_text())
        return Facts(**{**known, "constant": tuple(known["constant"])})
    return None


def keep(file: DataFile) -> None:
    """Keeps the parts of a data file, unless they are there.

    Raises:
        FileError: the file has changed since it was found, or is gone.
        OSError: the disk is full, or can't be written.
    """
    if _kept_facts(file.kept):
        return
    try:
        state = _state(file.path)
        same = _content(file.path) == file.content
        parts = _parts(file.path, state, file.label, file.test_fraction) if same else None
        same = same and state == _state(file.path)
    except OSError as error:
        raise unreadable(file.path, error) from error
    if parts is None or not same:
        raise FileError(f"{known(file.path)} has changed since the sweep was read; start it again")
    _parts.cache_clear()
    mean, scale = standards(parts.train)
    arrays: dict[str, NDArray[Any]] = {
        "train": parts.train,
        "train_labels": parts.train_labels,
        "test": parts.test,
        "test_labels": parts.test_labels,
        "mean": mean,
        "scale": scale,
    }
    building = file.kept.with_name(f".{file.kept.name}.{uuid.uuid4().hex}")
    building.mkdir(parents=True)
    try:
        for name, values in arrays.items():
            np.save(building / f"{name}.npy", values)
        (building / _FACTS).write_text(json.dumps(asdict(file.facts)))
        with suppress(OSError):  # another process was quicker
            building.rename(file.kept)
    finally:
        shutil.rmtree(building, ignore_errors=True)
