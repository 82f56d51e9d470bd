"""Shuffled, augmented and dequantised images, for training.

With levels v of 0 to 255, an item is, after an affine map with probability 1/2,
clamp((v + u)/256, 10⁻³, 1 − 10⁻³) with u ~ U[0, 1).

The map is torchvision's RandomAffine(degrees=10, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=5),
in nearest neighbour with fill 0: with A = scale·R(angle)·S(shear), the pixel at p, seen from the
centre, shows the one at A⁻¹·(p − t). All numbers are of counters (`models.philox`): order and maps
of rows of the items, u of the item's number as step and its pixels as items.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mimsweep.models.data.idx import PIXELS, SIDE
from mimsweep.models.elementary import Array, F, Int, elementwise, nearest
from mimsweep.models.jit import compiled
from mimsweep.models.philox import CHUNK, Word, Words, chunk_words, unit
from mimsweep.models.streams import counted_uniforms, key

AT_ONCE = 200  # images augmented at once: their floats stay in the cache
FRAMED = SIDE + 2
CENTRE = F((SIDE - 1) / 2)
LEVELS, LEAST, MOST = F(1 / 256), F(1e-3), F(1 - 1e-3)


def epoch_of(
    levels: Tensor, name: tuple[str | int, ...], epoch: int
) -> tuple[Tensor, Iterator[Tensor]]:
    """Draws a pass over training images.

    Args:
        levels: images with shape (N, 784), uint8.
        name: of its random numbers, apart from the epoch.
        epoch: which pass.

    Returns:
        the order in which images are taken, with shape (N,), and the items in that order, a few
        at a time, each with shape (n, 784), float32 in (0, 1).
    """
    uniform = counted_uniforms((*name, "items"), epoch, (8, len(levels)))
    # Two rows of 24 bits each: as good as no two are equal.
    order = (uniform[6].double() + uniform[7].double() * 2.0**-24).argsort(stable=True)
    pixels = key(*name, "pixels")

    def items() -> Iterator[Tensor]:
        for start in range(0, len(levels), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            mapped = augment(levels, order[some], uniform[:6, some])
            yield dequantised(mapped, pixels, epoch, start)

    return order, items()


def augment(levels: Tensor, rows: Tensor, uniform: Tensor) -> Tensor:
    """Returns levels of some images with shape (N, 784), float32, of which about half are mapped.

    Args:
        levels: images with shape (·, 784), uint8.
        rows: which of them, with shape (N,).
        uniform: in [0, 1), with shape (6, N): which are mapped, and how.
    """
    signed = uniform[1:] * 2 - 1
    return affine(
        levels,
        rows,
        angle=torch.deg2rad(signed[0] * 10),
        shift=(signed[1:3] * (0.1 * SIDE)).round(),
        scale=1 + 0.2 * signed[3],
        shear=torch.deg2rad(signed[4] * 5),
        wanted=uniform[0] < 0.5,
    )


def affine(
    levels: Tensor,
    rows: Tensor,
    angle: Tensor,
    shift: Tensor,
    scale: Tensor,
    shear: Tensor,
    wanted: Tensor,
) -> Tensor:
    """Returns images mapped affinely, nearest neighbour, fill 0: levels (N, 784), float32.

    Args:
        levels: images with shape (·, 784), uint8.
        rows: which of them, with shape (N,).
        angle: clockwise on the screen, in radians, with shape (N,).
        shift: to the right and down, in pixels, with shape (2, N).
        scale: with shape (N,).
        shear: of x, in radians, with shape (N,).
        wanted: which are mapped, with shape (N,).
    """
    cos, sin, tan = angle.cos(), angle.sin(), shear.tan()
    # A = scale·[[cos, −cos·tan − sin], [sin, −sin·tan + cos]] has determinant scale².
    inverse = torch.stack([cos - sin * tan, cos * tan + sin, -sin, cos]) / scale
    out = torch.empty(len(rows), PIXELS)
    maps = (inverse.numpy(), shift.contiguous().numpy(), wanted.numpy())
    _map(out.numpy(), levels.numpy(), rows.numpy(), *maps)
    return out


@elementwise
def _framed(pixel: np.int32) -> np.int32:
    """Returns where a pixel is in an image with a margin; the margin if it's outside."""
    return min(max(pixel, Int(-1)), Int(SIDE)) + Int(1)


@compiled
def _map(
    out: Array,
    levels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    inverse: Array,
    shift: Array,
    wanted: NDArray[np.bool_],
) -> None:
    framed = np.zeros((FRAMED, FRAMED), F)  # a margin of 0 around the image
    flat, source = framed.ravel(), np.empty(SIDE, np.int32)
    for i in range(len(out)):
        image = levels[rows[i]]
        if not wanted[i]:
            for p in range(PIXELS):
                out[i, p] = image[p]
            continue
        for y in range(SIDE):
            for x in range(SIDE):
                framed[y + 1, x + 1] = image[y * SIDE + x]
        xx, xy, yx, yy = inverse[0, i], inverse[1, i], inverse[2, i], inverse[3, i]
        for y in range(SIDE):
            down = F(y) - CENTRE - shift[1, i]
            for x in range(SIDE):
                right = F(x) - CENTRE - shift[0, i]
                column = _framed(nearest(xx * right + xy * down + CENTRE))
                row = _framed(nearest(yx * right + yy * down + CENTRE))
                source[x] = row * np.int32(FRAMED) + column
            for x in range(SIDE):
                out[i, y * SIDE + x] = flat[source[x]]


def dequantised(levels: Tensor, pixels: Words, epoch: int, first: int) -> Tensor:
    """Turns levels (N, 784), float32, into items in (0, 1), in place; their numbers from first."""
    _dequantise(levels.numpy(), pixels, epoch, first)
    return levels


@compiled
def _dequantise(items: Array, pixels: Words, epoch: int, first: int) -> None:
    words = np.empty(CHUNK, Word)
    for i in range(len(items)):
        for start in range(0, PIXELS, CHUNK):
            chunk_words(words, start // CHUNK, 0, first + i, epoch, pixels[0], pixels[1])
            for p in range(min(CHUNK, PIXELS - start)):
                value = (items[i, start + p] + unit(words[p])) * LEVELS
                items[i, start + p] = min(max(value, LEAST), MOST)
