"""Layers of the two-level image models (arXiv 1705.07120): gated and masked ones, and their start.

Gated(f) = f_h(x)·sigmoid(f_g(x)), of two parallel layers.
"""

import math

import torch
from torch import Tensor, nn

from mimsweep.models.densities.normal import Normal

SIDE = 28
PIXELS = SIDE * SIDE
"""The models are of images of 28 × 28 pixels, as published."""

LOG_VARIANCE = (-6.0, 2.0)
"""Bounds of a Gaussian's log-variance."""


class GatedConv2d(nn.Module):
    """A gated convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.h = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        self.g = nn.Conv2d(inputs, outputs, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, inputs, height, width) to (N, outputs, height/stride, width/stride)."""
        gated: Tensor = self.h(x) * self.g(x).sigmoid()
        return gated


class GatedDense(nn.Module):
    """A gated linear layer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.h = nn.Linear(inputs, outputs)
        self.g = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., inputs) to (..., outputs)."""
        gated: Tensor = self.h(x) * self.g(x).sigmoid()
        return gated


class GaussianHead(nn.Module):
    """Maps features to a Gaussian: linear mean, linear log-variance within `LOG_VARIANCE`."""

    def __init__(self, inputs: int, z_dim: int) -> None:
        super().__init__()
        self.mean = nn.Linear(inputs, z_dim)
        self.log_variance = nn.Linear(inputs, z_dim)

    def forward(self, features: Tensor) -> Normal:
        """Returns the Gaussian over (..., Z) of features with shape (..., inputs)."""
        log_variance = precise(self.log_variance(features)).clamp(*LOG_VARIANCE)
        return Normal(precise(self.mean(features)), (0.5 * log_variance).exp())


class MaskedConv2d(nn.Module):
    """A 3×3 convolution, without bias, that sees but pixels before its own in raster order.

    One that is `strict` (type A of arXiv 1601.06759) doesn't see its own pixel, others (type B) do;
    all input channels are masked alike. Weights that are masked are there and stay as they start.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, strict: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        seen = [[1.0, 1.0, 1.0], [1.0, 0.0 if strict else 1.0, 0.0]]
        self.register_buffer("mask", torch.tensor(seen), persistent=False)

    @property
    def seen(self) -> Tensor:
        """The upper two rows of the kernel, masked, (outputs, inputs, 2, 3); the third is 0."""
        return self.weight[:, :, :2] * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, inputs, height, width) to (N, outputs, height, width)."""
        above = nn.functional.pad(x, (0, 0, 1, 0))
        return nn.functional.conv2d(above, self.seen, padding=(0, 1))


def precise(tensor: Tensor) -> Tensor:
    """Returns a tensor in float32, or float64 as it is: what densities are computed in."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def initialise(net: nn.Module, source: torch.Generator) -> None:
    """Draws the weights: He-normal those of linear layers, all others by torch's defaults.

    He-normal is N(0, 2/inputs) (arXiv 1502.01852); torch's default of convolutions and of all
    biases is uniform within ±1/√inputs, inputs counting the kernel's pixels.

    Args:
        net: of the layers above and of torch's; batch norms are left as they are.
        source: of the numbers, in the order of the layers.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=source)
        elif isinstance(layer, nn.Conv2d | MaskedConv2d):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=source)
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.bias, -bound, bound, generator=source)
