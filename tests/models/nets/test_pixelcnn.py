"""No pixel sees itself or a later one; cached sampling gives what full passes give."""

import pytest
import torch

from mimsweep.models.nets.gated import initialise
from mimsweep.models.nets.pixelcnn import PixelDecoder
from mimsweep.models.streams import generator


@pytest.fixture
def decoder() -> PixelDecoder:
    """With batch norms that are no identities."""
    decoder = PixelDecoder(3).double()
    source = generator("test")
    initialise(decoder, source)
    for name, tensor in decoder.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=source)
    return decoder.eval()


def draws(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = generator("draws")
    z1, z2 = torch.randn(2, count, 3, generator=source, dtype=torch.float64)
    return z1, z2, torch.rand(count, 784, generator=source, dtype=torch.float64)


@pytest.mark.parametrize("pixel", [0, 1, 27, 28, 55, 400, 782, 783])
def test_a_pixel_changes_nothing_up_to_itself(decoder: PixelDecoder, pixel: int) -> None:
    z1, z2, uniform = draws(2)
    x = (uniform < 0.5).double()
    changed = x.clone()
    changed[:, pixel] = 1 - changed[:, pixel]
    before, after = decoder(z1, z2, x), decoder(z1, z2, changed)
    assert torch.equal(before[:, : pixel + 1], after[:, : pixel + 1])
    if pixel < 783:
        assert not torch.equal(before[:, pixel + 1 :], after[:, pixel + 1 :])


def test_no_gradient_comes_from_itself_or_later(decoder: PixelDecoder) -> None:
    z1, z2, x = draws(1)
    x.requires_grad_()
    logits = decoder(z1, z2, x)
    for pixel in (0, 30, 391, 783):
        (slope,) = torch.autograd.grad(logits[0, pixel], x, retain_graph=True)
        assert not slope[0, pixel:].any()
        seen = slope[0, :pixel].nonzero().flatten().tolist()
        if pixel:
            assert pixel - 1 in seen or pixel % 28 == 0


def test_every_earlier_neighbour_is_seen(decoder: PixelDecoder) -> None:
    z1, z2, x = draws(1)
    x.requires_grad_()
    pixel = 5 * 28 + 14
    (slope,) = torch.autograd.grad(decoder(z1, z2, x)[0, pixel], x)
    for row, column in ((5, 13), (4, 13), (4, 14), (4, 15)):
        assert slope[0, 28 * row + column] != 0


def test_z_reaches_all_pixels_but_the_first(decoder: PixelDecoder) -> None:
    """The first masked layer hides z at the pixel's own place: the first pixel has a bias alone."""
    z1, z2, uniform = draws(2)
    x = torch.zeros_like(uniform)
    logits = decoder(z1, z2, x)
    assert logits[0, 0] == logits[1, 0]
    assert (logits[0, 1:] != logits[1, 1:]).all()


def test_samples_and_their_logits_are_those_of_full_passes(decoder: PixelDecoder) -> None:
    z1, z2, uniform = draws(3)
    x, logits = decoder.sample(z1, z2, uniform)
    full = decoder(z1, z2, x)
    torch.testing.assert_close(logits, full, rtol=1e-10, atol=1e-10)
    assert torch.equal(x, (uniform < full.sigmoid()).double())
    assert 0.01 < float(x.mean()) < 0.99


def test_sampling_is_the_same_in_training_mode(decoder: PixelDecoder) -> None:
    z1, z2, uniform = draws(2)
    expected = decoder.sample(z1, z2, uniform)[1]
    assert torch.equal(decoder.train().sample(z1, z2, uniform)[1], expected)
