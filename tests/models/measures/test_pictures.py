"""Pictures: what is shown has the shapes and the values it should."""

from pathlib import Path

import pytest
import torch

from mimsweep.models.data.binarised import ImageSet, load_images
from mimsweep.models.measures.pictures import embedded, pictures
from mimsweep.models.nets.hvae import Architecture
from mimsweep.models.training.images.run import floats


@pytest.fixture(scope="module")
def digits(data_dir: Path) -> ImageSet:
    return load_images("dynamic_mnist", data_dir, train_items=10, test_items=12)


@pytest.mark.parametrize("pseudo_inputs", [0, 6])
@pytest.mark.parametrize("decoder", ["convhvae_2level", "pixelhvae_2level"])
def test_pictures(decoder: str, pseudo_inputs: int, digits: ImageSet) -> None:
    architecture = Architecture(decoder, 5, pseudo_inputs)
    net = architecture.initial(1, digits.train, from_images=True)
    shown = pictures(architecture, floats(net), digits, seed=1, count=4, items=10)
    assert torch.equal(shown.test, digits.test[:4].float())
    assert shown.reconstructions.shape == shown.samples.shape == (4, 784)
    assert shown.pseudo_inputs.shape == (min(4, pseudo_inputs), 784)
    if net.pseudo_inputs is not None:
        assert torch.equal(shown.pseudo_inputs, net.pseudo_inputs[:4].clamp(0, 1))
    assert shown.latents.shape == (10, 10)
    assert shown.embedding.shape == (10, 2)
    assert torch.equal(shown.labels, digits.test_labels[:10])
    for images in (shown.reconstructions, shown.samples, shown.pseudo_inputs):
        assert ((images >= 0) & (images <= 1)).all()
    for images in (shown.reconstructions, shown.samples):
        bits = set(images.flatten().tolist()) <= {0.0, 1.0}
        assert bits == (decoder == "pixelhvae_2level")


def test_weights_are_used(digits: ImageSet) -> None:
    architecture = Architecture("convhvae_2level", 5, 0)
    one, other = (
        pictures(
            architecture, floats(architecture.initial(seed, digits.train, True)), digits, 1, 4, 10
        )
        for seed in (1, 2)
    )
    assert not torch.equal(one.samples, other.samples)
    assert not torch.equal(one.latents, other.latents)


def test_what_is_near_stays_near() -> None:
    source = torch.Generator().manual_seed(1)
    labels = torch.arange(60) % 3
    z = 20 * torch.eye(3)[labels] + torch.randn(60, 3, generator=source)
    points = embedded(z)
    apart = torch.cdist(points, points)
    same = labels[:, None] == labels
    assert apart[same].mean() < 0.5 * apart[~same].mean()
    assert torch.equal(points, embedded(z))
