"""Users' networks in a stack: each run's comes to what its own module comes to, in float64."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mimsweep.models import registry
from mimsweep.models.densities.normal import Normal
from mimsweep.models.layout import named_views
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.nets.users import Networks, UsersNetwork
from mimsweep.models.parts import Network
from mimsweep.models.places import UserError
from mimsweep.models.streams import generator
from tests.models.networks import DETOURS, MAKES, network

pytestmark = DETOURS
SEEDS = (3, 1, 4)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "NETWORKS", {})


def stack_of(net: UsersNetwork, seeds: tuple[int, ...] = SEEDS) -> dict[str, Tensor]:
    rows = [initial_weights(net.shapes(), seed, net.start(seed)) for seed in seeds]
    return named_views(torch.cat(rows).double(), net.shapes())


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("runs", [1, 3])
def test_outputs_and_gradients_are_those_of_each_runs_own_module(name: str, runs: int) -> None:
    torch.manual_seed(7)
    net, seeds = network(name), SEEDS[:runs]
    weights = {name: w.requires_grad_() for name, w in stack_of(net, seeds).items()}
    x = torch.randn(runs, 9, 5).double().mT.contiguous().mT.requires_grad_()
    aim = torch.randn(runs, 9, 4).double()
    out = net(weights, x)
    assert out.shape == (runs, 9, 4)
    assert out.mT.is_contiguous()
    names = list(weights)
    found = torch.autograd.grad(
        (out - aim).square().sum(),
        [x, *weights.values()],
        allow_unused=True,
        materialize_grads=True,
    )
    for row, seed in enumerate(seeds):
        module = net.made(seed).double()
        items = x[row].detach().requires_grad_()
        own = module(items)
        torch.testing.assert_close(out[row], own, rtol=1e-9, atol=1e-9)
        (own - aim[row]).square().sum().backward()
        torch.testing.assert_close(found[0][row], items.grad, rtol=1e-7, atol=1e-9)
        for parameter, gradient in zip(names, found[1:], strict=True):
            learned = dict(module.named_parameters())[parameter.removeprefix("encoder.")]
            expected = torch.zeros_like(learned) if learned.grad is None else learned.grad
            torch.testing.assert_close(gradient[row], expected, rtol=1e-7, atol=1e-9)
    assert name != "tied" or not found[1 + names.index("encoder.features.weight")].any()


def test_weights_have_the_names_of_parameters_and_one_that_is_tied_is_there_once() -> None:
    assert network("perceptron", 3, 2, part="decoder").shapes() == {
        "decoder.0.weight": (6, 3),
        "decoder.0.bias": (6,),
        "decoder.2.weight": (2, 6),
        "decoder.2.bias": (2,),
    }
    tied = network("tied").shapes()
    assert "encoder.one.weight" in tied
    assert "encoder.two.weight" not in tied
    assert "encoder.two.bias" in tied
    assert "encoder.places" not in network("attention").shapes()


def test_a_run_starts_by_numbers_of_its_own_stream_and_leaves_torchs_as_they_were() -> None:
    net, other = network("convolutions"), network("convolutions", part="decoder")
    torch.manual_seed(5)
    first = net.start(1)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)
    for name, start in net.start(1).items():
        assert torch.equal(start, first[name]), name
    weight = "encoder.last.weight"
    assert not torch.equal(net.start(2)[weight], first[weight])
    assert not torch.equal(other.start(1)["decoder.last.weight"], first[weight])
    torch.manual_seed(generator("init", "encoder", 1).initial_seed())
    by_hand = MAKES["convolutions"](5, 4, type("Fields", (), {"mid_dim": 6}))
    assert torch.equal(by_hand.get_parameter("last.weight"), first[weight])


def test_make_gets_the_fields_to_read_alone() -> None:
    seen: list[Any] = []

    def make(inputs: int, outputs: int, spec: Any) -> nn.Module:
        seen.append(spec)
        return nn.Linear(inputs, outputs)

    registry.NETWORKS["net"] = Network(make)
    UsersNetwork("net", "encoder", 3, 2, {"z_dim": 2, "width": 16}).start(1)
    spec = seen[0]
    assert (spec.z_dim, spec.width) == (2, 16)
    assert repr(spec) == "Spec(z_dim=2, width=16)"
    with pytest.raises(AttributeError, match=r"^spec has no heads; it has z_dim, width$"):
        _ = spec.heads
    with pytest.raises(AttributeError, match=r"^spec\.width can't be set"):
        spec.width = 3


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_model_of_a_perceptron_that_is_given_is_that_of_ours(
    binary: bool, fixed: bool, layers: int
) -> None:
    network("perceptron")
    ours = LatentModel(3, 2, 4, layers, "swish", 0.02, fixed, binary=binary)
    fields = {"mid_dim": 4, "layers": layers, "act": "swish"}
    theirs = replace(ours, networks=Networks("perceptron", "perceptron", fields))
    assert [*theirs.shapes().values()] == [*ours.shapes().values()]
    rows = torch.cat([initial_weights(ours.shapes(), seed) for seed in SEEDS]).double()
    one, other = named_views(rows, ours.shapes()), named_views(rows, theirs.shapes())
    x, z = torch.rand(3, 6, 3).double(), torch.randn(3, 6, 2).double()
    torch.testing.assert_close(theirs.encode(other, x).log_prob(z), ours.encode(one, x).log_prob(z))
    torch.testing.assert_close(theirs.decode(other, z).log_prob(x), ours.decode(one, z).log_prob(x))
    q = theirs.encode(other, x)
    assert isinstance(q, Normal)
    assert torch.as_tensor(q.scale).min() >= 0.02


def test_what_a_network_returns_is_held_to_its_shape_whenever_it_is_called() -> None:
    class Late(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[: 8 if len(x) > 8 else None]

    registry.NETWORKS["late"] = Network(lambda inputs, outputs, spec: Late(inputs, outputs))
    net = UsersNetwork("late", "encoder", 5, 4, {})
    weights = stack_of(net)
    assert net(weights, torch.randn(3, 8, 5).double()).shape == (3, 8, 4)
    with pytest.raises(UserError, match=r"it returned shape \(8, 4\) for \(9, 5\); it must be \(9"):
        net(weights, torch.randn(3, 9, 5).double())
