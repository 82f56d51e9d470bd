"""The autoregressive decoder of `pixelhvae_2level`: a PixelCNN beside z1 and z2 (arXiv 1606.05328).

Pixels are drawn in raster order. What a layer makes of pixels that are known stays as it is, so a
new pixel costs each layer just one place: all 784 together cost about one full pass, not 784.
"""

import torch
from torch import Tensor, nn

from mimsweep.models.nets.gated import PIXELS, SIDE, GatedDense, MaskedConv2d, precise

CHANNELS, LAYERS = 64, 8


class PixelLayer(nn.Module):
    """A masked convolution, batch norm and ReLU."""

    def __init__(self, inputs: int, strict: bool) -> None:
        super().__init__()
        self.conv = MaskedConv2d(inputs, CHANNELS, strict)
        self.norm = nn.BatchNorm2d(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, inputs, 28, 28) to (N, 64, 28, 28)."""
        return self.norm(self.conv(x)).relu()

    def folded(self) -> tuple[Tensor, Tensor]:
        """Returns kernel (64, inputs·6) and shift (64,) of convolution and batch norm in one.

        The batch norm's statistics are the running ones.
        """
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        kernel = (self.conv.seen * scale[:, None, None, None]).flatten(1)
        return kernel, norm.bias - norm.running_mean * scale


class PixelDecoder(nn.Module):
    """Maps (z1, z2, x) to logits of x, each seeing the pixels of x before its own alone."""

    def __init__(self, z_dim: int) -> None:
        super().__init__()
        self.z1 = GatedDense(z_dim, PIXELS)
        self.z2 = GatedDense(z_dim, PIXELS)
        self.layers = nn.Sequential(
            PixelLayer(3, strict=True),
            *(PixelLayer(CHANNELS, strict=False) for _ in range(LAYERS - 1)),
        )
        self.logits = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, z1: Tensor, z2: Tensor, x: Tensor) -> Tensor:
        """Returns logits with shape (..., 784).

        Args:
            z1: with shape (..., Z).
            z2: with shape (..., Z).
            x: with shape (..., 784).
        """
        maps = torch.stack([x, self.z1(z1), self.z2(z2)], dim=-2)
        logits = self.logits(self.layers(maps.view(-1, 3, SIDE, SIDE)))
        return precise(logits).view(x.shape)

    @torch.no_grad()
    def sample(self, z1: Tensor, z2: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Returns x ~ p(x|z1, z2), bits as floats, and their logits, each with shape (N, 784).

        Batch norms take their running statistics, whatever mode the module is in.

        Args:
            z1: with shape (N, Z).
            z2: with shape (N, Z).
            uniform: numbers in [0, 1) that draw the bits, with shape (N, 784).
        """
        folded = [layer.folded() for layer in self.layers if isinstance(layer, PixelLayer)]
        kernels, shifts = zip(*folded, strict=True)
        # What goes into each layer, with a frame of zeros above, to the left and to the right.
        inputs = [z1.new_zeros(len(z1), k.shape[1] // 6, SIDE + 1, SIDE + 2) for k in kernels]
        for channel, part in ((1, self.z1(z1)), (2, self.z2(z2))):
            inputs[0][:, channel, 1:, 1:-1] = part.view(-1, SIDE, SIDE)
        last, bias = self.logits.weight.view(1, CHANNELS), self.logits.bias
        assert bias is not None
        logits, x = torch.empty_like(uniform), torch.empty_like(uniform)
        for pixel in range(PIXELS):
            row, column = divmod(pixel, SIDE)
            window = (slice(None), slice(None), slice(row, row + 2), slice(column, column + 3))
            for layer, (kernel, shift) in enumerate(zip(kernels, shifts, strict=True)):
                seen = inputs[layer][window].flatten(1)
                h = torch.addmm(shift, seen, kernel.T).relu_()
                if layer + 1 < LAYERS:
                    inputs[layer + 1][:, :, row + 1, column + 1] = h
            logits[:, pixel] = torch.addmm(bias, h, last.T)[:, 0]
            x[:, pixel] = (uniform[:, pixel] < logits[:, pixel].sigmoid()).to(x)
            inputs[0][:, 0, row + 1, column + 1] = x[:, pixel]
        return x, logits
