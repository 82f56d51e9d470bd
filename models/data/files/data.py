"""A data file as a data set: its items in another order each epoch, from memory that all share.

With `standardise`, item x is (x − mean)/σ of each column, both of the items to train on; metrics
are in these units then, as are what a decoder gives.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mimsweep.models.data.base import Ordered, Split
from mimsweep.models.data.files.found import DataFile, keep
from mimsweep.models.streams import counted_uniforms


@dataclass(frozen=True)
class FileData:
    """A data file, split.

    Attributes:
        content: hash of the file, which names the streams of random numbers.
        train: items to train on, with shape (N, D), float32, mapped from disk.
        train_labels: with shape (N,), int64.
        test: items to test on, with shape (n, D), likewise.
        test_labels: with shape (n,).
        classes: how many labels there are.
        mean: taken off each column, with shape (D,), float32.
        scale: which each column is then divided by, with shape (D,), float32.
        binary: whether items are probabilities of bits.
    """

    content: str
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    classes: int
    mean: Tensor
    scale: Tensor
    binary: bool

    @property
    def dims(self) -> int:
        """D, the size of an item."""
        return self.train.shape[1]

    def items(self, split: Split) -> int:
        """Returns N, the number of items of a split."""
        return len(self.test if split in ("test", "final") else self.train)

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns items with shape (N, D), float32, and their labels, (N,), int64.

        `train` and `knn` are shuffled; `test` and `final` are always the same, in the same memory.
        """
        if split in ("test", "final"):
            return self._test, self.test_labels
        shuffled = self._shuffled(split, seed, epoch)
        return shuffled[:], self.train_labels[shuffled.order]

    def ordered(self, split: Split, seed: int, epoch: int) -> Ordered:
        """Returns the items of `draw`, to be had a few at a time."""
        return self._test if split in ("test", "final") else self._shuffled(split, seed, epoch)

    def log_prob(self, x: Tensor) -> None:
        """Returns None: the density isn't known."""

    def _shuffled(self, split: Split, seed: int, epoch: int) -> "Shuffled":
        name = ("data", "file", self.content, split, seed)
        high, low = counted_uniforms(name, epoch, (2, len(self.train))).double()
        # 24 bits each: as good as no two are equal.
        order = (high + low * 2.0**-24).argsort(stable=True)
        return Shuffled(self.train, order, self.mean, self.scale)

    @cached_property
    def _test(self) -> Tensor:
        return _standardised(self.test, self.mean, self.scale)


@dataclass(frozen=True)
class Shuffled:
    """Items in an order, looked up as they are asked for."""

    items: Tensor
    order: Tensor
    mean: Tensor
    scale: Tensor

    def __getitem__(self, some: slice) -> Tensor:
        """Returns some of them, with shape (n, D)."""
        return _standardised(self.items[self.order[some]], self.mean, self.scale)


def _standardised(items: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    return (items - mean) / scale


def load_file(file: DataFile, standardise: bool, binary: bool) -> FileData:
    """Returns a data file as a data set; what is not kept of it yet is.

    Raises:
        FileError: the file has changed since it was found, or is gone.
    """
    keep(file)
    kept = {
        name: torch.from_numpy(np.load(file.kept / f"{name}.npy", mmap_mode="c"))
        for name in ("train", "train_labels", "test", "test_labels", "mean", "scale")
    }
    mean, scale = kept.pop("mean").float(), kept.pop("scale").float()
    if binary or not standardise:
        mean, scale = torch.zeros_like(mean), torch.ones_like(scale)
    classes = file.facts.classes
    return FileData(file.content, classes=classes, mean=mean, scale=scale, binary=binary, **kept)
