"""What is shown of a trained image model: tensors, for others to draw."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from sklearn.manifold import TSNE
from torch import Tensor

from mimsweep.models.data.binarised import ImageSet
from mimsweep.models.losses.hvae import TwoLevelNoise
from mimsweep.models.measures.images import latents
from mimsweep.models.measures.two_level import batches
from mimsweep.models.nets.gated import PIXELS
from mimsweep.models.nets.hvae import Architecture, TwoLevel
from mimsweep.models.nets.pixelcnn import PixelDecoder
from mimsweep.models.streams import generator

PERPLEXITY = 30


@dataclass(frozen=True)
class Pictures:
    """Images with values in [0, 1], float32, and latents, all on the CPU.

    Attributes:
        test: images of the test set, with shape (n, 784).
        reconstructions: of them, x ~ p(x|z) at z ~ q(z|x), with shape (n, 784).
        samples: x ~ p(x, z), with shape (n, 784).
        pseudo_inputs: of the VampPrior, the first, with shape (n', 784); of the standard prior
            there are none, n' = 0.
        latents: (z1, z2) of the first N test images, with shape (N, 2Z).
        embedding: t-SNE of the latents, with shape (N, 2).
        labels: of these images, with shape (N,).
    """

    test: Tensor
    reconstructions: Tensor
    samples: Tensor
    pseudo_inputs: Tensor
    latents: Tensor
    embedding: Tensor
    labels: Tensor


@torch.no_grad()
def pictures(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    data: ImageSet,
    seed: int,
    count: int = 25,
    items: int = 1_000,
) -> Pictures:
    """Returns what is shown of a run.

    The convolutional decoder's reconstructions and samples are means; the pixel decoder's are
    bits, drawn one after the other.

    Args:
        architecture: of the model.
        weights: by name, as in `RunEnd`.
        data: the data set.
        seed: of the run.
        count: n, images of a kind.
        items: N, latents.
    """
    net = architecture.build().eval()
    net.restore(weights)
    test = data.test[:items]
    z = torch.from_numpy(latents(net, test, "test", seed))
    shown = test[:count].float()
    z1_shown, z2_shown = z[: len(shown)].chunk(2, dim=1)
    pseudo_inputs = torch.empty(0, PIXELS) if net.pseudo_inputs is None else net.pseudo_inputs
    return Pictures(
        test=shown,
        reconstructions=_decoded(net, z1_shown, z2_shown, seed),
        samples=samples(net, count, "pictures", seed),
        pseudo_inputs=net.pseudo_images(pseudo_inputs[:count].detach()),
        latents=z,
        embedding=embedded(z),
        labels=data.test_labels[: len(test)],
    )


def samples(net: TwoLevel, count: int, purpose: str, seed: int) -> Tensor:
    """Returns x ~ p(x, z), with shape (N, 784): means of the convolutional decoder, else bits.

    Args:
        net: the model, in evaluation mode.
        count: N.
        purpose: names the noise, with the seed.
        seed: of the noise.
    """
    noise = TwoLevelNoise.draw(count, net.z_dim, torch.device("cpu"), purpose, seed)
    z2 = net.prior().sample(noise.prior_z2, noise.choice)
    return _decoded(net, net.p_z1(z2).sample(noise.prior_z1), z2, seed)


def _decoded(net: TwoLevel, z1: Tensor, z2: Tensor, seed: int) -> Tensor:
    """Returns images with shape (N, 784) of z1 and z2 with shape (N, Z)."""
    source, decoder, parts = generator("pixels", seed), net.decoder, []
    for z1_some, z2_some in batches(net, z1, z2):
        if isinstance(decoder, PixelDecoder):
            uniform = torch.rand(len(z1_some), PIXELS, generator=source)
            parts.append(decoder.sample(z1_some, z2_some, uniform)[0])
        else:
            nothing = torch.zeros(len(z1_some), PIXELS)
            parts.append(net.p_x(z1_some, z2_some, nothing).sample(nothing))
    return torch.cat(parts)


def embedded(z: Tensor) -> Tensor:
    """Returns the t-SNE embedding (Journal of Machine Learning Research 9, 2008, 2579) of latents.

    Args:
        z: with shape (N, D); N is at least 4.

    Returns:
        the points with shape (N, 2).
    """
    perplexity = min(PERPLEXITY, (len(z) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(z.numpy())
    return torch.from_numpy(points)
