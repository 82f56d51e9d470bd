"""Multi-layer perceptrons with a run axis."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mimsweep.models.layout import Weights
from mimsweep.models.nets.linear import linear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "swish": torch.nn.functional.silu,
    "relu": torch.relu,
}


@dataclass(frozen=True)
class Mlp:
    """A multi-layer perceptron: `layers - 1` hidden layers of `mid_dim`, then one linear layer.

    Attributes:
        name: prefix of the names of its weights.
        inputs: number of input features.
        outputs: number of output features, all heads together.
        mid_dim: width of the hidden layers.
        layers: number of linear layers, at least 1.
        act: key of `ACTIVATIONS`.
    """

    name: str
    inputs: int
    outputs: int
    mid_dim: int
    layers: int
    act: str

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of the weights of one run: (out, in) and (out,) per layer."""
        widths = [self.inputs, *[self.mid_dim] * (self.layers - 1), self.outputs]
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
            shapes[f"{self.name}.{layer}.weight"] = (n_out, n_in)
            shapes[f"{self.name}.{layer}.bias"] = (n_out,)
        return shapes

    def start(self, seed: int) -> dict[str, Tensor]:
        """Returns nothing: its weights start as those of `linear.initial_weights` do."""
        return {}

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Maps x with shape (R, B, inputs) to shape (R, B, outputs)."""
        for layer in range(self.layers):
            x = linear(
                x, weights[f"{self.name}.{layer}.weight"], weights[f"{self.name}.{layer}.bias"]
            )
            if layer < self.layers - 1:
                x = ACTIVATIONS[self.act](x)
        return x
