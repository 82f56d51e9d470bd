"""Keeps on disk what is dear to draw, for the many runs that need the same.

The data of an epoch depends on data set, seed and epoch alone, so all runs of a seed share it,
whatever their model and shape, in whichever process they train.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from models.data import DataSet, Split, has_pairs, is_binary

KEPT: tuple[Split, ...] = ("train", "knn")


@dataclass(frozen=True)
class Cached:
    """A data set whose training passes are kept in files.

    When the folder is full nothing more is kept: epochs are needed in the same order again and
    again, so to throw out the oldest would be to throw out the next.

    Attributes:
        data: the data set.
        name: its name, in those of the files.
        folder: gets a file for each pass; several processes may share it.
        limit: most bytes in the folder.
    """

    data: DataSet
    name: str
    folder: Path
    limit: int

    @property
    def dims(self) -> int:
        """D, the size of an item."""
        return self.data.dims

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return self.data.classes

    @property
    def binary(self) -> bool:
        """Whether items are probabilities of bits."""
        return is_binary(self.data)

    @property
    def pairs(self) -> bool:
        """Whether a training item is a pair, the encoder's input and the target."""
        return has_pairs(self.data)

    def items(self, split: Split) -> int:
        """Returns N, the number of items of a split."""
        return self.data.items(split)

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns items with shape (N, D) and labels (N,), from a file if there is one."""
        if split not in KEPT:
            return self.data.draw(split, seed, epoch)
        path = self.folder / f"{self.name}-{split}-{seed}-{epoch}.npz"
        with suppress(OSError, ValueError, KeyError, BadZipFile):
            file = np.load(BytesIO(path.read_bytes()))
            return torch.from_numpy(file["x"]), torch.from_numpy(file["labels"]).long()
        x, labels = self.data.draw(split, seed, epoch)
        # A disk that takes no more costs time, no results.
        with suppress(OSError):
            self._keep(path, x, labels)
        return x, labels

    def log_prob(self, x: Tensor) -> Tensor | None:
        """Returns log P(x) in nats, or None if it isn't known."""
        return self.data.log_prob(x)

    def _keep(self, path: Path, x: Tensor, labels: Tensor) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if sum(file.stat().st_size for file in self.folder.iterdir()) > self.limit:
            return
        temporary = path.with_suffix(f".{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                np.savez(file, x=x.numpy(), labels=labels.to(torch.uint8).numpy())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
