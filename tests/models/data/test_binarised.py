"""The image sets, from the real files; Omniglot's from files of its making too."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from mimsweep.models.data.base import DataError
from mimsweep.models.data.binarised import ImageSet, binarised, load_images
from mimsweep.models.data.grey import FILES
from mimsweep.models.data.idx import read
from mimsweep.models.data.omniglot import _shrunk, read_omniglot
from mimsweep.models.streams import generator


@pytest.fixture(scope="module", params=["dynamic_mnist", "dynamic_fashion_mnist"])
def images(request: pytest.FixtureRequest, data_dir: Path) -> ImageSet:
    return load_images(request.param, data_dir)


def test_splits_are_the_first_the_last_and_the_test_file(images: ImageSet, data_dir: Path) -> None:
    files = read(data_dir, FILES[images.name.removeprefix("dynamic_").replace("_", "-")])
    assert images.train.shape == (50_000, 784)
    assert images.validation.shape == images.test.shape == (10_000, 784)
    assert torch.equal((images.train * 255).round(), files.train[:50_000].float())
    assert torch.equal(images.train_labels, files.train_labels[:50_000])
    assert torch.equal(images.validation_labels, files.train_labels[50_000:])
    assert torch.equal(images.test_labels, files.test_labels)
    for bits, levels in ((images.validation, files.train[50_000:]), (images.test, files.test)):
        assert bits.dtype == torch.bool
        assert not bits[levels == 0].any()
        assert bits[levels == 255].all()


def test_a_pass_is_binarised_anew_and_paired_with_its_labels(images: ImageSet) -> None:
    images = replace(images, train=images.train[:5_000], train_labels=images.train_labels[:5_000])
    bits, labels = images.epoch(1, 1)
    again, other = images.epoch(1, 1), images.epoch(1, 2)
    assert torch.equal(bits, again[0])
    assert not torch.equal(labels, other[1])
    # The shuffle is the first that the stream draws: undone, each bit is possible at its level.
    order = torch.randperm(5_000, generator=generator("images", images.name, 1, 1))
    assert torch.equal(labels, images.train_labels[order])
    levels = images.train[order]
    assert not bits[levels == 0].any()
    assert bits[levels == 1].all()
    grey = (levels > 0.4) & (levels < 0.6)
    expected, count = levels[grey].double().mean(), int(grey.sum())
    assert abs(float(bits[grey].double().mean() - expected)) < 5 * 0.5 / count**0.5


def test_bits_have_their_levels_as_probabilities() -> None:
    levels = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0]).expand(40_000, 5)
    share = binarised(levels, generator("test")).double().mean(0)
    torch.testing.assert_close(share, levels[0].double(), rtol=0, atol=0.0125)  # five σ
    assert share[[0, 4]].tolist() == [0, 1]


def test_the_first_items_are_those_of_the_whole(images: ImageSet, data_dir: Path) -> None:
    few = load_images(images.name, data_dir, train_items=70, test_items=30)
    assert torch.equal(few.train, images.train[:70])
    assert torch.equal(few.validation, images.validation[:30])
    assert torch.equal(few.test, images.test[:30])
    assert len(few.train_labels) == 70
    assert len(few.validation_labels) == len(few.test_labels) == 30
    assert few.epoch(1, 1)[0].shape == (70, 784)


def matlab(folder: Path, **changes: Any) -> Path:
    """A file like the IWAE paper's: each image says its character in its first column."""
    content = {}
    for split, count in (("", 24_345), ("test", 8_070)):
        characters = np.arange(count) % 55 + 1
        content[f"{split}data"] = np.zeros((784, count), np.uint8)
        content[f"{split}data"][characters % 28, np.arange(count)] = 1
        content[f"{split}data"][28 + characters // 28, np.arange(count)] = 1
        content[f"{split}targetchar"] = characters[None]
    savemat(folder / "chardata.mat", content | changes)
    return folder


def test_omniglot_is_read_from_the_matlab_file_where_there_is_one(tmp_path: Path) -> None:
    data = load_images("omniglot", matlab(tmp_path))
    assert data.source == "chardata.mat"
    assert data.classes == 55
    assert [len(part) for part in (data.train, data.validation, data.test)] == [
        23_000,
        1_345,
        8_070,
    ]
    for levels, labels in (
        (data.train, data.train_labels),
        (data.validation.float(), data.validation_labels),
        (data.test.float(), data.test_labels),
    ):
        pixels = levels.view(-1, 28, 28)  # MATLAB's columns are columns
        characters = pixels[:, :, 0].argmax(1) + 28 * pixels[:, :, 1].argmax(1)
        assert torch.equal(characters, labels + 1)
        assert len(labels[:500].unique()) > 50  # shuffled, not all of one alphabet


def test_another_matlab_file_is_refused(tmp_path: Path) -> None:
    few = np.zeros((784, 100), np.uint8)
    with pytest.raises(DataError, match="has 100 images to train on and 8070 to test"):
        read_omniglot(matlab(tmp_path, data=few, targetchar=np.ones((1, 100))))
    (tmp_path / "chardata.mat").write_bytes(b"no matlab file")
    with pytest.raises(DataError, match="is not the IWAE paper's file"):
        read_omniglot(tmp_path)


def test_a_drawing_shrinks_to_the_share_of_ink(tmp_path: Path) -> None:
    drawing = np.ones((105, 105), bool)
    drawing[:15, :15] = False  # black is ink: 15 pixels are four of the new
    Image.fromarray(drawing).save(tmp_path / "drawing.png")
    shrunk = _shrunk((tmp_path / "drawing.png").read_bytes())
    assert shrunk.shape == (28, 28)
    assert (shrunk[:4, :4] == 255).all()
    assert shrunk.sum(dtype=int) == 16 * 255


@pytest.mark.slow
def test_omniglot_is_made_from_drawings(data_dir: Path) -> None:
    if (data_dir / "chardata.mat").exists():
        pytest.skip("this data folder has chardata.mat")
    images, source = read_omniglot(data_dir)
    assert source == "raw images"
    assert images.train.shape == (24_345, 784)
    assert images.test.shape == (8_070, 784)
    assert 0 <= images.train.min() < images.train.max() <= 1
    # Each character of the fifty alphabets has fifteen drawings to train on, five or fewer to test.
    in_train = torch.bincount(images.train_labels, minlength=55)
    in_test = torch.bincount(images.test_labels, minlength=55)
    assert (in_train % 15 == 0).all()
    assert (in_test <= in_train // 3).all()
    assert in_train[0] == 50 * 15
    labels_of: dict[bytes, set[int]] = {}
    for name in ("images_background", "images_evaluation"):
        with zipfile.ZipFile(data_dir / "omniglot-py" / f"{name}.zip") as archive:
            for file in archive.namelist():
                if found := re.search(r"/character(\d\d)/\d+_\d+\.png$", file):
                    image = _shrunk(archive.read(file)).tobytes()
                    labels_of.setdefault(image, set()).add(int(found[1]) - 1)
    assert len(labels_of) > 32_000  # hardly a drawing is there twice
    levels = torch.cat([images.train, images.test]).mul(255).round().byte().numpy()
    labels = torch.cat([images.train_labels, images.test_labels]).tolist()
    assert all(
        label in labels_of[image.tobytes()] for image, label in zip(levels, labels, strict=True)
    )


def test_no_such_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data set of images; there are dynamic_mnist"):
        load_images("mnist", tmp_path)
