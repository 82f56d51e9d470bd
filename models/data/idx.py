"""The files of MNIST and Fashion-MNIST."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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

    Nothing is written to `data_dir` where the packed files are all there.
    """
    from torchvision import datasets  # takes a second, for which runs on other data needn't wait

    files: Any = getattr(datasets, name)
    folder = data_dir / name / "raw"
    names = [file for file, _ in files.resources]
    missing = [file for file in names if not (folder / file).exists()]
    try:
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
        # Beside the files, so that a downloaded one is put in place by a rename, whole or not at
        # all, also when several processes do so at once.
        with tempfile.TemporaryDirectory(dir=folder if missing else None) as own:
            raw = Path(own) / name / "raw"
            raw.mkdir(parents=True)
            for file, md5 in files.resources:
                if file not in missing:
                    _copy(folder / file, raw / file, md5, name)
            train, test = (files(own, train=part, download=True) for part in (True, False))
            for file in missing:
                (raw / file).replace(folder / file)
    except (OSError, RuntimeError) as error:
        if not missing:
            raise
        raise DataError(
            f"{_TITLES[name]} can't be downloaded ({' '.join(str(error).split())}): put "
            f"{', '.join(names)} into {folder}, or set MIMSWEEP_DATA_DIR to the folder that holds "
            f"{name}/raw with them"
        ) from error
    return Images(train.data.flatten(1), train.targets, test.data.flatten(1), test.targets)


def _copy(path: Path, to: Path, md5: str, name: Files) -> None:
    """Copies a file: torchvision writes over what it finds to be another, so it gets no link."""
    from torchvision.datasets.utils import check_md5

    shutil.copyfile(path, to)
    if not check_md5(to, md5):
        raise DataError(f"{path} is not the file of {_TITLES[name]} (its md5 isn't {md5})")
