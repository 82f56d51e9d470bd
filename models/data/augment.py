"""Shuffled, augmented and dequantised images, for training.

With levels v of 0 to 255, an item is, after an affine map with probability 1/2,
clamp((v + u)/256, 10⁻³, 1 − 10⁻³) with u ~ U[0, 1).

The map is torchvision's RandomAffine(degrees=10, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=5),
in nearest neighbour with fill 0: with A = scale·R(angle)·S(shear), the pixel at p, seen from the
centre, shows the one at A⁻¹·(p − t). All numbers are of counters (`models.philox`): order and maps
of rows of the items, u of the item's number as step and its pixels as items.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mimsweep.models.data.idx import PIXELS, SIDE
from mimsweep.models.elementary import ZERO, Array, F, nearest
from mimsweep.models.jit import compiled
from mimsweep.models.philox import CHUNK, Word, Words, chunk_words, unit
from mimsweep.models.streams import counted_uniforms, key

AT_ONCE = 200  # items made at once: their floats stay in the cache
CENTRE = F((SIDE - 1) / 2)
LEVELS, LEAST, MOST = F(1 / 256), F(1e-3), F(1 - 1e-3)


class Maps(NamedTuple):
    """Affine maps of N images.

    Attributes:
        inverse: the entries of A⁻¹ by row, with shape (4, N).
        shift: to the right and down, in pixels, with shape (2, N).
        wanted: which images are mapped at all, with shape (N,).
    """

    inverse: Array
    shift: Array
    wanted: NDArray[np.bool_]


def epoch_of(
    levels: Tensor, name: tuple[str | int, ...], epoch: int, less: Tensor | None = None
) -> tuple[Tensor, Iterator[Tensor]]:
    """Draws a pass over training images.

    Args:
        levels: images with shape (N, 784), uint8.
        name: of its random numbers, apart from the epoch.
        epoch: which pass.
        less: what is subtracted from each item, with shape (784,).

    Returns:
        the order in which images are taken, with shape (N,), and the items in that order, a few
        at a time, each with shape (n, 784), float32: in (0, 1) if nothing is subtracted.
    """
    uniform = counted_uniforms((*name, "items"), epoch, (8, len(levels)))
    # Two rows of 24 bits each: as good as no two are equal.
    order = (uniform[6].double() + uniform[7].double() * 2.0**-24).argsort(stable=True)
    maps, pixels = drawn_maps(uniform[:6]), key(*name, "pixels")

    def some_items() -> Iterator[Tensor]:
        for start in range(0, len(levels), AT_ONCE):
            rows = order[start : start + AT_ONCE]
            yield items(levels, rows, maps, pixels, epoch, start, less)

    return order, some_items()


def drawn_maps(uniform: Tensor) -> Maps:
    """Returns maps of which about half are wanted, by numbers in [0, 1) with shape (6, N)."""
    signed = uniform[1:] * 2 - 1
    return maps_of(
        angle=torch.deg2rad(signed[0] * 10),
        shift=(signed[1:3] * (0.1 * SIDE)).round(),
        scale=1 + 0.2 * signed[3],
        shear=torch.deg2rad(signed[4] * 5),
        wanted=uniform[0] < 0.5,
    )


def maps_of(angle: Tensor, shift: Tensor, scale: Tensor, shear: Tensor, wanted: Tensor) -> Maps:
    """Returns affine maps.

    Args:
        angle: clockwise on the screen, in radians, with shape (N,).
        shift: to the right and down, in pixels, with shape (2, N).
        scale: with shape (N,).
        shear: of x, in radians, with shape (N,).
        wanted: which images are mapped, with shape (N,).
    """
    cos, sin, tan = angle.cos(), angle.sin(), shear.tan()
    # A = scale·[[cos, −cos·tan − sin], [sin, −sin·tan + cos]] has determinant scale².
    inverse = torch.stack([cos - sin * tan, cos * tan + sin, -sin, cos]) / scale
    return Maps(inverse.numpy(), shift.contiguous().numpy(), wanted.numpy())


def items(
    levels: Tensor,
    rows: Tensor,
    maps: Maps,
    pixels: Words,
    epoch: int,
    first: int,
    less: Tensor | None = None,
) -> Tensor:
    """Returns items, mapped in nearest neighbour with fill 0 and dequantised: (n, 784), float32.

    Args:
        levels: images with shape (·, 784), uint8.
        rows: which of them, with shape (n,).
        maps: of all items of the pass.
        pixels: the key of their u.
        epoch: which pass.
        first: the number of the first item in the pass.
        less: what is subtracted from each, with shape (784,).
    """
    out = torch.empty(len(rows), PIXELS)
    subtracted = torch.zeros(PIXELS) if less is None else less
    images = (levels.numpy(), rows.numpy())
    _draw(out.numpy(), *images, maps, pixels, epoch, first, subtracted.numpy())
    return out


@compiled
def _draw(
    out: Array,
    levels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    maps: Maps,
    pixels: Words,
    epoch: int,
    first: int,
    less: Array,
) -> None:
    # Pixels in one loop, without rows: no vector is cut short.
    right, down = np.empty(PIXELS, F), np.empty(PIXELS, F)
    for p in range(PIXELS):
        right[p], down[p] = F(p % SIDE) - CENTRE, F(p // SIDE) - CENTRE
    image, mapped = np.empty(PIXELS + 1, F), np.empty(PIXELS, F)
    source, words = np.empty(PIXELS, Word), np.empty(CHUNK, Word)
    image[PIXELS] = ZERO  # what is outside
    for i in range(len(out)):
        for p in range(PIXELS):
            image[p] = levels[rows[i], p]
        if maps.wanted[first + i]:
            _find(source, right, down, maps, first + i)
            for p in range(PIXELS):
                mapped[p] = image[source[p]]
        else:
            for p in range(PIXELS):
                mapped[p] = image[p]
        for start in range(0, PIXELS, CHUNK):
            chunk_words(words, start // CHUNK, 0, first + i, epoch, pixels[0], pixels[1])
            for p in range(min(CHUNK, PIXELS - start)):
                value = (mapped[start + p] + unit(words[p])) * LEVELS
                out[i, start + p] = min(max(value, LEAST), MOST) - less[start + p]


@compiled
def _find(source: Words, right: Array, down: Array, maps: Maps, n: int) -> None:
    """Sets `source`, shape (784,), to the pixel that each shows by map n; 784 if it's outside."""
    xx, xy = maps.inverse[0, n], maps.inverse[1, n]
    yx, yy = maps.inverse[2, n], maps.inverse[3, n]
    moved_right, moved_down = maps.shift[0, n], maps.shift[1, n]
    for p in range(PIXELS):
        x, y = right[p] - moved_right, down[p] - moved_down
        column = Word(nearest(xx * x + xy * y + CENTRE))  # below 0: beyond any side
        row = Word(nearest(yx * x + yy * y + CENTRE))
        inside = (column < Word(SIDE)) & (row < Word(SIDE))
        source[p] = Word(Word(row * Word(SIDE)) + column) if inside else Word(PIXELS)
