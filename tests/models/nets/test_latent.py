"""Encoder, decoder and marginal against formulas by hand, and where the truth is known."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from mimsweep.models.layout import named_views
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.nets.linear import initial_weights

MODEL = LatentModel(x_dim=3, z_dim=2, mid_dim=4, layers=2, act="tanh", min_scale=0.01)
RUNS, ITEMS = 3, 6


def weights_of(model: LatentModel, runs: int = RUNS) -> dict[str, Tensor]:
    rows = [initial_weights(model.shapes(), seed) for seed in range(runs)]
    return named_views(torch.cat(rows).double(), model.shapes())


def by_hand(weights: dict[str, Tensor], name: str, run: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-scale of a network of two layers."""
    w0, b0, w1, b1 = (
        weights[f"{name}.{layer}.{part}"][run] for layer in (0, 1) for part in ("weight", "bias")
    )
    out = torch.tanh(x @ w0.T + b0) @ w1.T + b1
    half = out.shape[-1] // 2
    return out[..., :half], out[..., half:]


def test_shapes_of_all_that_it_returns() -> None:
    weights = weights_of(MODEL)
    x, z = torch.randn(RUNS, ITEMS, 3).double(), torch.randn(RUNS, ITEMS, 2).double()
    q, p = MODEL.encode(weights, x), MODEL.decode(weights, z)
    assert isinstance(q.scale, Tensor)
    assert isinstance(p.scale, Tensor)
    assert q.mean.shape == q.scale.shape == (RUNS, ITEMS, 2)
    assert p.mean.shape == p.scale.shape == (RUNS, ITEMS, 3)
    assert (
        MODEL.log_p_z(weights, z, z[..., 0]).shape
        == MODEL.log_q_x(weights, x, z).shape
        == (RUNS, ITEMS)
    )


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_names_and_shapes_of_weights(layers: int) -> None:
    shapes = replace(MODEL, layers=layers).shapes()
    assert len(shapes) == 4 * layers
    first, last = "0", str(layers - 1)
    assert shapes[f"encoder.{first}.weight"][1] == 3
    assert shapes[f"encoder.{last}.weight"][0] == 4
    assert shapes[f"decoder.{first}.weight"][1] == 2
    assert shapes[f"decoder.{last}.weight"][0] == 6


def test_means_and_scales_by_hand() -> None:
    weights = weights_of(MODEL)
    x, z = torch.randn(RUNS, ITEMS, 3).double(), torch.randn(RUNS, ITEMS, 2).double()
    for run in range(RUNS):
        for normal, name, value in (
            (MODEL.encode(weights, x), "encoder", x),
            (MODEL.decode(weights, z), "decoder", z),
        ):
            assert isinstance(normal.scale, Tensor)
            mean, log_scale = by_hand(weights, name, run, value[run])
            torch.testing.assert_close(normal.mean[run], mean)
            torch.testing.assert_close(normal.scale[run], log_scale.exp() + 0.01)


def test_scale_never_falls_below_its_minimum() -> None:
    weights = weights_of(MODEL)
    weights["encoder.1.bias"][:, 2:] = -1e4
    q = MODEL.encode(weights, torch.randn(RUNS, ITEMS, 3).double())
    assert isinstance(q.scale, Tensor)
    torch.testing.assert_close(q.scale, torch.full_like(q.scale, 0.01))


def test_fixed_encoder_scale() -> None:
    model = replace(MODEL, fixed_encoder_scale=True)
    weights = weights_of(model)
    assert weights["encoder.1.weight"].shape == (RUNS, 2, 4)
    assert weights["decoder.1.weight"].shape == (RUNS, 6, 4)
    q = model.encode(weights, torch.randn(RUNS, ITEMS, 3).double())
    assert q.mean.shape == (RUNS, ITEMS, 2)
    assert q.scale == 0.01


@pytest.mark.parametrize("fixed", [False, True])
def test_log_q_x_by_hand(fixed: bool) -> None:
    model = replace(MODEL, fixed_encoder_scale=fixed)
    weights = weights_of(model)
    x, noise = torch.randn(RUNS, ITEMS, 3).double(), torch.randn(RUNS, ITEMS, 2).double()
    value = model.log_q_x(weights, x, noise)
    for run in range(RUNS):
        if fixed:
            w1, b1 = weights["encoder.1.weight"][run], weights["encoder.1.bias"][run]
            w0, b0 = weights["encoder.0.weight"][run], weights["encoder.0.bias"][run]
            mean = torch.tanh(x[run] @ w0.T + b0) @ w1.T + b1
            scale = torch.full_like(mean, 0.01)
        else:
            mean, log_scale = by_hand(weights, "encoder", run, x[run])
            scale = log_scale.exp() + 0.01
        z = mean + scale * noise[run]
        q = Independent(Normal(mean, scale), 1)
        mean, log_scale = by_hand(weights, "decoder", run, z)
        p = Independent(Normal(mean, log_scale.exp() + 0.01), 1)
        prior = Independent(Normal(torch.zeros_like(z), 1.0), 1)
        expected = p.log_prob(x[run]) + prior.log_prob(z) - q.log_prob(z)
        torch.testing.assert_close(value[run], expected, rtol=1e-8, atol=1e-8)


def test_importance_weights_average_to_the_true_marginal() -> None:
    """p(x|z) = N(Wz + c, s²): exp(log_q_x) is an unbiased estimate of N(x; c, WWᵀ + s²)."""
    model = replace(MODEL, layers=1, min_scale=1e-6)
    torch.manual_seed(4)
    matrix, shift, scale = torch.randn(3, 2).double(), torch.randn(3).double(), 0.7
    weights = {name: torch.zeros(1, *shape).double() for name, shape in model.shapes().items()}
    weights["decoder.0.weight"][0, :3], weights["decoder.0.bias"][0, :3] = matrix, shift
    weights["decoder.0.bias"][0, 3:] = math.log(scale - 1e-6)
    weights["encoder.0.weight"][0, :2] = torch.linalg.pinv(matrix)  # wider than the posterior
    marginal = MultivariateNormal(shift, matrix @ matrix.T + scale**2 * torch.eye(3).double())
    for _ in range(3):
        point = marginal.sample()
        weights["encoder.0.bias"][0, :2] = -torch.linalg.pinv(matrix) @ shift
        x, noise = point.expand(1, 40_000, 3), torch.randn(1, 40_000, 2).double()
        logs = model.log_q_x(weights, x, noise)[0]
        estimate = (logs.logsumexp(0) - math.log(len(logs))).item()
        error = (logs - logs.max()).exp()
        tolerance = 5 * float(error.std() / error.mean()) / len(logs) ** 0.5
        assert estimate == pytest.approx(marginal.log_prob(point).item(), abs=tolerance)
        assert tolerance < 0.1
        assert logs.mean() < marginal.log_prob(point)  # the ELBO
