"""Networks as users write them, of many kinds, and one in a stack."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mimsweep.models import registry
from mimsweep.models.nets.users import UsersNetwork
from mimsweep.models.parts import Network


class Residual(nn.Module):
    """Linear layers with shortcuts, normalised over features."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.first, self.middle = nn.Linear(inputs, width), nn.Linear(width, width)
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        out: Tensor = self.last(h + torch.tanh(self.middle(self.norm(h))))
        return out


class Convolutions(nn.Module):
    """Along the features; normalised over groups of channels."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU()),
            *(nn.Conv1d(4, width, 3, padding=1, stride=2), nn.SiLU(), nn.Flatten()),
        )
        self.last = nn.Linear(width * -(-inputs // 2), outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.body(x.unsqueeze(1)))
        return out


class Images(nn.Module):
    """To a 4 × 4 image and, transposed, to a larger one; and back."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, 16 * width)
        self.up, self.down = nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Conv2d(3, 2, 3, 2, 1)
        self.last = nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(torch.relu(self.first(x)).view(len(x), -1, 4, 4))
        out: Tensor = self.last(torch.relu(self.down(torch.relu(h))).flatten(1))
        return out


class Attention(nn.Module):
    """A feature is a token; its place, a sine that isn't learned, is a buffer."""

    places: Tensor

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.token = nn.Linear(1, 8)
        self.register_buffer("places", torch.sin(torch.arange(8.0 * inputs)).view(inputs, 8))
        self.mix = nn.TransformerEncoderLayer(8, 2, width, dropout=0.0, batch_first=True)
        self.last = nn.Linear(8 * inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.mix(self.token(x.unsqueeze(-1)) + self.places).flatten(1))
        return out


class Tied(nn.Module):
    """Two layers of one weight, one of them transposed, and a first one that is frozen."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.features = nn.Linear(inputs, width).requires_grad_(False)
        self.one, self.two = nn.Linear(width, width), nn.Linear(width, width)
        self.two.weight = self.one.weight
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.two(torch.tanh(self.one(torch.cos(self.features(x))))))
        out: Tensor = self.last(nn.functional.linear(h, self.one.weight.T))
        return out


class Recurrent(nn.Module):
    """A cell that goes along the features."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.cell, self.last = nn.GRUCell(1, width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), self.cell.hidden_size)
        for feature in x.split(1, dim=1):
            h = self.cell(feature, h)
        out: Tensor = self.last(h)
        return out


def perceptron(inputs: int, outputs: int, spec: Any) -> nn.Module:
    """What `encoder: mlp` is, as a module."""
    acts = {"tanh": nn.Tanh, "relu": nn.ReLU, "swish": nn.SiLU}
    sizes = [inputs, *[spec.mid_dim] * (spec.layers - 1), outputs]
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), acts[spec.act]()]
    return nn.Sequential(*layers[:-1])


def normed(inputs: int, outputs: int, spec: Any) -> nn.Module:
    """A layer whose weight is parametrised."""
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(inputs, spec.mid_dim))
    return nn.Sequential(layer, nn.GELU(), nn.Linear(spec.mid_dim, outputs))


def _of(module: Callable[[int, int, int], nn.Module]) -> Callable[..., nn.Module]:
    return lambda inputs, outputs, spec: module(inputs, outputs, spec.mid_dim)


DETOURS = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
"""vmap has no rule for two of them, a GRU's cell and the norm of a weight."""

MAKES: dict[str, Callable[..., nn.Module]] = {
    "perceptron": perceptron,
    "normed": normed,
    **{m.__name__.lower(): _of(m) for m in (Residual, Convolutions, Images, Attention, Tied)},
    "recurrent": _of(Recurrent),
}


def network(
    name: str, inputs: int = 5, outputs: int = 4, part: str = "encoder", **fields: object
) -> UsersNetwork:
    """A network of a kind, registered."""
    registry.NETWORKS[name] = Network(MAKES[name])
    given: Mapping[str, object] = {"mid_dim": 6, "layers": 2, "act": "tanh", **fields}
    return UsersNetwork(name, part, inputs, outputs, given)
