"""Data sets: what each split of them holds, and the toy mixtures.

A toy mixture `toy<K>[_<D>]` has M Gaussians of equal weight and σ = 1.25/M in all D dimensions:
|K| outer ones at (cos a_i, sin a_i) with a_i = 2π·i/M, and with K >= 0 one more, first, at the
origin. M counts that one too, so the angles are uneven for K >= 0, as in the published study.
A text mixture `toy<TEXT>` has a Gaussian of σ = (1/W, 1/H) at each pixel that Pillow's small bitmap
font lights when it writes TEXT, W×H pixels: at ((u/W − 0.45)·3.6, (v/H − 0.45)·3.6), v upwards.
Beyond two dimensions component m goes on with row m of the M×D row-major grid
linspace(−10M, 10M, M·D), columns 2 to D − 1. With weights 1/M,

    log P(x) = logsumexp_m Σ_d [ −½((x_d − μ_md)/σ_d)² − log σ_d − ½ log 2π ] − log M    in nats.

`Toy…` is the same for self-supervision: a training item is two draws from one component.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from models import registry
from models.rng import generator

Split = Literal["train", "test", "final", "knn"]
"""`train` and `test` are those of an epoch, `final` is the test set of the final evaluation, `knn`
the new pass over the training data whose latents serve as neighbours."""

TOY_ITEMS = 10_000


class DataError(Exception):
    """A data set can't be had; the message says why and what to do, in one sentence."""


class DataSet(Protocol):
    """What a model learns from and is tested on.

    Two attributes may be left out: `binary`, true if items are probabilities of bits, and `pairs`,
    true if the items of `train` have shape (N, 2D), the encoder's input and the target.
    """

    @property
    def dims(self) -> int:
        """D, the size of an item."""

    @property
    def classes(self) -> int:
        """How many labels there are; a label is 0 to classes − 1."""

    def items(self, split: Split) -> int:
        """Returns N, the number of items of a split."""

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns items with shape (N, D), float32, in the order of use, and their labels, (N,).

        They depend on the data set's name and the arguments alone, whatever was drawn before.
        """

    def log_prob(self, x: Tensor) -> Tensor | None:
        """Returns log P(x) in nats with shape (...) for x with shape (..., D); None if unknown."""


def is_binary(data: DataSet) -> bool:
    """Returns whether items are probabilities of bits."""
    return bool(getattr(data, "binary", False))


def has_pairs(data: DataSet) -> bool:
    """Returns whether a training item is a pair, the encoder's input and the target."""
    return bool(getattr(data, "pairs", False))


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians of equal weight, new points in every split.

    Attributes:
        name: names the streams of random numbers.
        means: μ with shape (M, D), float64.
        scale: σ with shape (D,), float64.
        pairs: whether a training item is two draws from one component, side by side.
    """

    name: str
    means: Tensor
    scale: Tensor
    pairs: bool = False

    @property
    def dims(self) -> int:
        """D, the size of an item."""
        return self.means.shape[1]

    @property
    def classes(self) -> int:
        """M, the number of components."""
        return self.means.shape[0]

    def items(self, split: Split) -> int:
        """Returns 10,000, whatever the split."""
        return TOY_ITEMS

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns points with shape (10,000, D), float32, and their components, (10,000,).

        The points of pairs to train on have the second point behind the first: (10,000, 2D).
        """
        source = generator("data", self.name, split, seed, epoch)
        labels = torch.randint(self.classes, (TOY_ITEMS,), generator=source)
        points = self._points(labels, source)
        if self.pairs and split == "train":
            points = torch.cat([points, self._points(labels, source)], dim=1)
        return points, labels

    def _points(self, labels: Tensor, source: torch.Generator) -> Tensor:
        noise = torch.randn(len(labels), self.dims, generator=source)
        means = self.means.float().index_select(0, labels)
        return means.addcmul_(noise, self.scale.float())

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns log P(x) in nats with shape (...), x with shape (..., D), in x's precision."""
        means, scale = self.means.to(x), self.scale.to(x)
        squares = ((x[..., None, :] - means) / scale).square().sum(-1)
        constant = scale.log().sum() + self.dims / 2 * math.log(2 * math.pi)
        return torch.logsumexp(-squares / 2, -1) - constant - math.log(self.classes)


def load(name: str, data_dir: Path) -> DataSet:
    """Returns the data set called `name`.

    Args:
        name: `toy<K>`, `toy<K>_<D>`, `toy<TEXT>`, with a capital T for pairs; `mnist`,
            `fashion-mnist`, `pca-fashion-mnist<k>`; or the name of a user's own.
        data_dir: where the files of image sets are, or are downloaded to; unused for toys.

    Raises:
        DataError: no such data set, or its files are missing and can't be downloaded.
    """
    if match := re.fullmatch(r"[tT]oy(0|-?[1-9]\d*)(?:_([1-9]\d*))?", name):
        dims = int(match[2] or 2)
        if dims < 2:
            raise DataError(f"{name}: a toy mixture has at least 2 dimensions")
        return _toy(name, int(match[1]), dims)
    if match := re.fullmatch(r"[tT]oy([A-Za-z][A-Za-z0-9]*)", name):
        return _text(name, match[1])
    if name in ("mnist", "fashion-mnist"):
        from models.mnist import load_mnist

        return load_mnist(name, data_dir)
    if match := re.fullmatch(r"pca-fashion-mnist([1-9]\d*)", name):
        from models.fashion import load_pca_fashion_mnist

        return load_pca_fashion_mnist(int(match[1]), data_dir)
    registry.load()
    if name in registry.DATA:
        data: DataSet = registry.DATA[name].load(data_dir)
        return data
    raise DataError(
        f"{name}: no such data set; there are toy<K> and toy<K>_<D> (toy4, toy4_20), "
        "toy<TEXT> (toyMIM), the same with a capital T, mnist, fashion-mnist and "
        "pca-fashion-mnist<k> (pca-fashion-mnist20)"
    )


def _toy(name: str, outer: int, dims: int) -> Mixture:
    """Returns the mixture toy<outer>_<dims>."""
    count = outer + 1 if outer >= 0 else -outer
    angles = 2 * math.pi * torch.arange(abs(outer), dtype=torch.float64) / count
    ring = torch.stack([angles.cos(), angles.sin()], dim=1)
    plane = torch.cat([ring.new_zeros(count - abs(outer), 2), ring])
    grid = torch.linspace(-10 * count, 10 * count, count * dims, dtype=torch.float64)
    means = torch.cat([plane, grid.reshape(count, dims)[:, 2:]], dim=1)
    scale = torch.full((dims,), 1.25 / count, dtype=torch.float64)
    return Mixture(name, means, scale, pairs=name.startswith("T"))


def _text(name: str, text: str) -> Mixture:
    """Returns the mixture whose components are the pixels of a text."""
    from PIL import Image, ImageDraw, ImageFont  # of all data sets this one alone needs it

    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    width, height = right - left, bottom - top
    image = Image.new("1", (width, height))
    ImageDraw.Draw(image).text((0, 0), text, fill=1, font=font)
    lit = torch.from_numpy(np.array(image, dtype=bool)).flip(0)
    rows, columns = lit.nonzero(as_tuple=True)
    u, v = columns.double() / width, rows.double() / height
    means = torch.stack([(u - 0.45) * 3.6, (v - 0.45) * 3.6], dim=1)
    scale = torch.tensor([1 / width, 1 / height], dtype=torch.float64)
    return Mixture(name, means, scale, pairs=name.startswith("T"))
