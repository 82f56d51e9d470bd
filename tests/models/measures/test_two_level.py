"""Bounds and dimensions of two-level models, against torch.distributions and known channels."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from mimsweep.models.data.binarised import load_images
from mimsweep.models.losses.hvae import TwoLevelNoise, losses
from mimsweep.models.measures import two_level
from mimsweep.models.measures.two_level import latents_used, noise_of_z
from mimsweep.models.nets.hvae import Architecture, TwoLevel


@pytest.fixture(scope="module")
def x(data_dir: Path) -> Tensor:
    return load_images("dynamic_mnist", data_dir, train_items=100, test_items=100).test


def net_of(z_dim: int = 3, prior: int = 0) -> TwoLevel:
    levels = torch.rand(10, 784, generator=torch.Generator().manual_seed(1))
    return Architecture("convhvae_2level", z_dim, prior).initial(1, levels, True).eval()


@torch.no_grad()
def test_bounds_by_definition(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair after the other."""
    net, count = net_of(), len(x)
    found = latents_used(net, x, seed=7).metrics
    noise2, noise1 = noise_of_z(count, 3, "test", 7)
    q_z2, features = net.q_z2(x.float()), net.features(x.float())
    z2 = q_z2.sample(noise2)
    z1 = net.q_z1(features, z2).sample(noise1)
    log_q = torch.empty(count, count, dtype=torch.float64)
    for i in range(count):
        upper = net.q_z1(features, z2[i].expand(count, -1))
        laws = [Independent(Normal(q.mean, q.scale), 1) for q in (q_z2, upper)]
        log_q[i] = laws[0].log_prob(z2[i]) + laws[1].log_prob(z1[i])
    own = log_q.diagonal().clone()
    lower = (own - log_q.logsumexp(1)).mean() + math.log(count)
    retrieval = (log_q.argmax(1) == torch.arange(count)).double().mean()
    log_q.fill_diagonal_(-math.inf)
    upper_bound = (own - log_q.logsumexp(1)).mean() + math.log(count - 1)
    assert found["mi_lower"] == pytest.approx(float(lower), abs=1e-4)
    assert found["mi_upper"] == pytest.approx(float(upper_bound), abs=1e-4)
    assert found["retrieval"] == float(retrieval)
    monkeypatch.setattr(two_level, "PAIRS_AT_ONCE", 1)
    assert latents_used(net, x, seed=7).metrics == pytest.approx(found, abs=1e-4)


@pytest.mark.gpu
def test_a_gpu_says_the_same(x: Tensor) -> None:
    found = latents_used(net_of(), x, seed=7)
    on_gpu = latents_used(net_of().to("cuda"), x, seed=7)
    assert on_gpu.metrics == pytest.approx(found.metrics, rel=1e-2, abs=1e-2)
    assert on_gpu.profile["kl"] == pytest.approx(found.profile["kl"], rel=1e-2, abs=1e-3)


@torch.no_grad()
def test_costs_and_dimensions_by_torch(x: Tensor) -> None:
    net = net_of()
    found = latents_used(net, x, seed=7)
    noise2, _ = noise_of_z(len(x), 3, "test", 7)
    q_z2 = net.q_z2(x.float())
    z2 = q_z2.sample(noise2)
    q_z1, p_z1 = net.q_z1(net.features(x.float()), z2), net.p_z1(z2)
    kl = [
        kl_divergence(Normal(q_z1.mean, q_z1.scale), Normal(p_z1.mean, p_z1.scale)),
        kl_divergence(Normal(q_z2.mean, q_z2.scale), Normal(torch.zeros(3), torch.ones(3))),
    ]
    assert found.profile["kl"] == pytest.approx(torch.cat(kl, 1).mean(0).tolist(), rel=1e-4)
    assert found.metrics["rate"] == pytest.approx(sum(found.profile["kl"]), rel=0.2)
    variance = q_z2.mean.var(0, correction=0).tolist()
    assert found.profile["variance"][3:] == pytest.approx(variance, rel=1e-3)


@torch.no_grad()
def test_the_variance_of_z1_is_not_that_of_z2s_noise(x: Tensor) -> None:
    """An encoder of z1 that sees z2 and nothing of x, where z2 tells nothing of x: none in use."""
    net = net_of()
    for layer in (net.z2_head.mean, net.z2_head.log_variance):
        nn.init.zeros_(layer.weight)
    for layer in (net.z1_joint.h, net.z1_joint.g):
        layer.weight[:, :294] = 0
    found = latents_used(net, x, seed=7)
    noise2, _ = noise_of_z(len(x), 3, "test", 7)
    mean = net.q_z1(net.features(x.float()), net.q_z2(x.float()).sample(noise2)).mean
    spread = mean.var(0)
    assert spread.min() > 0.05
    assert torch.tensor(found.profile["variance"][:3]).abs().max() < 0.5 * spread.min()
    assert found.metrics["mi_lower"] == pytest.approx(0, abs=1e-4)
    assert found.metrics["mi_upper"] == pytest.approx(0, abs=1e-4)


@torch.no_grad()
def test_latents_that_repeat_the_image_reach_log_n(x: Tensor) -> None:
    net = net_of()
    net.z2_head.mean.weight *= 10_000
    nn.init.zeros_(net.z2_head.log_variance.weight)
    nn.init.constant_(net.z2_head.log_variance.bias, -6.0)
    found = latents_used(net, x, seed=7).metrics
    assert found["mi_lower"] == pytest.approx(math.log(len(x)), abs=0.01)
    assert found["retrieval"] == 1


@pytest.mark.parametrize("pseudo_inputs", [0, 4])
@torch.no_grad()
def test_elbo_is_less_rate_and_distortion(x: Tensor, pseudo_inputs: int) -> None:
    net = net_of(prior=pseudo_inputs)
    found = latents_used(net, x, seed=7).metrics
    noise2, noise1 = noise_of_z(len(x), 3, "test", 7)
    noise = TwoLevelNoise(noise2, noise1, noise2, noise1, noise2[:, 0])
    loss = losses("vae", net, net.prior(), x.float(), noise, beta=1.0)
    assert found["rate"] + found["distortion"] == pytest.approx(float(loss.mean()), rel=1e-5)
