"""Images of bits, for the two-level models (experiments.md section 1.7).

A grey level is the probability of a bit. Training images are binarised anew whenever they are used;
validation and test images once, by a fixed seed.

- `dynamic_mnist`, `dynamic_fashion_mnist`: 50,000 to train on (the first of the training file),
  10,000 to validate (its last), 10,000 to test
- `omniglot`: 23,000 to train on, 1,345 to validate, 8,070 to test (see `models.data.omniglot`)
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from mimsweep.models.data.base import DataError
from mimsweep.models.data.grey import FILES
from mimsweep.models.data.idx import Images, read
from mimsweep.models.data.omniglot import CLASSES, read_omniglot
from mimsweep.models.streams import generator

DATA_SETS = ("dynamic_mnist", "dynamic_fashion_mnist", "omniglot")
VALIDATION = {"dynamic_mnist": 10_000, "dynamic_fashion_mnist": 10_000, "omniglot": 1_345}

CHUNK = 1000  # images binarised at once


@dataclass(frozen=True)
class ImageSet:
    """A data set of images, rows of 784 pixels.

    Attributes:
        name: names the streams of random numbers.
        source: what it was made from, for people.
        classes: how many labels there are; a label is 0 to classes − 1.
        train: grey levels in [0, 1] with shape (N, 784), float32.
        train_labels: with shape (N,).
        validation: bits with shape (N', 784), bool.
        validation_labels: with shape (N',).
        test: bits with shape (N'', 784), bool.
        test_labels: with shape (N'',).
    """

    name: str
    source: str
    classes: int
    train: Tensor
    train_labels: Tensor
    validation: Tensor
    validation_labels: Tensor
    test: Tensor
    test_labels: Tensor

    def epoch(self, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns a pass over the training images: bits (N, 784), bool, and labels (N,).

        It is shuffled, and depends on the data set's name and the arguments alone.

        Args:
            seed: of the run.
            epoch: from 1; epoch 0 is the pass whose latents serve as neighbours.
        """
        source = generator("images", self.name, seed, epoch)
        order = torch.randperm(len(self.train), generator=source)
        parts = [binarised(self.train[some], source) for some in order.split(CHUNK)]
        return torch.cat(parts), self.train_labels[order]


def load_images(name: str, data_dir: Path, train_items: int = 0, test_items: int = 0) -> ImageSet:
    """Returns a data set of images.

    Args:
        name: one of `DATA_SETS`.
        data_dir: where the files are, or are downloaded to.
        train_items: so many of the training images, the first; 0 for all.
        test_items: so many of the validation and of the test images, the first; 0 for all.

    Raises:
        DataError: no such data set, or its files are missing and can't be downloaded.
    """
    if name not in DATA_SETS:
        raise DataError(f"{name}: no such data set of images; there are {', '.join(DATA_SETS)}")
    images, source = _read(name, data_dir.resolve())
    split = len(images.train) - VALIDATION[name]
    train, test = slice(train_items or None), slice(test_items or None)
    return ImageSet(
        name=name,
        source=source,
        classes=CLASSES if name == "omniglot" else 10,
        train=_levels(images.train[:split][train]),
        train_labels=images.train_labels[:split][train],
        validation=_fixed(name, "validation", images.train[split:])[test],
        validation_labels=images.train_labels[split:][test],
        test=_fixed(name, "test", images.test)[test],
        test_labels=images.test_labels[test],
    )


def binarised(levels: Tensor, source: torch.Generator) -> Tensor:
    """Returns bits, bool, each 1 with the probability that its level in [0, 1] is."""
    return torch.rand(levels.shape, generator=source) < levels


def _levels(images: Tensor) -> Tensor:
    """Returns levels in [0, 1], float32."""
    return images if images.is_floating_point() else images.float() / 255


@cache
def _read(name: str, data_dir: Path) -> tuple[Images, str]:
    """Returns a data set's images and where they are from, read once a process."""
    if name == "omniglot":
        return read_omniglot(data_dir)
    return read(data_dir, FILES[name.removeprefix("dynamic_").replace("_", "-")]), "files"


def _fixed(name: str, split: str, images: Tensor) -> Tensor:
    """Returns images binarised by the fixed seed."""
    source = generator("images", name, split)
    return torch.cat([binarised(_levels(some), source) for some in images.split(CHUNK)])
