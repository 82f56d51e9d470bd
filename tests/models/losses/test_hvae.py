"""The losses against formulas with torch.distributions, in float64, and S-MIM's score function."""

from dataclasses import fields

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal
from torch.nn import Parameter

from mimsweep.models.densities import mixture as distributions
from mimsweep.models.densities.vampprior import VampPrior
from mimsweep.models.losses.hvae import (
    KINDS,
    Kind,
    TwoLevelNoise,
    decoder_of,
    encoded,
    kind_of,
    losses,
)
from mimsweep.models.nets.hvae import Architecture, TwoLevel
from mimsweep.models.streams import generator

ITEMS, Z = 3, 4


def model(decoder: str, pseudo_inputs: int) -> TwoLevel:
    levels = torch.rand(ITEMS, 784, generator=generator("levels"))
    return Architecture(decoder, Z, pseudo_inputs).initial(1, levels, True).double()


def images() -> Tensor:
    return (torch.rand(ITEMS, 784, generator=generator("images")) < 0.3).double()


def noise() -> TwoLevelNoise:
    drawn = TwoLevelNoise.draw(ITEMS, Z, torch.device("cpu"), "test")
    return TwoLevelNoise(*(getattr(drawn, field.name).double() for field in fields(TwoLevelNoise)))


def gaussian(normal: distributions.Normal) -> Independent:
    return Independent(Normal(normal.mean, normal.scale), 1)


def log_p_x(net: TwoLevel, z1: Tensor, z2: Tensor, x: Tensor) -> Tensor:
    """With values between 0 and 1 that torch's own validation refuses."""
    means = net.decoder(z1, z2, x).sigmoid().clamp(1e-5, 1 - 1e-5)
    bernoulli = Bernoulli(means, validate_args=False)
    return x.mul(bernoulli.probs.log()).add((1 - x) * (1 - bernoulli.probs).log()).sum(-1)


def log_p_z2(net: TwoLevel, z2: Tensor) -> Tensor:
    if net.pseudo_inputs is None:
        return Normal(0.0, 1.0).log_prob(z2).sum(-1)
    each = [gaussian(net.q_z2(u[None].clamp(0, 1))).log_prob(z2).exp() for u in net.pseudo_inputs]
    return torch.stack(each).mean(0).log()


def encoder_loss(net: TwoLevel, vae: bool, beta: float) -> Tensor:
    x, n = images(), noise()
    q_z2 = net.q_z2(x)
    z2 = q_z2.mean + q_z2.scale * n.z2
    q_z1 = net.q_z1(net.features(x), z2)
    z1 = q_z1.mean + q_z1.scale * n.z1
    log_q = gaussian(q_z2).log_prob(z2) + gaussian(q_z1).log_prob(z1)
    log_x, log_z1 = log_p_x(net, z1, z2, x), gaussian(net.p_z1(z2)).log_prob(z1)
    if vae:
        return -log_x + beta * (log_q - log_z1 - log_p_z2(net, z2))
    log_p_z = log_z1 + beta * log_p_z2(net, z2)
    log_q_x = log_x + log_p_z - log_q
    return -0.5 * (log_x + log_p_z + beta * (log_q + log_q_x))


def test_names() -> None:
    assert [kind_of(f"convhvae_2level{suffix}") for suffix in ("", "-mim", "-amim", "-smim")] == [
        "vae", "amim", "amim", "smim",
    ]  # fmt: skip
    assert set(KINDS.values()) == {"vae", "amim", "smim"}
    assert decoder_of("pixelhvae_2level-amim") == decoder_of("pixelhvae_2level")


@pytest.mark.parametrize("pseudo_inputs", [0, 3])
@pytest.mark.parametrize("decoder", ["convhvae_2level", "pixelhvae_2level"])
@pytest.mark.parametrize("kind", ["vae", "amim"])
def test_losses_on_encoder_samples(kind: Kind, decoder: str, pseudo_inputs: int) -> None:
    net = model(decoder, pseudo_inputs).eval()
    with torch.no_grad():
        for beta in (0.3, 1.0):
            expected = encoder_loss(net, kind == "vae", beta)
            torch.testing.assert_close(
                losses(kind, net, net.prior(), images(), noise(), beta), expected
            )


def decoder_terms(net: TwoLevel, beta: float) -> tuple[Tensor, Tensor]:
    """Returns the loss on decoder samples, and log p(x|z)."""
    n = noise()
    with torch.no_grad():
        z2 = n.prior_z2
        if net.pseudo_inputs is not None:
            chosen = net.pseudo_inputs[(n.choice * len(net.pseudo_inputs)).long()].clamp(0, 1)
            q = net.q_z2(chosen)
            z2 = q.mean + q.scale * n.prior_z2
        p = net.p_z1(z2)
        z1 = p.mean + p.scale * n.prior_z1
        x = net.decoder(z1, z2, images()).sigmoid().clamp(1e-5, 1 - 1e-5)
    log_x = log_p_x(net, z1, z2, x)
    log_p_z = gaussian(net.p_z1(z2)).log_prob(z1) + beta * log_p_z2(net, z2)
    log_q = gaussian(net.q_z2(x)).log_prob(z2)
    log_q = log_q + gaussian(net.q_z1(net.features(x), z2)).log_prob(z1)
    return -0.5 * (log_x + log_p_z + beta * (log_q + log_x)), log_x


@pytest.mark.parametrize("pseudo_inputs", [0, 3])
def test_smim_adds_the_decoders_direction_once_warm(pseudo_inputs: int) -> None:
    net = model("convhvae_2level", pseudo_inputs)
    cold = losses("smim", net, net.prior(), images(), noise(), 0.9)
    torch.testing.assert_close(cold, encoder_loss(net, False, 0.9))
    loss, log_x = decoder_terms(net, 1.0)
    both = losses("smim", net, net.prior(), images(), noise(), 1.0)
    torch.testing.assert_close(both, encoder_loss(net, False, 1.0) + loss)
    weights: list[Parameter] = list(net.parameters())
    # ∇ of the expectation over x: ∇loss + loss·∇log p(x|z).
    surrogate = encoder_loss(net, False, 1.0) + loss + loss.detach() * log_x
    expected = torch.autograd.grad(surrogate.sum(), weights)
    for ours, theirs in zip(torch.autograd.grad(both.sum(), weights), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_every_weight_gets_a_gradient() -> None:
    for decoder in ("convhvae_2level", "pixelhvae_2level"):
        net = model(decoder, 3)
        losses("vae", net, net.prior(), images(), noise(), 0.5).sum().backward()
        assert all(weight.grad is not None for weight in net.parameters())


@pytest.mark.parametrize("decoder", ["convhvae_2level", "pixelhvae_2level"])
def test_layers_in_half_precision_give_the_likelihood(decoder: str) -> None:
    """As on a GPU: layers in bfloat16, densities in float32."""
    net = model(decoder, 3).eval()
    with torch.no_grad():
        expected = losses("vae", net, net.prior(), images(), noise(), 1.0)
        net, x, n = net.float(), images().float(), noise()
        n = TwoLevelNoise(*(getattr(n, field.name).float() for field in fields(TwoLevelNoise)))
        with torch.autocast("cpu", torch.bfloat16):
            half = losses("vae", net, net.prior(), x, n, 1.0)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.double(), expected, rtol=1e-3, atol=0)


def test_samples_share_what_x_alone_decides() -> None:
    """Many samples at once are what they are one by one."""
    net = model("pixelhvae_2level", 3).eval()
    prior = net.prior()
    assert isinstance(prior, VampPrior)
    z2, z1 = torch.randn(2, 5, ITEMS, Z, dtype=torch.float64, generator=generator("z"))
    together = encoded(net, prior, images(), z2, z1).log_weight()
    assert together.shape == (5, ITEMS)
    for sample in range(5):
        alone = encoded(net, prior, images(), z2[sample, None], z1[sample, None]).log_weight()
        torch.testing.assert_close(together[sample], alone[0])


def test_noise_is_named() -> None:
    one, same, other = (
        TwoLevelNoise.draw(5, 2, torch.device("cpu"), "mnist", seed) for seed in (1, 1, 2)
    )
    for field in fields(TwoLevelNoise):
        assert torch.equal(getattr(one, field.name), getattr(same, field.name))
        assert not torch.equal(getattr(one, field.name), getattr(other, field.name))
    assert torch.equal(one.rows(slice(1, 3)).z1, one.z1[1:3])
    assert one.choice.shape == (5,)
    assert not torch.equal(one.z1, one.z2)
