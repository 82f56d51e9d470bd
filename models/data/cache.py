"""Keeps on disk what is dear to draw, for the many runs that need the same.

The data of an epoch depends on data set, seed and epoch alone, so all runs of a seed share it,
whatever their model and shape, in whichever process they train. Processes that need the same pass
at the same time don't both draw it: one does, the other draws the next one meanwhile. Files are
mapped, feature-major: what is read is the system's own copy, as minibatches want it.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mimsweep.models.data.base import DataSet, Split, has_pairs, is_binary

KEPT: tuple[Split, ...] = ("train", "knn")

PATIENCE = 10.0
"""Seconds to wait for another process to draw a pass: several times what it takes."""


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
        if kept := _read(self._path(split, seed, epoch)):
            return kept
        with self._claim(split, seed, epoch, 0) as alone:
            if alone:
                return self._shared(split, seed, epoch)
        if split == "train":
            self._draw_ahead(split, seed, epoch + 1)
        with self._claim(split, seed, epoch, PATIENCE):
            return self._shared(split, seed, epoch)

    def log_prob(self, x: Tensor) -> Tensor | None:
        """Returns log P(x) in nats, or None if it isn't known."""
        return self.data.log_prob(x)

    def _path(self, split: Split, seed: int, epoch: int) -> Path:
        return self.folder / f"{self.name}-{split}-{seed}-{epoch}.safetensors"

    def _shared(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns a pass from its file or, if there is none, draws and keeps it."""
        path = self._path(split, seed, epoch)
        if kept := _read(path):
            return kept
        x, labels = self.data.draw(split, seed, epoch)
        # A disk that takes no more costs time, no results.
        with suppress(OSError):
            if self._room():
                self._keep(path, x, labels)
        return x, labels

    def _draw_ahead(self, split: Split, seed: int, epoch: int) -> None:
        """Draws and keeps a pass, unless it's there or another process is at it."""
        with self._claim(split, seed, epoch, 0) as alone:
            if alone and not self._path(split, seed, epoch).exists() and self._room():
                self._shared(split, seed, epoch)

    @contextmanager
    def _claim(self, split: Split, seed: int, epoch: int, patience: float) -> Iterator[bool]:
        """Yields whether a pass is this process's to draw, having waited up to `patience` seconds.

        The claim is a lock on a file, which ends with the process; where there can be none, each
        process draws for itself.
        """
        path = self._path(split, seed, epoch).with_suffix(".lock")
        # A lock that isn't the kernel's could outlive its process.
        lock = FileLock(path, patience, poll_interval=0.01, fallback_to_soft=False)
        with ExitStack() as held:
            alone = True
            try:
                held.enter_context(lock)
            except Timeout:
                alone = False
            except OSError:
                pass  # there can be no lock
            try:
                yield alone
            finally:
                if alone:
                    with suppress(OSError):
                        path.unlink()  # who waits for it sees that, and makes a new one

    def _room(self) -> bool:
        with suppress(OSError):
            return sum(file.stat().st_size for file in self.folder.iterdir()) <= self.limit
        return True  # a file has just gone

    def _keep(self, path: Path, x: Tensor, labels: Tensor) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        try:
            rows = x.mT.contiguous()
            tensors = {"x": rows, "labels": labels.to(torch.uint8)}
            save_file(tensors, temporary, metadata={"crc32": str(crc32(rows.numpy().data))})
            temporary.replace(path)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        finally:
            temporary.unlink(missing_ok=True)


def _read(path: Path) -> tuple[Tensor, Tensor] | None:
    """Returns a pass from its file; None if there is none, or it's damaged."""
    with suppress(OSError, SafetensorError), safe_open(path, "pt") as file:
        rows, labels = file.get_tensor("x"), file.get_tensor("labels")
        # A machine that lost its power may have kept the file's length, and not all of it.
        if file.metadata() == {"crc32": str(crc32(rows.numpy().data))}:
            return rows.mT, labels.long()
    return None
