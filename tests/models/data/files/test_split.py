"""What is read of data files of every kind, how it is checked, and how it is split."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mimsweep.models.data.files.fitting import Misfit, fitted
from mimsweep.models.data.files.split import Split, split, standards
from tests.models.data.files.examples import ITEMS, points, write_csv, write_parquet


def joined(parts: Split) -> tuple[Any, Any]:
    """Items and labels of both parts, in the order of the items."""
    x = np.concatenate([parts.train, parts.test])
    labels = np.concatenate([parts.train_labels, parts.test_labels])
    order = np.lexsort(x.T)
    return x[order], labels[order]


def of_kind(folder: Path, kind: str) -> Split:
    x, names = points()
    numbers = np.unique(names, return_inverse=True)[1]
    path = folder / f"points.{kind}"
    match kind:
        case "csv":
            return split(write_csv(path, x, names), "kind", 0.25)
        case "parquet":
            return split(write_parquet(path, x, names), "kind", 0.25)
        case "npz":
            np.savez(path, x=x, y=numbers)
    return split(path, "", 0.25)


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_all_kinds_of_files_come_to_the_same(tmp_path: Path, kind: str) -> None:
    parts = of_kind(tmp_path, kind)
    x, names = points()
    order = np.lexsort(x.astype(np.float32).T)
    items, labels = joined(parts)
    assert_array_equal(items, x.astype(np.float32)[order])
    values = np.unique(names)
    assert_array_equal(values[labels], names[order])
    assert (parts.classes, parts.own_test) == (3, False)
    other = of_kind(tmp_path, "npz")
    assert_array_equal(parts.test, other.test)
    assert_array_equal(parts.train, other.train)


def test_the_split_is_by_number_and_fraction_alone(tmp_path: Path) -> None:
    x, _ = points()
    np.save(tmp_path / "a.npy", x)
    np.save(tmp_path / "b.npy", 2 * x)
    first, other = (split(tmp_path / f"{name}.npy", "", 0.25) for name in "ab")
    assert len(first.test) == ITEMS / 4
    assert_array_equal(2 * first.test, other.test)
    larger = split(tmp_path / "a.npy", "", 0.5)
    assert_array_equal(larger.test[: ITEMS // 4], first.test)
    rows = [int(np.flatnonzero((x.astype(np.float32) == row).all(axis=1))[0]) for row in first.test]
    assert np.mean(np.diff(rows) > 0) < 0.8  # in no order
    assert abs(np.mean(rows) - ITEMS / 2) < 20
    assert sorted(rows) != list(range(ITEMS - len(rows), ITEMS))


@pytest.mark.parametrize(("items", "fraction", "test"), [(2, 0.01, 1), (10, 0.99, 9), (7, 0.5, 4)])
def test_both_parts_have_an_item(tmp_path: Path, items: int, fraction: float, test: int) -> None:
    np.save(tmp_path / "few.npy", points(items)[0])
    parts = split(tmp_path / "few.npy", "", fraction)
    assert (len(parts.train), len(parts.test)) == (items - test, test)


def test_a_part_to_test_on_of_ones_own(tmp_path: Path) -> None:
    x, names = points()
    more, others = points(30, seed=2)
    others[:5] = "amber"
    np.savez(tmp_path / "own.npz", x=x, y=names, x_test=more, y_test=others)
    parts = split(tmp_path / "own.npz", "", 0.2)
    assert parts.own_test
    assert_array_equal(parts.train, x.astype(np.float32))
    assert_array_equal(np.sort(parts.test, axis=0), np.sort(more.astype(np.float32), axis=0))
    values = np.array(["amber", "blue", "green", "red"])
    assert_array_equal(values[parts.train_labels], names)
    assert np.count_nonzero(parts.test_labels == 0) == 5
    assert not np.array_equal(parts.test_labels[:5], np.zeros(5))  # in an order of its own


@pytest.mark.parametrize(
    "values", [[3, 7, 9], [0.0, 1.0, -2.0], [True, False, True], ["b", "", "a"]]
)
def test_labels_are_numbered_in_their_order(tmp_path: Path, values: list[Any]) -> None:
    chosen = np.array(values)[np.arange(ITEMS) % 3]
    np.savez(tmp_path / "y.npz", x=points()[0], y=chosen)
    parts = split(tmp_path / "y.npz", "", 0.2)
    assert parts.classes == len(set(values))
    numbers = {value: sorted(set(values)).index(value) for value in values}
    counted = np.bincount(np.concatenate([parts.train_labels, parts.test_labels]))
    expected = np.bincount([numbers[value] for value in chosen.tolist()])
    assert_array_equal(counted, expected)


@pytest.mark.parametrize("dtype", ["float64", ">f8", "float16", "int8", "uint32", "bool"])
def test_every_kind_of_number_is_taken(tmp_path: Path, dtype: str) -> None:
    x = (np.arange(200) % 7).reshape(100, 2).astype(dtype)
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    parts = split(tmp_path / "x.npy", "", 0.2)
    assert parts.train.dtype == np.float32
    expected = x.astype(np.float32)
    assert_array_equal(joined(parts)[0], expected[np.lexsort(expected.T)])


def test_a_csv_of_many_rows_with_quotes_and_blank_lines(tmp_path: Path) -> None:
    rows = "".join(f'"{n}",{n / 4}\r\n\r\n' for n in range(25_000))
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfx,y\r\n" + rows.encode())
    items, _ = joined(split(tmp_path / "a.csv", "", 0.2))
    order = np.arange(25_000)
    assert_array_equal(np.sort(items[:, 0]), order)
    assert_array_equal(items[:, 0] / 4, items[:, 1])


def test_standards_are_those_of_numpy() -> None:
    x = points(1000)[0].astype(np.float32)
    mean, scale = standards(x)
    assert_allclose(mean, x.astype(float).mean(axis=0), rtol=1e-12)
    assert_allclose(scale, x.astype(float).std(axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (np.array([[0.0, 1], [2, np.inf]]), Misfit(1, 1, np.inf)),
        (np.array([[0.0, 1e39], [2, 3]]), Misfit(1, 0, 1e39)),
        (np.array([[0.0, 1.7e9], [2, 1.7e9 + 60]]), Misfit(1)),
        (np.array([[0, 2**40], [2, 2**40 + 100]]), Misfit(1)),
    ],
)
def test_what_float32_cannot_hold(x: Any, found: Misfit) -> None:
    assert fitted(x) == found
    assert fitted(np.tile(x, (60_000, 1))) == found


@pytest.mark.parametrize("constant", [0.1, 1e-30, 1.7e9 + 0.3])
def test_a_column_of_one_value_can_be_told(constant: float) -> None:
    x = np.stack([np.arange(10), np.full(10, constant)], axis=1)
    assert isinstance(fitted(x), np.ndarray)
