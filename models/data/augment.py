"""Augmented and dequantised images, for training.

With levels v of 0 to 255, an item is, after an affine map with probability 1/2,
clamp((v + u)/256, 10⁻³, 1 − 10⁻³) with u ~ U[0, 1).

The map is torchvision's RandomAffine(degrees=10, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=5),
in nearest neighbour with fill 0: with A = scale·R(angle)·S(shear), the pixel at p, seen from the
centre, shows the one at A⁻¹·(p − t). Here all images of a chunk are mapped at once.
"""

import torch
from torch import Tensor

from mimsweep.models.data.idx import SIDE

CHUNK = 1000  # images augmented at once: their floats stay in the cache


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
