"""Adam on normalised gradients against a loop by hand, in float64; its moments survive a move."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from mimsweep.models.training.images.optim import normalised_adam

LR = 0.01


def start() -> list[nn.Parameter]:
    source = torch.Generator().manual_seed(1)
    shapes = [(4, 3, 2, 2), (5,), (1, 7)]
    return [
        nn.Parameter(torch.randn(shape, generator=source, dtype=torch.float64)) for shape in shapes
    ]


def set_gradients(weights: list[nn.Parameter], step: int) -> None:
    for size, weight in zip((1e-9, 1.0, 1e6), weights, strict=True):
        weight.grad = size * (torch.cos(weight.detach() + step) + 0.2)


def test_adam_equals_a_loop_by_hand() -> None:
    weights, by_hand = start(), [weight.detach().clone() for weight in start()]
    adam = normalised_adam(weights, LR)
    first = [torch.zeros_like(weight) for weight in by_hand]
    second = [torch.zeros_like(weight) for weight in by_hand]
    for step in range(1, 101):
        set_gradients(weights, step)
        for i, weight in enumerate(weights):
            assert weight.grad is not None
            g = weight.grad / (weight.grad.square().sum().sqrt() + 1e-7)
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            scale = (second[i] / (1 - 0.999**step)).sqrt() + 1e-8
            by_hand[i] = by_hand[i] - LR * first[i] / (1 - 0.9**step) / scale
        adam.step()
    for weight, expected in zip(weights, by_hand, strict=True):
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-9, atol=1e-9)


def test_a_gradient_of_zero_moves_nothing() -> None:
    weights = start()
    adam = normalised_adam(weights, LR)
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    adam.step()
    for weight, expected in zip(weights, start(), strict=True):
        assert torch.equal(weight, expected)


@pytest.mark.parametrize("moved_at", [0, 1, 7])
def test_another_optimiser_goes_on(moved_at: int) -> None:
    weights = start()
    adam = normalised_adam(weights, LR)
    for step in range(10):
        if step == moved_at:
            kept = deepcopy(adam.state_dict())
            adam = normalised_adam(weights, LR)
            adam.load_state_dict(kept)
        set_gradients(weights, step)
        adam.step()
    straight = start()
    adam = normalised_adam(straight, LR)
    for step in range(10):
        set_gradients(straight, step)
        adam.step()
    for weight, expected in zip(weights, straight, strict=True):
        assert torch.equal(weight, expected)
