"""MNIST and Fashion-MNIST as probabilities of bits, 784 dimensions.

With levels v of 0 to 255, a training item is, after an affine map with probability 1/2,
clamp((v + u)/256, 10⁻³, 1 − 10⁻³) with u ~ U[0, 1); a test item clamp(v/256, 10⁻³, 1 − 10⁻³).
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor

from mimsweep.models.data.augment import epoch_of
from mimsweep.models.data.base import Split
from mimsweep.models.data.idx import PIXELS, Files, Images, read

FILES: dict[str, Files] = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}


@dataclass(frozen=True)
class GreyImages:
    """Images whose grey levels are probabilities.

    Attributes:
        name: names the streams of random numbers.
        images: the files.
    """

    name: str
    images: Images
    dims: int = PIXELS
    classes: int = 10
    binary: bool = True

    def items(self, split: Split) -> int:
        """Returns N, the number of items of a split."""
        return len(self.images.test if split in ("test", "final") else self.images.train)

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns items with shape (N, 784), float32, and labels, (N,): N = 60,000, or 10,000 test.

        `train` and `knn` are shuffled and augmented anew; `test` and `final` are always the same,
        in the same memory.
        """
        if split in ("test", "final"):
            return self._test, self.images.test_labels
        name = ("data", self.name, split, seed)
        order, parts = epoch_of(self.images.train, name, epoch)
        items = torch.cat(list(parts))
        return items, self.images.train_labels[order]

    def log_prob(self, x: Tensor) -> None:
        """Returns None: the density isn't known."""

    @cached_property
    def _test(self) -> Tensor:
        return (self.images.test / 256).clamp_(1e-3, 1 - 1e-3)


def load_mnist(name: str, data_dir: Path) -> GreyImages:
    """Returns `mnist` or `fashion-mnist`, its files from `data_dir`."""
    return GreyImages(name, _images(name, data_dir.resolve()))


@cache
def _images(name: str, data_dir: Path) -> Images:
    """Returns the files of a data set, read once a process."""
    return read(data_dir, FILES[name])
