"""The files of MNIST and Fashion-MNIST."""

import gzip
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mimsweep.models.data.base import DataError

Files = Literal["MNIST", "FashionMNIST"]
_TITLES: dict[Files, str] = {"MNIST": "MNIST", "FashionMNIST": "Fashion-MNIST"}

SIDE = 28
PIXELS = SIDE * SIDE


@dataclass(frozen=True)
class Images:
    """The files, as they are: levels with shape (N, 784), uint8, and labels with shape (N,)."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


def read(data_dir: Path, name: Files = "FashionMNIST") -> Images:
    """Returns the images of one of torchvision's data sets, downloaded where a file is missing.

    The files are read as they are packed, so that nothing is written where they are all there.
    """
    from torchvision import datasets  # takes a second, for which runs on other data needn't wait
    from torchvision.datasets.utils import check_integrity

    folder = data_dir / name / "raw"
    parts = []
    for file, md5 in getattr(datasets, name).resources:
        path = folder / file
        if not path.exists():
            _download(path, md5, name)
        if not check_integrity(path, md5):
            raise DataError(f"{path} is not the file of {_TITLES[name]} (its md5 isn't {md5})")
        parts.append(_unpack(path))
    train, train_labels, test, test_labels = parts
    return Images(train, train_labels.flatten().long(), test, test_labels.flatten().long())


def _unpack(path: Path) -> Tensor:
    """Returns a gzipped IDX file of N items with shape (N, bytes of an item), uint8."""
    with gzip.open(path) as file:
        content = bytearray(file.read())
    axes = content[3]
    shape = np.frombuffer(content, ">u4", count=axes, offset=4)
    body = torch.frombuffer(content, dtype=torch.uint8, offset=4 + 4 * axes)
    return body.view(int(shape[0]), math.prod(map(int, shape[1:])))


def _download(path: Path, md5: str, name: Files) -> None:
    """Puts a file in place, whole or not at all, also when several processes do so at once."""
    from torchvision import datasets
    from torchvision.datasets.utils import download_url

    files: Any = getattr(datasets, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as beside:
            download_url(files.mirrors[0] + path.name, beside, path.name, md5)
            os.replace(Path(beside) / path.name, path)
    except (OSError, RuntimeError) as error:
        names = ", ".join(file for file, _ in files.resources)
        raise DataError(
            f"{_TITLES[name]} can't be downloaded ({error}): put {names} into {path.parent}, or "
            f"set MIMSWEEP_DATA_DIR to the folder that holds {name}/raw with them"
        ) from error
