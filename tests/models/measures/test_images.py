"""Importance sampling where the likelihood is known; clusters and neighbours that are plain."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from mimsweep.models.data.binarised import ImageSet, load_images
from mimsweep.models.data.idx import PIXELS
from mimsweep.models.measures.images import (
    cluster_information,
    importance_sampled,
    latents,
    likelihood,
    measure,
)
from mimsweep.models.nets.hvae import Architecture
from mimsweep.models.streams import generator

X = torch.linspace(-2, 3, 6, dtype=torch.float64)


def linear_gaussian(
    shift: float, scale: float, samples: int, at_once: int
) -> tuple[Tensor, Tensor]:
    """p(z) = N(0, 1), p(x|z) = N(z, 1), so p(x) = N(0, 2) and p(z|x) = N(x/2, 1/2)."""

    def log_weights(rows: slice, noise: Tensor) -> Tensor:
        x = X[rows, None]
        q = Normal(x / 2 + shift, scale)
        z = q.mean + q.stddev * noise[..., 0]
        return Normal(0.0, 1.0).log_prob(z) + Normal(z, 1.0).log_prob(x) - q.log_prob(z)

    def draw(row: int) -> Tensor:
        return torch.randn(samples, 1, generator=generator("test", row), dtype=torch.float64)

    return importance_sampled(log_weights, draw, len(X), at_once)


def test_linear_gaussian_likelihood() -> None:
    expected = Normal(0.0, math.sqrt(2)).log_prob(X)
    log_p_x, elbo = linear_gaussian(0.2, 0.9, samples=100_000, at_once=300_000)
    torch.testing.assert_close(log_p_x, expected, rtol=0, atol=0.01)
    # ELBO = log p(x) − KL(N(m + 0.2, 0.81) ‖ N(m, 1/2))
    divergence = math.log(math.sqrt(0.5) / 0.9) + (0.81 + 0.04) / (2 * 0.5) - 0.5
    torch.testing.assert_close(elbo, expected - divergence, rtol=0, atol=0.02)


def test_one_sample_of_the_true_posterior_is_enough() -> None:
    log_p_x, elbo = linear_gaussian(0.0, math.sqrt(0.5), samples=1, at_once=4)
    torch.testing.assert_close(log_p_x, Normal(0.0, math.sqrt(2)).log_prob(X))
    torch.testing.assert_close(elbo, log_p_x)


@pytest.mark.parametrize("at_once", [1, 7, 50, 120, 10_000])
def test_chunks_change_nothing(at_once: int) -> None:
    expected = linear_gaussian(0.2, 0.9, samples=50, at_once=300)
    for ours, theirs in zip(linear_gaussian(0.2, 0.9, 50, at_once), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


class Deaf(nn.Module):
    """A decoder that hears nothing of z: each pixel has the probability 1/(1 + e)."""

    def forward(self, z1: Tensor, z2: Tensor, x: Tensor) -> Tensor:
        return torch.full_like(x, -1.0)


@pytest.mark.parametrize("pseudo_inputs", [0, 3])
def test_likelihood_of_a_model_whose_decoder_is_known(pseudo_inputs: int) -> None:
    """log p(x) is that of 784 coins, whatever p(z), q(z|x) and the weights in them."""
    levels = torch.rand(10, PIXELS, generator=generator("levels"))
    net = Architecture("convhvae_2level", 2, pseudo_inputs).initial(1, levels, True).eval()
    net.decoder = Deaf()
    x = torch.rand(3, PIXELS, generator=generator("images")) < 0.2
    ones, p = x.double().sum(1).mean(), 1 / (1 + math.e)
    expected = float(ones * math.log(p) + (PIXELS - ones) * math.log(1 - p))
    with torch.no_grad():
        measured = likelihood(net, x, seed=1, samples=10_000)
    assert measured["nll"] == -measured["log_likelihood"]
    assert abs(measured["log_likelihood"] - expected) < 0.1
    assert measured["elbo"] < measured["log_likelihood"] - 0.2


@pytest.fixture(scope="module")
def digits(data_dir: Path) -> ImageSet:
    return load_images("dynamic_mnist", data_dir, train_items=40, test_items=16)


@pytest.mark.parametrize("decoder", ["convhvae_2level", "pixelhvae_2level"])
def test_elbo_is_below_and_more_samples_bring_more(decoder: str, digits: ImageSet) -> None:
    net = Architecture(decoder, 5, 4).initial(1, digits.train, True).eval()
    with torch.no_grad():
        one, few, more = (likelihood(net, digits.test[:4], 1, samples) for samples in (1, 4, 40))
    assert abs(one["elbo"] - one["log_likelihood"]) < 1e-4
    assert few["elbo"] < few["log_likelihood"] < more["log_likelihood"]
    assert more["elbo"] < more["log_likelihood"] < 0


def test_all_metrics(digits: ImageSet) -> None:
    net = Architecture("convhvae_2level", 5, 0).initial(1, digits.train, True)
    measured = measure(net, digits, seed=1, samples=2)
    metrics = measured.metrics
    assert set(metrics) == {
        "log_likelihood", "nll", "elbo", "mi", "mi_ceiling", "nmi", "knn1", "knn3", "knn5", "knn10",
        "mi_lower", "mi_upper", "mi_lower_ceiling", "retrieval", "rate", "distortion",
        "active_units",
    }  # fmt: skip
    assert all(math.isfinite(value) for value in metrics.values())
    assert {name: len(values) for name, values in measured.profile.items()} == {
        "kl": 10, "variance": 10,
    }  # fmt: skip
    assert measured == measure(net, digits, seed=1, samples=2)
    for name in ("nmi", "knn1", "knn3", "knn5", "knn10"):
        assert 0 <= metrics[name] <= 1


def test_a_run_whose_latents_are_no_numbers(digits: ImageSet) -> None:
    net = Architecture("convhvae_2level", 5, 0).initial(1, digits.train, True)
    nn.init.constant_(net.z2_head.mean.weight, math.nan)
    metrics = measure(net, digits, seed=1, samples=2).metrics
    assert math.isnan(metrics["mi_lower"])
    assert math.isnan(metrics["active_units"])
    assert math.isnan(metrics["knn5"])
    assert math.isnan(metrics["mi"])


def test_latents_are_samples_of_the_encoder(digits: ImageSet) -> None:
    net = Architecture("convhvae_2level", 5, 0).initial(1, digits.train, True).eval()
    z = np.stack([latents(net, digits.test[:1], "test", seed) for seed in range(100)])[:, 0]
    with torch.no_grad():
        q_z2 = net.q_z2(digits.test[:1].float())
    assert isinstance(q_z2.scale, Tensor)
    errors = np.abs(z[:, 5:].mean(0) - q_z2.mean[0].numpy()) / (q_z2.scale[0].numpy() / 10)
    assert errors.max() < 5
    np.testing.assert_allclose(z[:, 5:].std(0), q_z2.scale[0], rtol=0.4)


def test_clusters() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), 50)
    apart = 10 * rng.normal(size=(4, 3))[labels] + 0.1 * rng.normal(size=(200, 3))
    assert cluster_information(apart, labels, 1) == pytest.approx(1)
    assert cluster_information(rng.normal(size=(200, 3)), labels, 1) < 0.1
    # Two labels in each cluster of two: I = ln 2, the larger entropy ln 4 if the labels have it.
    halves = np.where(labels[:, None] < 2, 0.0, 100.0) + 0.1 * rng.normal(size=(200, 1))
    merged = cluster_information(halves, labels, 1)
    assert 0.4 < merged < 0.6
