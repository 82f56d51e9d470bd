"""Fashion-MNIST, augmented and projected on its principal components.

With levels v of 0 to 255, a training item is augmented (`models.data.augment`), a test item is
v/255; both are then projected: (item − mean)·components. Mean and components are those of the
training images v/255, not augmented.

The study fits a second PCA on the test images, and projects test items by that: components that are
much alike, but for the sign of some and the order of those of near variance. `-study` behind the
name does the same, all else equal. Its signs are those that scikit-learn gave components at the
time (to 1.4): the item that lies furthest out along a component lies on its positive side.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from mimsweep.models.data.augment import epoch_of
from mimsweep.models.data.base import DataError, Split
from mimsweep.models.data.idx import PIXELS, Images, read

CHUNK = 1000  # images projected at once
EXACT = 256  # images whose 255² sum exactly in float32


@dataclass(frozen=True)
class Projection:
    """A map to k principal components.

    Attributes:
        mean: of the images, with shape (784,), float32.
        components: with shape (784, k), float32, unit columns, largest variance first.
    """

    mean: Tensor
    components: Tensor

    def __call__(self, items: Tensor) -> Tensor:
        """Returns items with shape (N, 784) on the components, with shape (N, k)."""
        return (items - self.mean) @ self.components

    def first(self, k: int) -> "Projection":
        """Returns the map to the first k of the components."""
        return Projection(self.mean, self.components[:, :k].contiguous())


@dataclass(frozen=True)
class PcaFashionMnist:
    """Fashion-MNIST on its first k principal components.

    Attributes:
        images: the files.
        projection: of training items.
        test_projection: of test items.
    """

    images: Images
    projection: Projection
    test_projection: Projection
    classes: int = 10

    @property
    def dims(self) -> int:
        """The number of components k."""
        return self.projection.components.shape[1]

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
        name = ("data", f"pca-fashion-mnist{self.dims}", split, seed)
        centred, components = self.projection.mean, self.projection.components
        order, parts = epoch_of(self.images.train, name, epoch, less=centred)
        items = torch.cat([(part @ components).T for part in parts], dim=1)
        return items.T, self.images.train_labels[order]

    def log_prob(self, x: Tensor) -> None:
        """Returns None: the density isn't known."""

    @cached_property
    def _test(self) -> Tensor:
        return self.test_projection(self.images.test / 255)


def load_pca_fashion_mnist(k: int, data_dir: Path, as_study: bool = False) -> PcaFashionMnist:
    """Returns Fashion-MNIST on its first `k` principal components, its files from `data_dir`.

    Args:
        k: how many.
        data_dir: the folder of data sets.
        as_study: whether test items are projected as in the study, by components of their own.
    """
    if not 1 <= k <= PIXELS:
        raise DataError(f"pca-fashion-mnist{k}: there are {PIXELS} components")
    images, projection = _fitted(data_dir.resolve())
    own = study_projection(images, projection.first(k)) if as_study else projection.first(k)
    return PcaFashionMnist(images, projection.first(k), own)


@cache
def _fitted(data_dir: Path) -> tuple[Images, Projection]:
    """Returns the images and the map to all components of training ones: it takes seconds."""
    images = read(data_dir)
    return images, Projection(*principal_components(images.train))


def study_projection(images: Images, projection: Projection) -> Projection:
    """Returns the map of test images to components of their own, with the signs of the study.

    Args:
        images: the files.
        projection: of training images; what is learned doesn't depend on its signs, but on those of
            the other relative to them.
    """
    k = projection.components.shape[1]
    own = Projection(*principal_components(images.test)).first(k)
    signs = _signs(own, images.test) * _signs(projection, images.train)
    return Projection(own.mean, own.components * signs)


def _signs(projection: Projection, levels: Tensor) -> Tensor:
    """Returns on which side of each component the image lies that lies furthest out, ±1 (k,)."""
    scores = torch.cat([projection(some / 255) for some in levels.split(CHUNK)])
    return scores.gather(0, scores.abs().argmax(0, keepdim=True))[0].sign()


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
