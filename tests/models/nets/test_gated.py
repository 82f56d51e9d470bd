"""Layers: gates and masks by their formulas, the start of weights by its moments."""

import math

import pytest
import torch
from torch import nn

from mimsweep.models.nets.gated import (
    GatedConv2d,
    GatedDense,
    GaussianHead,
    MaskedConv2d,
    initialise,
    precise,
)
from mimsweep.models.streams import generator


def test_gates() -> None:
    conv, dense = GatedConv2d(2, 3, 3, 2, 1).double(), GatedDense(4, 5).double()
    x, y = torch.randn(2, 2, 8, 8, dtype=torch.float64), torch.randn(7, 2, 4, dtype=torch.float64)
    h, g = (nn.functional.conv2d(x, c.weight, c.bias, 2, 1) for c in (conv.h, conv.g))
    torch.testing.assert_close(conv(x), h / (1 + torch.exp(-g)))
    h, g = (torch.einsum("...i,oi->...o", y, d.weight) + d.bias for d in (dense.h, dense.g))
    torch.testing.assert_close(dense(y), h / (1 + torch.exp(-g)))


def test_log_variance_is_clamped() -> None:
    head = GaussianHead(3, 2).double()
    features = 100 * torch.randn(50, 3, dtype=torch.float64)
    normal = head(features)
    expected = head.log_variance(features).clamp(-6, 2)
    assert isinstance(normal.scale, torch.Tensor)
    torch.testing.assert_close(2 * normal.scale.log(), expected)
    assert expected.min() == -6
    assert expected.max() == 2
    torch.testing.assert_close(normal.mean, head.mean(features))


@pytest.mark.parametrize("strict", [True, False])
def test_masked_convolution_is_torchs_with_a_masked_kernel(strict: bool) -> None:
    conv = MaskedConv2d(3, 4, strict).double()
    initialise(conv, generator("test"))
    kernel = conv.weight.detach().clone()
    kernel[:, :, 1, 1 if strict else 2 :] = 0
    kernel[:, :, 2, :] = 0
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(conv(x), nn.functional.conv2d(x, kernel, padding=1))
    conv(x).sum().backward()
    assert conv.weight.grad is not None
    assert not conv.weight.grad[kernel == 0].any()


@torch.no_grad()
def test_initial_weights() -> None:
    net = nn.Sequential(nn.Linear(300, 500), nn.Conv2d(20, 50, 5), MaskedConv2d(30, 60, True))
    initialise(net, generator("test"))
    linear, conv, masked = net
    assert abs(float(linear.weight.std()) / math.sqrt(2 / 300) - 1) < 0.01
    assert float(linear.weight.abs().max()) > 4 * math.sqrt(2 / 300)  # normal, not uniform
    for weight, inputs in ((linear.bias, 300), (conv.weight, 500), (masked.weight, 270)):
        bound = 1 / math.sqrt(inputs)
        assert 0.95 * bound < float(weight.abs().max()) <= bound
        assert abs(float(weight.std()) / (bound / math.sqrt(3)) - 1) < 0.1
    again = nn.Sequential(nn.Linear(300, 500), nn.Conv2d(20, 50, 5), MaskedConv2d(30, 60, True))
    initialise(again, generator("test"))
    assert all(
        torch.equal(one, other)
        for one, other in zip(net.parameters(), again.parameters(), strict=True)
    )


def test_precise() -> None:
    for given, expected in (
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        assert precise(torch.ones(1, dtype=given)).dtype == expected
