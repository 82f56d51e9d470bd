"""A data file as a data set: what is drawn, in which units, from memory that all share."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mimsweep.models.data.base import Split, ordered
from mimsweep.models.data.files.data import FileData, load_file
from mimsweep.models.data.files.found import DataFile, find, keep
from mimsweep.models.data.files.reading import FileError
from tests.models.cohorts import COHORT, assert_independent
from tests.models.data.files.examples import ITEMS, points, write_csv


@pytest.fixture
def file(tmp_path: Path) -> DataFile:
    write_csv(tmp_path / "points.csv", *points())
    return find("points.csv", "kind", 0.2, tmp_path, tmp_path / "kept")


def test_what_is_found(file: DataFile, tmp_path: Path) -> None:
    assert file.path == tmp_path / "points.csv"
    facts = file.facts
    assert (facts.dims, facts.classes) == (3, 3)
    assert (facts.train_items, facts.test_items) == (96, 24)
    assert (facts.low, facts.high) == tuple(np.float32([points()[0].min(), points()[0].max()]))
    assert not facts.bits
    assert not file.kept.exists()
    assert file.described == "96 items to train on, 24 to test on, 3 columns, 3 classes"


def test_a_file_is_the_same_wherever_it_is_and_another_with_other_content(
    file: DataFile, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = file.path.rename(tmp_path / "elsewhere" / "new.csv")
    again = find("new.csv", "kind", 0.2, tmp_path / "elsewhere", tmp_path / "kept")
    assert again == file
    assert again.path == moved
    text = moved.read_text()
    moved.write_text(text.replace("red", "rot", 1))
    assert find(str(moved), "kind", 0.2, tmp_path, tmp_path / "kept") != file


def test_what_is_kept_is_not_read_again(file: DataFile, tmp_path: Path) -> None:
    keep(file)
    kept = os.listdir(file.kept.parent)
    assert kept == [file.kept.name]
    # Were the file read, it would be told that there is no such file as the copy's name says.
    copied = file.path.rename(tmp_path / "same.csv")
    again = find("same.csv", "kind", 0.2, tmp_path, tmp_path / "kept")
    copied.write_text("nonsense")
    assert again == file
    assert load_file(again, True, False).items("train") == 96


def test_a_file_that_changes_before_it_is_kept_is_told(file: DataFile) -> None:
    file.path.write_text(file.path.read_text() + "1,2,red,3\n")
    with pytest.raises(FileError, match="has changed since the sweep was read"):
        load_file(file, True, False)
    file.path.unlink()
    with pytest.raises(FileError, match="there is no file"):
        keep(file)


def loaded(file: DataFile, standardise: bool = True) -> FileData:
    return load_file(file, standardise, binary=False)


@pytest.mark.parametrize("split", ["train", "knn"])
def test_a_pass_has_each_item_once_in_an_order_of_seed_and_epoch(
    file: DataFile, split: Split
) -> None:
    data = loaded(file)
    x, labels = data.draw(split, 1, 1)
    assert x.dtype == torch.float32
    assert labels.dtype == torch.long
    everything = (data.train - data.mean) / data.scale
    assert torch.equal(x.sort(0).values, everything.sort(0).values)
    at = [int((everything == row).all(1).nonzero()[0]) for row in x]
    assert sorted(at) == list(range(96))
    assert torch.equal(labels, data.train_labels[at])
    again, labels_again = loaded(file).draw(split, 1, 1)
    assert torch.equal(x, again)
    assert torch.equal(labels, labels_again)
    for other in (data.draw(split, 2, 1), data.draw(split, 1, 2)):
        assert (other[0] == x).all(1).sum() < 10
    assert not torch.equal(data.draw("train", 1, 1)[0], data.draw("knn", 1, 1)[0])


def test_orders_of_epochs_have_nothing_to_do_with_each_other(file: DataFile) -> None:
    data = loaded(file)
    ranks = torch.stack([data._shuffled("train", 1, epoch).order.argsort() for epoch in range(40)])
    assert (ranks.float().mean(0) - 47.5).abs().max() < 5 * 96 / (12 * 40) ** 0.5
    lagged = torch.corrcoef(ranks.double()).fill_diagonal_(0).abs().max()
    assert lagged < 5 / 96**0.5


def test_items_are_standardised_by_those_to_train_on(file: DataFile) -> None:
    data = loaded(file)
    x, _ = data.draw("train", 1, 1)
    assert torch.allclose(x.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std(0, correction=0), torch.ones(3), atol=1e-5)
    plain = loaded(file, standardise=False)
    raw, test = plain.draw("train", 1, 1)[0], plain.draw("final", 1, 0)[0]
    assert torch.equal(plain.train, raw[raw[:, 0].argsort()][plain.train[:, 0].argsort().argsort()])
    expected = (test - raw.mean(0)) / raw.std(0, correction=0)
    assert torch.allclose(data.draw("final", 1, 0)[0], expected, atol=1e-4)
    for split in ("test", "final"):
        assert data.draw(split, 1, 0)[0] is data.draw("test", 2, 5)[0]


def test_bits_are_never_standardised(tmp_path: Path) -> None:
    np.save(tmp_path / "bits.npy", points()[0] > 0.5)
    file = find("bits.npy", "", 0.2, tmp_path, tmp_path / "kept")
    assert file.facts.bits
    data = load_file(file, standardise=True, binary=True)
    assert data.binary
    assert set(data.draw("train", 1, 1)[0].unique().tolist()) == {0.0, 1.0}


def test_a_few_items_are_those_of_the_whole_pass(file: DataFile) -> None:
    data = loaded(file)
    for split in ("train", "test", "final", "knn"):
        few = ordered(data, split, 3, 2)
        parts = [few[start : start + 17] for start in range(0, ITEMS, 17)]
        assert torch.equal(torch.cat(parts), data.draw(split, 3, 2)[0])


def test_what_is_kept_is_mapped(file: DataFile) -> None:
    data = loaded(file)
    names = ("train.npy", "test.npy", "train_labels.npy")
    maps = Path("/proc/self/maps").read_text()
    assert all(str(file.kept / name) in maps for name in names)
    data.train[0] = 0  # copied as it is written: others don't see it
    assert loaded(file).train[0].any()


@pytest.mark.parametrize("model", ["mim", "vae"])
def test_runs_on_it_are_independent_of_their_cohort(file: DataFile, model: str) -> None:
    assert_independent(replace(COHORT, model=model, batch_size=24), loaded(file))


ENOUGH = [
    (80, 20, 128, 20),
    (1000, 200, 128, 128),
    (80, 20, 3, 3),
    (80, 7, 4, 3),
    (80, 5, 128, 0),
    (9, 9, 9, 0),
]


@pytest.mark.parametrize(("train", "test", "limit", "most"), ENOUGH)
def test_the_largest_batch(file: DataFile, train: int, test: int, limit: int, most: int) -> None:
    facts = replace(file.facts, train_items=train, test_items=test)
    assert replace(file, facts=facts).largest_batch(limit) == most
