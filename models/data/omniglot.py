"""Omniglot as grey levels of 28×28 pixels, 24,345 images to train on and 8,070 to test.

Where the data folder has the IWAE paper's `chardata.mat` (arXiv 1509.00519), from that; else made
from the raw 105×105 drawings, a pixel's level the part of its area that is ink. The raw set has
twenty drawings of each of 1,623 characters: fifteen of each, chosen at random, are to train on, and
8,070 of the others, in number as in `chardata.mat`. Which ones `chardata.mat` chose isn't known:
likelihoods on the two can't be compared.

Both are shuffled, images and labels alike, by a fixed seed. A label is the number of the character
within its alphabet, 0 to 54.
"""

import io
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from torch import Tensor

from mimsweep.models.data.base import DataError
from mimsweep.models.data.idx import PIXELS, SIDE, Images
from mimsweep.models.streams import generator

CLASSES = 55
TRAIN, TEST = 24_345, 8_070
DRAWINGS, DRAWINGS_TO_TRAIN = 20, 15
FOLDER = "omniglot-py"  # torchvision's
ARCHIVES = {"images_background": 964, "images_evaluation": 659}
"""The raw set's files, without .zip, and how many characters each has."""


@cache
def read_omniglot(data_dir: Path) -> tuple[Images, str]:
    """Returns the images, levels float32 in [0, 1], and where they are from.

    Args:
        data_dir: with `chardata.mat`, or with `omniglot-py/images_{background,evaluation}.zip`,
            which are downloaded where they are missing.

    Raises:
        DataError: a file isn't what it should be, or can't be downloaded.
    """
    path = data_dir / "chardata.mat"
    if path.exists():
        images, source = _from_matlab(path), path.name
    else:
        images, source = _from_drawings(data_dir), "raw images"
    order, test_order = (
        torch.randperm(count, generator=generator("omniglot", source, split))
        for count, split in ((TRAIN, "train"), (len(images.test), "test"))
    )
    test_order = test_order[:TEST]
    shuffled = Images(
        images.train[order],
        images.train_labels[order],
        images.test[test_order],
        images.test_labels[test_order],
    )
    return shuffled, source


def _from_matlab(path: Path) -> Images:
    try:
        content = loadmat(path)
        parts = [
            (_column_major(content[f"{split}data"]), content[f"{split}targetchar"][0])
            for split in ("", "test")
        ]
    except (OSError, ValueError, KeyError, NotImplementedError, MatReadError) as error:
        raise DataError(f"{path} is not the IWAE paper's file of Omniglot ({error!r})") from error
    (train, train_labels), (test, test_labels) = parts
    if (len(train), len(test)) != (TRAIN, TEST):
        raise DataError(
            f"{path} has {len(train)} images to train on and {len(test)} to test, "
            f"not {TRAIN} and {TEST}"
        )
    return Images(train, _labels(train_labels), test, _labels(test_labels))


def _column_major(columns: np.ndarray) -> Tensor:
    """Returns images with shape (N, 784) of MATLAB's columns (784, N), each column by column."""
    images = columns.T.reshape(-1, SIDE, SIDE).transpose(0, 2, 1).reshape(-1, PIXELS)
    return torch.from_numpy(images.astype(np.float32))


def _labels(numbers: np.ndarray) -> Tensor:
    return torch.from_numpy(numbers.astype(np.int64) - 1)


def _from_drawings(data_dir: Path) -> Images:
    parts = [_drawings(data_dir, name) for name in ARCHIVES]
    levels = torch.cat([levels for levels, _ in parts]).float() / 255
    labels = torch.cat([labels for _, labels in parts])
    drawings = torch.arange(len(levels)).view(-1, DRAWINGS)
    shuffle = torch.rand(drawings.shape, generator=generator("omniglot", "drawings")).argsort(1)
    train, test = (
        part.flatten()
        for part in drawings.gather(1, shuffle).tensor_split([DRAWINGS_TO_TRAIN], dim=1)
    )
    return Images(levels[train], labels[train], levels[test], labels[test])


def _drawings(data_dir: Path, name: str) -> tuple[Tensor, Tensor]:
    """Returns an archive's drawings, shape (N, 784), uint8, twenty of a character in a row.

    Their labels have shape (N,).
    """
    path = data_dir / FOLDER / f"{name}.zip"
    if not path.exists():
        _download(data_dir, name)
    with zipfile.ZipFile(path) as archive:
        files = sorted(file for file in archive.namelist() if file.endswith(".png"))
        if len(files) != DRAWINGS * ARCHIVES[name]:
            raise DataError(
                f"{path} has {len(files)} drawings, not {DRAWINGS * ARCHIVES[name]}: it isn't "
                "the file of Omniglot"
            )
        levels = np.stack([_shrunk(archive.read(file)) for file in files])
    labels = [int(PurePosixPath(file).parent.name.removeprefix("character")) for file in files]
    return torch.from_numpy(levels).view(-1, PIXELS), _labels(np.array(labels))


def _shrunk(png: bytes) -> np.ndarray:
    """Returns a drawing with shape (28, 28), uint8, ink 255."""
    with Image.open(io.BytesIO(png)) as drawing:
        shrunk = drawing.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return 255 - np.asarray(shrunk)


def _download(data_dir: Path, name: str) -> None:
    from torchvision.datasets import Omniglot  # takes a second, for which others needn't wait

    try:
        Omniglot(str(data_dir), background=name == "images_background", download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"Omniglot can't be downloaded ({error}): put {name}.zip into "
            f"{data_dir / FOLDER}, or the IWAE paper's chardata.mat into {data_dir}, or "
            "set MIMSWEEP_DATA_DIR to the folder that holds them"
        ) from error
