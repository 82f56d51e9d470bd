"""Adam against separate torch Adams, and the schedules against their text."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mimsweep.models.losses.annealing import annealed_beta
from mimsweep.models.steps.adam import Adam, learning_rate


def gradient(weights: torch.Tensor, step: int) -> torch.Tensor:
    """Sizes over many orders of magnitude, some exactly zero; mild in the weights: no chaos."""
    place = torch.arange(weights.shape[-1], dtype=torch.float64)
    scale = 10.0 ** torch.linspace(-6, 6, weights.shape[-1], dtype=torch.float64)
    slope = scale * (torch.cos(place + step) + 0.3 + 0.1 * torch.tanh(weights))
    slope[..., ::5] = 0
    return slope


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-4)])
def test_adam_equals_separate_torch_adams(dtype: torch.dtype, tolerance: float) -> None:
    lrs, steps = [1e-3, 0.1, 3e-2], 300
    torch.manual_seed(1)
    start = torch.randn(3, 32, dtype=torch.float64)
    weights = start.to(dtype, copy=True)
    adam = Adam.zeros(weights)
    for part in range(3):  # coefficients for 100 steps at a time
        size, factor = adam.coefficients(lrs, [100 * part] * 3, 100)
        assert size.shape == factor.shape == (100, 3, 1)
        for step in range(100):
            slope = gradient(weights.double(), 100 * part + step).to(dtype)
            adam.step_(weights, slope, size[step], factor[step])
    for run, lr in enumerate(lrs):
        alone = start[run].clone().requires_grad_()
        torchs = torch.optim.Adam([alone], lr=lr)
        for step in range(steps):
            alone.grad = gradient(alone.detach(), step)
            torchs.step()
        expected = alone.detach().to(dtype)
        torch.testing.assert_close(weights[run], expected, rtol=tolerance, atol=tolerance)


def test_adam_with_different_step_counts_and_changing_rates() -> None:
    """Runs join a stack at different steps; each goes on as torch's own would."""
    starts = [0, 7, 40]
    torch.manual_seed(2)
    alone = [torch.randn(32, dtype=torch.float64).requires_grad_() for _ in starts]
    torchs = [torch.optim.Adam([weights], lr=1e-2) for weights in alone]
    adam = Adam.zeros(torch.zeros(3, 32, dtype=torch.float64))
    for run, count in enumerate(starts):
        for step in range(count):
            alone[run].grad = gradient(alone[run].detach(), step)
            torchs[run].step()
        if count:
            state = torchs[run].state[alone[run]]
            adam.first[run], adam.second[run] = state["exp_avg"], state["exp_avg_sq"]
    weights = torch.stack([run.detach().clone() for run in alone])
    for epoch in range(3):
        lrs = [0.02 / (epoch + run + 1) for run in range(3)]
        size, factor = adam.coefficients(lrs, [start + 10 * epoch for start in starts], 10)
        for step in range(10):
            adam.step_(weights, gradient(weights, step), size[step], factor[step])
            for run in range(3):
                torchs[run].param_groups[0]["lr"] = lrs[run]
                alone[run].grad = gradient(alone[run].detach(), step)
                torchs[run].step()
    expected = torch.stack([run.detach() for run in alone])
    torch.testing.assert_close(weights, expected, rtol=1e-10, atol=1e-10)


def test_rows_are_copies_and_put_brings_them_back() -> None:
    adam = Adam(torch.arange(12.0).view(4, 3), 10 + torch.arange(12.0).view(4, 3))
    rows = torch.tensor([3, 1])
    part = adam.rows(rows)
    part.first += 100
    part.second += 200
    assert adam.first[3].tolist() == [9, 10, 11]
    adam.put(rows, part)
    assert adam.first.tolist() == [[0, 1, 2], [103, 104, 105], [6, 7, 8], [109, 110, 111]]
    assert adam.second[:, 0].tolist() == [10, 213, 16, 219]


def test_a_row_that_is_not_finite_stays_alone() -> None:
    weights = torch.ones(3, 32)
    adam = Adam.zeros(weights)
    size, factor = adam.coefficients([0.1] * 3, [0] * 3, 1)
    slope = torch.ones(3, 32)
    slope[1] = math.nan
    adam.step_(weights, slope, size[0], factor[0])
    assert weights[1].isnan().all()
    torch.testing.assert_close(weights[[0, 2]], torch.full((2, 32), 0.9))


def test_rates_of_the_published_sweeps() -> None:
    rates = [learning_rate(1e-3, 3, epoch) for epoch in (1, 2, 3, 4, 12, 48)]
    expected = [1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3 * math.sqrt(3 / 4), 5e-4, 2.5e-4]
    assert rates == pytest.approx(expected, rel=1e-14)


@given(st.floats(1e-6, 1), st.integers(1, 300), st.integers(1, 600))
def test_schedules_as_the_text_has_them(lr: float, warmup: int, epoch: int) -> None:
    rate, beta = learning_rate(lr, warmup, epoch), annealed_beta(warmup, epoch)
    if epoch <= warmup:
        assert rate == pytest.approx(lr * epoch / warmup)
        assert beta == pytest.approx(epoch / warmup)
    else:
        assert rate == pytest.approx(lr * math.sqrt(warmup / epoch))
        assert beta == 1
    assert 0 < rate <= lr * (1 + 1e-12)
    assert (beta >= 1) == (epoch >= warmup)
    assert learning_rate(lr, warmup, warmup) == pytest.approx(lr, rel=1e-12)
