"""Data files of arrays: `.npy` with the items, `.npz` with `x`, and `y`, `x_test`, `y_test` if any.

Nothing in them is ever executed: arrays of Python objects, which are pickled, are refused.
"""

import difflib
import re
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mimsweep.models.data.files.reading import FileError, Part

NAMES = ("x", "y", "x_test", "y_test")

_DAMAGES = (ValueError, EOFError, BadZipFile, zlib.error, NotImplementedError)


def read_npy(path: Path) -> tuple[Part, None]:
    """Returns the items of a `.npy` file, mapped into memory, not read."""
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            raise FileError(f"{path} has several arrays: call it .npz")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGES as error:
        raise _damaged(path, error) from error
    return Part(found, None, str(path), str(path)), None


def read_npz(path: Path) -> tuple[Part, Part | None]:
    """Returns the items of an `.npz` file with their labels, and those to test on if there are."""
    with path.open("rb") as file:
        try:
            found = np.load(file, allow_pickle=False)
        except _DAMAGES as error:
            raise _damaged(path, error) from error
        if isinstance(found, np.ndarray):
            raise FileError(f"{path} is one array: call it .npy")
        names = list(found.files)
        for name in names:
            if name not in NAMES:
                near = difflib.get_close_matches(name.lower(), NAMES, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise FileError(f"{path} has an array {name}; allowed: {', '.join(NAMES)}{meant}")
        if "x" not in names:
            raise FileError(f"{path} has no array x; it has {', '.join(names) or 'none'}")
        if "y_test" in names and "x_test" not in names:
            raise FileError(f"{path} has y_test, but no x_test")
        if "x_test" in names and ("y" in names) != ("y_test" in names):
            missing = "y_test" if "y" in names else "y"
            raise FileError(f"{path} has no array {missing}: the labels of some items are missing")
        arrays = {name: _member(path, found, name) for name in names}

    def part(suffix: str) -> Part:
        x, y = f"x{suffix}", f"y{suffix}"
        return Part(arrays[x], arrays.get(y), f"{path}: {x}", f"{path}: {y}")

    return part(""), part("_test") if "x_test" in arrays else None


def _member(path: Path, file: Any, name: str) -> NDArray[Any]:  # noqa: ANN401
    try:
        array = file[name]
    except _DAMAGES as error:
        raise _damaged(path, error, f": {name}") from error
    if not isinstance(array, np.ndarray):
        raise FileError(f"{path}: {name} is no array of NumPy's")
    return array


def _damaged(path: Path, error: Exception, name: str = "") -> FileError:
    if re.search("Object arrays|Python objects", str(error)):  # so says NumPy
        return FileError(
            f"{path}{name} has Python objects, which are never unpickled: save numbers, such as "
            "x.astype(float)"
        )
    return FileError(f"{path}{name} is no whole {path.suffix} file of NumPy's")
