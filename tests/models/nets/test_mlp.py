"""Stacked layers against separate `torch.nn` networks, in float64."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn
from torch.autograd import gradcheck

from mimsweep.models.layout import ALIGN, feature_major, flat_size, flatten, named_views, padded
from mimsweep.models.nets.linear import initial_weights, linear
from mimsweep.models.nets.mlp import ACTIVATIONS, Mlp

TORCH_ACTIVATIONS = {"tanh": nn.Tanh, "swish": nn.SiLU, "relu": nn.ReLU}


def stacked(mlp: Mlp, runs: int) -> tuple[Tensor, dict[str, Tensor]]:
    rows = [initial_weights(mlp.shapes(), seed) for seed in range(runs)]
    flat = torch.cat(rows).double().requires_grad_()
    return flat, named_views(flat, mlp.shapes())


def separate(mlp: Mlp, weights: dict[str, Tensor], run: int) -> nn.Sequential:
    widths = [mlp.inputs, *[mlp.mid_dim] * (mlp.layers - 1), mlp.outputs]
    parts: list[nn.Module] = []
    for layer, (n_in, n_out) in enumerate(pairwise(widths)):
        part = nn.Linear(n_in, n_out, dtype=torch.float64)
        with torch.no_grad():
            part.weight.copy_(weights[f"{mlp.name}.{layer}.weight"][run])
            part.bias.copy_(weights[f"{mlp.name}.{layer}.bias"][run])
        parts += [part, TORCH_ACTIVATIONS[mlp.act]()]
    return nn.Sequential(*parts[:-1])


@settings(deadline=None, max_examples=40)
@given(
    runs=st.integers(1, 4),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    mid_dim=st.integers(1, 6),
    layers=st.integers(1, 4),
    act=st.sampled_from(sorted(ACTIVATIONS)),
)
def test_mlp_equals_separate_networks(
    runs: int, inputs: int, outputs: int, mid_dim: int, layers: int, act: str
) -> None:
    mlp = Mlp("net", inputs, outputs, mid_dim, layers, act)
    flat, weights = stacked(mlp, runs)
    x = torch.randn(runs, 7, inputs, dtype=torch.float64, requires_grad=True)
    out = mlp(weights, x)
    assert out.shape == (runs, 7, outputs)
    gradients = torch.autograd.grad(out.square().sum(), [x, flat])
    for run in range(runs):
        net = separate(mlp, weights, run)
        alone = x[run].detach().requires_grad_()
        expected = net(alone)
        torch.testing.assert_close(out[run], expected, rtol=1e-12, atol=1e-12)
        grads = torch.autograd.grad(expected.square().sum(), [alone, *net.parameters()])
        torch.testing.assert_close(gradients[0][run], grads[0], rtol=1e-10, atol=1e-12)
        row = torch.cat([grad.flatten() for grad in grads[1:]])
        torch.testing.assert_close(gradients[1][run, : len(row)], row, rtol=1e-10, atol=1e-12)
        assert not gradients[1][run, len(row) :].any()


@pytest.mark.parametrize("act", sorted(TORCH_ACTIVATIONS))
def test_activations_are_torchs(act: str) -> None:
    x = torch.linspace(-30, 30, 301, dtype=torch.float64)
    torch.testing.assert_close(ACTIVATIONS[act](x), TORCH_ACTIVATIONS[act]()(x))


@pytest.mark.parametrize(("n_in", "n_out"), [(3, 2), (1, 2), (3, 1), (1, 1)])
def test_linear_gradients(n_in: int, n_out: int) -> None:
    shapes = [(2, 4, n_in), (2, n_out, n_in), (2, n_out)]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert gradcheck(linear, inputs)


@pytest.mark.parametrize(("n_in", "n_out"), [(3, 2), (1, 2), (3, 1), (1, 1)])
def test_linear_is_feature_major(n_in: int, n_out: int) -> None:
    x = feature_major(torch.randn(3, 32, n_in))
    out = linear(x, torch.randn(3, n_out, n_in), torch.randn(3, n_out))
    assert out.shape == (3, 32, n_out)
    assert out.mT.is_contiguous()


def test_feature_major_keeps_the_values() -> None:
    x = torch.randn(2, 5, 3)
    turned = feature_major(x)
    assert torch.equal(turned, x)
    assert turned.mT.is_contiguous()
    assert feature_major(turned).data_ptr() == turned.data_ptr()


@given(st.integers(0, 10_000))
def test_padded(size: int) -> None:
    assert padded(size) % ALIGN == 0
    assert 0 <= padded(size) - size < ALIGN


def test_shapes() -> None:
    assert Mlp("e", 3, 4, 5, 1, "tanh").shapes() == {"e.0.weight": (4, 3), "e.0.bias": (4,)}
    assert Mlp("e", 3, 4, 5, 3, "tanh").shapes() == {
        "e.0.weight": (5, 3),
        "e.0.bias": (5,),
        "e.1.weight": (5, 5),
        "e.1.bias": (5,),
        "e.2.weight": (4, 5),
        "e.2.bias": (4,),
    }


def test_views_share_memory_and_do_not_overlap() -> None:
    shapes = Mlp("net", 3, 4, 5, 2, "tanh").shapes()
    flat = torch.zeros(2, flat_size(shapes))
    views = named_views(flat, shapes)
    for number, view in enumerate(views.values(), 1):
        view.add_(number)
    sizes = [math.prod(shape) for shape in shapes.values()]
    numbers = [number for number, size in enumerate(sizes, 1) for _ in range(size)]
    expected = torch.tensor(numbers + [0] * (flat.shape[1] - sum(sizes))).float()
    assert torch.equal(flat, expected.expand(2, -1))
    assert {name: view.shape[1:] for name, view in views.items()} == shapes


def test_flatten_is_the_inverse_of_named_views() -> None:
    shapes = Mlp("net", 3, 4, 5, 2, "tanh").shapes()
    flat = torch.cat([initial_weights(shapes, seed) for seed in (1, 2)])
    assert flat.shape[1] == flat_size(shapes) == padded(3 * 5 + 5 + 5 * 4 + 4)
    again = flatten(list(named_views(flat, shapes).values()), flat.shape[1])
    assert torch.equal(again, flat)
    assert not flat[:, 3 * 5 + 5 + 5 * 4 + 4 :].any()


@pytest.mark.parametrize(("n_in", "n_out"), [(4, 2000), (500, 40), (1, 3000)])
def test_initial_weights_are_distributed_like_torchs(n_in: int, n_out: int) -> None:
    shapes = Mlp("net", n_in, n_out, 1, 1, "tanh").shapes()
    views = named_views(initial_weights(shapes, 1), shapes)
    torch.manual_seed(1)
    default = nn.Linear(n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    for ours, torchs in (
        (views["net.0.weight"], default.weight),
        (views["net.0.bias"], default.bias),
    ):
        assert ours.abs().max() <= bound
        sample = ours.flatten().numpy()
        assert stats.ks_2samp(sample, torchs.detach().flatten().numpy()).pvalue > 1e-3
        assert stats.kstest(sample, "uniform", args=(-bound, 2 * bound)).pvalue > 1e-3


def test_initial_weights_agree_where_shapes_agree() -> None:
    narrow, wide = Mlp("net", 2, 3, 4, 2, "tanh").shapes(), Mlp("net", 2, 6, 4, 2, "tanh").shapes()
    first = named_views(initial_weights(narrow, 1), narrow)
    second = named_views(initial_weights(wide, 1), wide)
    other = named_views(initial_weights(narrow, 2), narrow)
    for name in ("net.0.weight", "net.0.bias"):
        assert torch.equal(first[name], second[name])
    for name in narrow:
        assert not torch.equal(first[name], other[name])
