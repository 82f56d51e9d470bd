"""Parameter counts and shapes of every layer, as the specification has them; densities' parts."""

import pytest
import torch
from torch import Tensor, nn

from mimsweep.models.densities.vampprior import StandardPrior, VampPrior
from mimsweep.models.nets.gated import GatedConv2d, GatedDense, GaussianHead
from mimsweep.models.nets.hvae import Architecture, TwoLevel
from mimsweep.models.nets.pixelcnn import PixelLayer

# By hand, from experiments.md section 6. A gated convolution of i to o channels, kernel k, has
# 2(i·o·k² + o) parameters, a gated linear layer 2(i·o + o), a head likewise.
PARTS = {
    "z2_convs": 3_200 + 18_496 + 102_528 + 73_856 + 6_924,
    "z2_head": 23_600,
    "z1_convs": 640 + 18_496 + 36_992 + 73_856 + 6_924,
    "z1_z2": 24_108,
    "z1_joint": 353_400,
    "z1_head": 24_080,
    "p_z1_layers": 24_600 + 180_600,
    "p_z1_head": 24_080,
}
DECODERS = {
    "convhvae_2level": 24_600 + 24_600 + 942_368 + 1_280 + 3 * 73_856 + 65,
    "pixelhvae_2level": 64_288 + 64_288 + 1_728 + 7 * 36_864 + 8 * 128 + 65,
}
TOTAL = {"convhvae_2level": 2_210_861, "pixelhvae_2level": 1_385_821}

Z2_CONVS = [(32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7), (6, 7, 7)]
DENSE = {"z1_z2": (294,), "z1_joint": (300,), "p_z1_layers.0": (300,), "p_z1_layers.1": (300,)}
SHAPES = {
    **{f"z2_convs.{layer}": shape for layer, shape in enumerate(Z2_CONVS)},
    **{f"z1_convs.{layer}": shape for layer, shape in enumerate(Z2_CONVS)},
    **DENSE,
}
DECODER_SHAPES = {
    "convhvae_2level": {
        "decoder.z1": (300,),
        "decoder.z2": (300,),
        "decoder.joint": (784,),
        **{f"decoder.convs.{layer}": (64, 28, 28) for layer in range(4)},
        "decoder.logits": (1, 28, 28),
    },
    "pixelhvae_2level": {
        "decoder.z1": (784,),
        "decoder.z2": (784,),
        **{f"decoder.layers.{layer}": (64, 28, 28) for layer in range(8)},
        "decoder.logits": (1, 28, 28),
    },
}


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def initial(decoder: str, z_dim: int = 40, pseudo_inputs: int = 0) -> TwoLevel:
    levels = torch.rand(20, 784, generator=torch.Generator().manual_seed(1))
    return Architecture(decoder, z_dim, pseudo_inputs).initial(1, levels, from_images=True)


@pytest.mark.parametrize("decoder", DECODERS)
def test_parameter_counts(decoder: str) -> None:
    net = initial(decoder)
    assert {name: count(getattr(net, name)) for name in PARTS} == PARTS
    assert count(net.decoder) == DECODERS[decoder]
    assert count(net) == sum(PARTS.values()) + DECODERS[decoder] == TOTAL[decoder]
    assert count(initial(decoder, pseudo_inputs=500)) == TOTAL[decoder] + 500 * 784


@pytest.mark.parametrize("decoder", DECODERS)
def test_shapes_of_every_layer(decoder: str) -> None:
    net = initial(decoder)
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> None:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            shapes[name] = tuple(output.shape[1:])

        net.get_submodule(name).register_forward_hook(hook)

    kinds = (GatedConv2d, GatedDense, PixelLayer)
    for name, layer in net.named_modules():
        if isinstance(layer, kinds) or name == "decoder.logits":
            note(name)
    x = (torch.rand(2, 784) < 0.5).float()
    z2 = net.q_z2(x).mean
    features = net.features(x)
    z1 = net.q_z1(features, z2).mean
    assert features.shape == (2, 294)
    assert z1.shape == z2.shape == net.p_z1(z2).mean.shape == (2, 40)
    assert net.p_x(z1, z2, x).logits.shape == (2, 784)
    assert shapes == SHAPES | DECODER_SHAPES[decoder]
    heads = [name for name, layer in net.named_modules() if isinstance(layer, GaussianHead)]
    assert heads == ["z2_head", "z1_head", "p_z1_head"]


@pytest.mark.parametrize("decoder", DECODERS)
def test_leading_axes_are_samples(decoder: str) -> None:
    net = initial(decoder, z_dim=3).eval()
    x = (torch.rand(2, 784) < 0.5).float()
    z1, z2 = torch.randn(4, 2, 3), torch.randn(4, 2, 3)
    logits = net.p_x(z1, z2, x.expand(4, 2, 784)).logits
    for sample in range(4):
        expected = net.p_x(z1[sample], z2[sample], x).logits
        torch.testing.assert_close(logits[sample], expected, rtol=1e-4, atol=1e-5)


def test_bernoulli_means_are_clamped() -> None:
    net = initial("convhvae_2level", z_dim=3)
    nn.init.constant_(net.decoder.get_parameter("logits.bias"), 1_000)
    z, x = torch.zeros(1, 3), torch.zeros(1, 784)
    means = net.p_x(z, z, x).logits.double().sigmoid()
    torch.testing.assert_close(1 - means, torch.full_like(means, 1e-5), rtol=1e-4, atol=0)


def test_prior_is_a_choice() -> None:
    assert isinstance(initial("convhvae_2level", 3).prior(), StandardPrior)
    net = initial("convhvae_2level", 3, pseudo_inputs=6)
    assert net.pseudo_inputs is not None
    with torch.no_grad():
        net.pseudo_inputs[0] += 5
        prior = net.prior()
        assert isinstance(prior, VampPrior)
        clamped = net.q_z2(net.pseudo_inputs.clamp(0, 1))
        torch.testing.assert_close(prior.posteriors.mean, clamped.mean)


def test_first_weights_depend_on_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    levels = torch.rand(3, 784, generator=torch.Generator().manual_seed(1))
    one, same, other = (
        Architecture("pixelhvae_2level", 3, 4).initial(seed, levels, True) for seed in (1, 1, 2)
    )
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.z1_z2.h.weight, other.z1_z2.h.weight)
    assert torch.equal(state, torch.random.get_rng_state())
