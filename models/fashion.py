"""Fashion-MNIST, augmented and projected on its principal components.

With levels v of 0 to 255, a training item is, after an affine map with probability 1/2,
clamp((v + u)/256, 10⁻³, 1 − 10⁻³) with u ~ U[0, 1), a test item v/255; both are then projected:
(item − mean)·components. Mean and components are those of the training images v/255, not augmented.

The map is torchvision's RandomAffine(degrees=10, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=5),
in nearest neighbour with fill 0: with A = scale·R(angle)·S(shear), the pixel at p, seen from the
centre, shows the one at A⁻¹·(p − t). Here all images of a chunk are mapped at once.

The study fits a second PCA on the test split, for test items alone; here there is but one.
"""

import gzip
import math
import os
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from models.data import DataError, Split
from models.rng import generator

Files = Literal["MNIST", "FashionMNIST"]
_TITLES: dict[Files, str] = {"MNIST": "MNIST", "FashionMNIST": "Fashion-MNIST"}

SIDE = 28
PIXELS = SIDE * SIDE
CHUNK = 1000  # images augmented at once: their floats stay in the cache
EXACT = 256  # images whose 255² sum exactly in float32


@dataclass(frozen=True)
class Images:
    """The files, as they are: levels with shape (N, 784), uint8, and labels with shape (N,)."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


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


def augment(levels: Tensor, source: torch.Generator) -> Tensor:
    """Returns training items with shape (N, 784), float32 in (0, 1).

    Args:
        levels: images with shape (N, 784), uint8.
        source: draws which images are mapped, how, and the noise.
    """
    count = len(levels)
    mapped = (torch.rand(count, generator=source) < 0.5).nonzero()[:, 0]
    uniform = torch.rand(5, len(mapped), generator=source) * 2 - 1
    shift = (uniform[1:3] * (0.1 * SIDE)).round()
    items = levels.float()
    items[mapped] = affine(
        levels[mapped],
        angle=torch.deg2rad(uniform[0] * 10),
        shift=shift,
        scale=1 + 0.2 * uniform[3],
        shear=torch.deg2rad(uniform[4] * 5),
    ).float()
    noise = torch.rand(items.shape, generator=source)
    return items.add_(noise).div_(256).clamp_(1e-3, 1 - 1e-3)


def affine(levels: Tensor, angle: Tensor, shift: Tensor, scale: Tensor, shear: Tensor) -> Tensor:
    """Returns images mapped affinely, nearest neighbour, fill 0, with shape (N, 784), uint8.

    Args:
        levels: images with shape (N, 784), uint8.
        angle: clockwise on the screen, in radians, with shape (N,).
        shift: to the right and down, in pixels, with shape (2, N).
        scale: with shape (N,).
        shear: of x, in radians, with shape (N,).
    """
    cos, sin, tan = angle.cos(), angle.sin(), shear.tan()
    # A = scale·[[cos, −cos·tan − sin], [sin, −sin·tan + cos]] has determinant scale².
    inverse = torch.stack([cos - sin * tan, cos * tan + sin, -sin, cos]) / scale
    from_centre = torch.arange(SIDE, dtype=torch.float32) - (SIDE - 1) / 2
    right, down = from_centre - shift[0, :, None], from_centre - shift[1, :, None]
    source = []
    for along_x, along_y in (inverse[:2], inverse[2:]):
        across = (along_x[:, None] * right)[:, None, :] + (along_y[:, None] * down)[:, :, None]
        # Pixel −1 and pixel 28 are the margin; + 1 counts from the margin.
        source.append(across.add_((SIDE - 1) / 2).round_().clamp_(-1, SIDE).add_(1))
    framed = torch.nn.functional.pad(levels.view(-1, SIDE, SIDE), (1, 1, 1, 1)).flatten(1)
    index = source[1].mul_(SIDE + 2).add_(source[0]).long().flatten(1)
    return framed.gather(1, index)


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
