"""Random streams named by what they are for.

A stream is a function of its name alone, so a run's numbers depend neither on the runs beside it
nor on the epochs drawn before: epoch 7 of seed 3 can be drawn at any time, by any process. What
toys, projected images and their models draw is of counters (`models.philox`), the same on every
device; binary images and their models draw from torch's generators.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mimsweep.models.philox import Word, Words, fill


def _digest(name: tuple[str | int, ...]) -> bytes:
    return hashlib.sha256(repr(name).encode()).digest()[:8]


def generator(*name: str | int) -> torch.Generator:
    """Returns the CPU generator of the stream called `name`.

    Args:
        name: what the stream is for, for example `("noise", seed, epoch)`. Streams of different
            names are independent; equal names give equal streams.
    """
    seed = int.from_bytes(_digest(name), "little", signed=True)
    return torch.Generator().manual_seed(seed)


def key(*name: str | int) -> Words:
    """Returns the key, with shape (2,), of the counted numbers called `name`."""
    return np.frombuffer(_digest(name), "<u4").astype(Word)


def normals(name: Sequence[str | int], shape: Sequence[int]) -> Tensor:
    """Returns standard normals of a shape, float32, from the counted numbers called `name`."""
    return _drawn(name, 0, (1, math.prod(shape)), normal=True).view(*shape)


def uniforms(name: Sequence[str | int], shape: Sequence[int]) -> Tensor:
    """Returns numbers uniform in [0, 1), as `normals`."""
    return _drawn(name, 0, (1, math.prod(shape)), normal=False).view(*shape)


def counted_uniforms(name: Sequence[str | int], epoch: int, size: tuple[int, int]) -> Tensor:
    """Returns numbers uniform in [0, 1), float32, of an epoch: with shape (rows, items)."""
    return _drawn(name, epoch, size, normal=False)


def _drawn(name: Sequence[str | int], epoch: int, size: tuple[int, int], normal: bool) -> Tensor:
    """Returns what is drawn for (rows, items), at step 0."""
    out = np.empty((1, 1, *size), np.float32)
    fill(out, size[1], key(*name)[None], np.array([epoch], Word), 0, normal)
    return torch.from_numpy(out)[0, 0]
