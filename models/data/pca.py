"""Fashion-MNIST, augmented and projected on its principal components.

With levels v of 0 to 255, a training item is augmented (`models.data.augment`), a test item is
v/255; both are then projected: (item − mean)·components. Mean and components are those of the
training images v/255, not augmented.

The study fits a second PCA on the test split, for test items alone; here there is but one.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from mimsweep.models.data.augment import CHUNK, augment
from mimsweep.models.data.base import DataError, Split
from mimsweep.models.data.idx import PIXELS, Images, read
from mimsweep.models.streams import generator

EXACT = 256  # images whose 255² sum exactly in float32


@dataclass(frozen=True)
class PcaFashionMnist:
    """Fashion-MNIST on its first k principal components.

    Attributes:
        images: the files.
        mean: of the training images, with shape (784,), float32.
        components: with shape (784, k), float32, unit columns, largest variance first.
    """

    images: Images
    mean: Tensor
    components: Tensor
    classes: int = 10

    @property
    def dims(self) -> int:
        """The number of components k."""
        return self.components.shape[1]

    def items(self, split: Split) -> int:
        """Returns N, the number of items of a split."""
        return len(self.images.test if split in ("test", "final") else self.images.train)

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns items with shape (N, k), float32, and labels, (N,): N = 60,000, or 10,000 test.

        `train` and `knn` are shuffled and augmented anew; `test` and `final` are always the same,
        in the same memory.
        """
        if split in ("test", "final"):
            return self._test, self.images.test_labels
        source = generator("data", f"pca-fashion-mnist{self.dims}", split, seed, epoch)
        order = torch.randperm(len(self.images.train), generator=source)
        items = [
            self._project(augment(self.images.train[some], source)) for some in order.split(CHUNK)
        ]
        return torch.cat(items), self.images.train_labels[order]

    def log_prob(self, x: Tensor) -> None:
        """Returns None: the density isn't known."""

    @cached_property
    def _test(self) -> Tensor:
        return self._project(self.images.test / 255)

    def _project(self, items: Tensor) -> Tensor:
        """Returns items with shape (N, 784) on the components, with shape (N, k)."""
        return (items - self.mean) @ self.components


def load_pca_fashion_mnist(k: int, data_dir: Path) -> PcaFashionMnist:
    """Returns Fashion-MNIST on its first `k` principal components, its files from `data_dir`."""
    if not 1 <= k <= PIXELS:
        raise DataError(f"pca-fashion-mnist{k}: there are {PIXELS} components")
    images, mean, components = _fitted(data_dir.resolve())
    return PcaFashionMnist(images, mean, components[:, :k].contiguous())


@cache
def _fitted(data_dir: Path) -> tuple[Images, Tensor, Tensor]:
    """Returns the images and their `principal_components`, once a process: it takes seconds."""
    images = read(data_dir)
    return images, *principal_components(images.train)


def principal_components(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean, shape (784,), and all components, (784, 784), largest variance first.

    The covariance is a sum of integers, so the same whatever the threads or the machine, and a
    component's largest entry is positive.

    Args:
        levels: images with shape (N, 784), uint8; their scale, 1/255, leaves the components be.
    """
    scatter = np.zeros((PIXELS, PIXELS))
    for some in levels.split(EXACT):
        part = some.float().numpy()
        scatter += part.T @ part
    mean = levels.sum(0, dtype=torch.float64).numpy() / len(levels)
    components = eigh(scatter / len(levels) - np.outer(mean, mean))[1][:, ::-1]
    largest = np.abs(components).argmax(axis=0)
    components = components * np.sign(components[largest, np.arange(PIXELS)])
    return torch.from_numpy(mean / 255).float(), torch.from_numpy(components).float()
