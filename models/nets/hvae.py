"""Two-level models of images: q(z2|x) q(z1|x, z2), p(z2) p(z1|z2) p(x|z1, z2) (arXiv 1705.07120).

`convhvae_2level` decodes by gated convolutions, `pixelhvae_2level` pixel by pixel; all else is the
same. Images are rows of 784 pixels of 28×28; B is any number of leading axes where it's written
"...". Densities are computed in float32 also where layers aren't.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mimsweep.models.densities.bernoulli import Bernoulli
from mimsweep.models.densities.normal import Normal
from mimsweep.models.densities.vampprior import Prior, StandardPrior, VampPrior, first_pseudo_inputs
from mimsweep.models.layout import check_shapes
from mimsweep.models.nets.gated import (
    PIXELS,
    SIDE,
    GatedConv2d,
    GatedDense,
    GaussianHead,
    initialise,
    precise,
)
from mimsweep.models.nets.pixelcnn import PixelDecoder
from mimsweep.models.streams import generator

MIN_MEAN = 1e-5
"""Bernoulli means lie at least so far from 0 and 1."""

FEATURES = 6 * 7 * 7  # 294: what the convolutions of an encoder make of an image
HIDDEN = 300


class ConvDecoder(nn.Module):
    """Maps (z1, z2) to logits of x."""

    def __init__(self, z_dim: int) -> None:
        super().__init__()
        self.z1 = GatedDense(z_dim, HIDDEN)
        self.z2 = GatedDense(z_dim, HIDDEN)
        self.joint = GatedDense(2 * HIDDEN, PIXELS)
        self.convs = nn.Sequential(
            GatedConv2d(1, 64, 3, 1, 1), *(GatedConv2d(64, 64, 3, 1, 1) for _ in range(3))
        )
        self.logits = nn.Conv2d(64, 1, 1)

    def forward(self, z1: Tensor, z2: Tensor, x: Tensor) -> Tensor:
        """Returns logits, (..., 784), of z1 and z2, (..., Z); x, (..., 784), isn't looked at."""
        h = self.joint(torch.cat([self.z1(z1), self.z2(z2)], dim=-1))
        logits = self.logits(self.convs(h.view(-1, 1, SIDE, SIDE)))
        return precise(logits).view(h.shape)


def image_convs(first: int, third: int) -> nn.Sequential:
    """Returns an encoder's convolutions, (N, 1, 28, 28) to (N, 294).

    Args:
        first: size of the first kernel.
        third: size of the third.
    """
    return nn.Sequential(
        GatedConv2d(1, 32, first, 1, first // 2),
        GatedConv2d(32, 32, 3, 2, 1),
        GatedConv2d(32, 64, third, 1, third // 2),
        GatedConv2d(64, 64, 3, 2, 1),
        GatedConv2d(64, 6, 3, 1, 1),
        nn.Flatten(),
    )


class TwoLevel(nn.Module):
    """A two-level model; its densities at one setting of the weights."""

    def __init__(self, decoder: nn.Module, z_dim: int, pseudo_inputs: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.z2_convs = image_convs(7, 5)
        self.z2_head = GaussianHead(FEATURES, z_dim)
        self.z1_convs = image_convs(3, 3)
        self.z1_z2 = GatedDense(z_dim, FEATURES)
        self.z1_joint = GatedDense(2 * FEATURES, HIDDEN)
        self.z1_head = GaussianHead(HIDDEN, z_dim)
        self.p_z1_layers = nn.Sequential(GatedDense(z_dim, HIDDEN), GatedDense(HIDDEN, HIDDEN))
        self.p_z1_head = GaussianHead(HIDDEN, z_dim)
        self.decoder = decoder
        self.pseudo_inputs = (
            nn.Parameter(torch.empty(pseudo_inputs, PIXELS)) if pseudo_inputs else None
        )

    def q_z2(self, x: Tensor) -> Normal:
        """Returns q(z2|x), with shape (B, Z), of x with shape (B, 784)."""
        return self.z2_head(self.z2_convs(_image(x)))

    def features(self, x: Tensor) -> Tensor:
        """Returns what q(z1|x, z2) sees of x, (B, 784): with shape (B, 294)."""
        return self.z1_convs(_image(x))

    def q_z1(self, features: Tensor, z2: Tensor) -> Normal:
        """Returns q(z1|x, z2), with shape (..., Z), of x's features (..., 294), z2 (..., Z)."""
        h = self.z1_joint(torch.cat([features, self.z1_z2(z2)], dim=-1))
        return self.z1_head(h)

    def p_z1(self, z2: Tensor) -> Normal:
        """Returns p(z1|z2), with shape (..., Z), of z2 with shape (..., Z)."""
        return self.p_z1_head(self.p_z1_layers(z2))

    def p_x(self, z1: Tensor, z2: Tensor, x: Tensor) -> Bernoulli:
        """Returns p(x|z1, z2), with shape (..., 784).

        Args:
            z1: with shape (..., Z).
            z2: with shape (..., Z).
            x: what the density is taken at, (..., 784): a pixel may depend on those before.
        """
        return Bernoulli.clamped(self.decoder(z1, z2, x), MIN_MEAN)

    def prior(self) -> Prior:
        """Returns p(z2)."""
        if self.pseudo_inputs is None:
            return StandardPrior()
        return VampPrior(self.q_z2(self.pseudo_images(self.pseudo_inputs)))

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Sets stored weights, which have all of the model's floats.

        Raises:
            ValueError: one is missing, or of another shape.
        """
        floats = {name: t.shape for name, t in self.state_dict().items() if t.is_floating_point()}
        check_shapes(weights, floats)
        self.load_state_dict(dict(weights), strict=False)

    @staticmethod
    def pseudo_images(pseudo_inputs: Tensor) -> Tensor:
        """Returns pseudo-inputs, (K, 784), as the encoder sees them, clamped to [0, 1]."""
        return pseudo_inputs.clamp(0, 1)


def _image(x: Tensor) -> Tensor:
    return x.view(-1, 1, SIDE, SIDE)


@dataclass(frozen=True)
class Architecture:
    """What a model's tensors depend on.

    Attributes:
        decoder: `convhvae_2level` or `pixelhvae_2level`.
        z_dim: Z, the size of z1 and of z2.
        pseudo_inputs: K of the VampPrior; 0 for the standard prior.
    """

    decoder: str
    z_dim: int
    pseudo_inputs: int

    def build(self) -> TwoLevel:
        """Returns the model, its weights yet to be set."""
        decoder = PixelDecoder if self.decoder == "pixelhvae_2level" else ConvDecoder
        # Layers draw weights as they are made; nobody else's numbers shall depend on that.
        with torch.random.fork_rng(devices=[]):
            return TwoLevel(decoder(self.z_dim), self.z_dim, self.pseudo_inputs)

    def initial(self, seed: int, images: Tensor, from_images: bool) -> TwoLevel:
        """Returns the model with its first weights.

        Args:
            seed: of the run.
            images: training levels with shape (N, 784).
            from_images: whether pseudo-inputs start at them.
        """
        net = self.build()
        initialise(net, generator("image weights", seed))
        if net.pseudo_inputs is not None:
            source = generator("pseudo-inputs", seed)
            start = first_pseudo_inputs(len(net.pseudo_inputs), images, from_images, source)
            net.pseudo_inputs.data.copy_(start)
        return net
