"""Data files that are as they should be."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

ITEMS, COLUMNS = 120, ("a", "b", "c")


def points(items: int = ITEMS, seed: int = 1) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Points around three corners, in columns of three scales, and the names of their corners."""
    source = np.random.default_rng(seed)
    corner = source.integers(0, 3, items)
    x = np.stack([np.cos(corner * 2.1), np.sin(corner * 2.1), corner], axis=1)
    x += 0.1 * source.normal(size=x.shape)
    return x * [1, 100, 0.01] + [0, 7, 0], np.array(["red", "green", "blue"])[corner]


def write_csv(path: Path, x: NDArray[Any], labels: NDArray[Any] | None = None) -> Path:
    """Writes a CSV with columns a, b, c and, where there are labels, kind before the last."""
    rows = [[repr(float(value)) for value in row] for row in x]
    names = list(COLUMNS)
    if labels is not None:
        names.insert(2, "kind")
        for row, label in zip(rows, labels, strict=True):
            row.insert(2, str(label))
    path.write_text("\n".join(map(",".join, [names, *rows])) + "\n")
    return path


def write_parquet(path: Path, x: NDArray[Any], labels: NDArray[Any] | None = None) -> Path:
    """The same as Parquet."""
    columns = dict(zip(COLUMNS, x.T, strict=True))
    if labels is not None:
        columns["kind"] = labels
    parquet.write_table(pa.table({name: pa.array(v) for name, v in columns.items()}), path)
    return path
