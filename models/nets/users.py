"""A user's network, a module of torch for one run, as a network of a stack.

`make(inputs, outputs, spec)` returns the module: (B, inputs) to (B, outputs). Its parameters lie in
the stack's rows as those of any network do, and `torch.vmap` calls it for all runs at once.

On a CPU three rules more than those of `models.layout` make a run's numbers independent of its
cohort, bit for bit. A run that is alone is computed twice, side by side: by vmap a convolution
becomes one of as many groups as there are runs, and attention a larger batch, and for one group, or
one run, torch has other code. Each parameter begins at a multiple of `layout.ALIGN` floats, also
where it is a tensor of its own, because MKL looks at its place. And items enter contiguous and
leave laid out feature-major, whatever the module makes of them.

Attention is computed by its formula: for torch's faster ways vmap has no rule, but a slow detour.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from mimsweep.models import registry
from mimsweep.models.layout import Weights, feature_major, padded
from mimsweep.models.nets.mlp import Mlp
from mimsweep.models.nets.modules import listed, parameters_of, problem_of
from mimsweep.models.places import UserError, defined_at
from mimsweep.models.settings import kept
from mimsweep.models.streams import generator


class Network(Protocol):
    """A network with a run axis."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of one run's weights by name."""

    def start(self, seed: int) -> dict[str, Tensor]:
        """Returns what those weights start at that are not of a linear layer of ours, by name."""

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Maps x with shape (R, B, inputs) to shape (R, B, outputs)."""


@dataclass(frozen=True)
class Networks:
    """Which networks a model is made of.

    Attributes:
        encoder: "mlp", or the name of a user's.
        decoder: likewise.
        fields: of the runs, for what a user's is made of.
    """

    encoder: str = "mlp"
    decoder: str = "mlp"
    fields: Mapping[str, Any] = field(default_factory=dict)

    def instead_of(self, mlp: Mlp) -> Network:
        """Returns the network that is wanted where there would be a perceptron; maybe that one."""
        name = {"encoder": self.encoder, "decoder": self.decoder}[mlp.name]
        if name == "mlp":
            return mlp
        return UsersNetwork(name, mlp.name, mlp.inputs, mlp.outputs, self.fields)


class Spec:
    """The fields of a run, to be read, but those in which the runs of a stack may differ."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        vars(self).update(fields)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        raise AttributeError(f"spec has no {name}; it has {', '.join(vars(self))}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"spec.{name} can't be set: it is what the sweep says")

    def __repr__(self) -> str:
        """Returns its fields and their values."""
        return f"Spec({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


@dataclass(frozen=True)
class UsersNetwork:
    """A network that keeps its promises, or says which one it broke.

    Attributes:
        name: a value of `encoder` and `decoder`.
        part: "encoder" or "decoder", the prefix of the names of its weights.
        inputs: number of input features.
        outputs: number of output features, all heads together.
        fields: of the runs.
    """

    name: str
    part: str
    inputs: int
    outputs: int
    fields: Mapping[str, Any]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of one run's weights by name."""
        return {f"{self.part}.{name}": tuple(p.shape) for name, p in self._parameters.items()}

    def start(self, seed: int) -> dict[str, Tensor]:
        """Returns what one run's weights start at, by name."""
        made = parameters_of(self.made(seed))
        found = {(name, p.shape) for name, p in made.items()}
        if differ := found ^ {(name, p.shape) for name, p in self._parameters.items()}:
            raise self.wrong(
                "make returned parameters of other names or shapes when it was called again: "
                f"{listed(sorted({name for name, _ in differ}))}"
            )
        return {f"{self.part}.{name}": p.detach().clone() for name, p in made.items()}

    def made(self, seed: int) -> nn.Module:
        """Returns the module of a run, its random numbers drawn from the run's stream."""
        own, torchs = generator("init", self.part, seed), torch.default_generator
        with kept(self.make), torch.random.fork_rng(devices=[]):
            torchs.manual_seed(own.initial_seed())
            module = self.make(self.inputs, self.outputs, Spec(self.fields))
            if torchs.initial_seed() != own.initial_seed():
                raise self.wrong("make seeds torch, and all runs would start alike; leave that out")
        if problem := problem_of(module):
            raise self.wrong(problem)
        return module.train()

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Maps x with shape (R, B, inputs) to shape (R, B, outputs)."""
        rows, items = self._rows(weights), x.contiguous()
        if len(x) == 1 and x.device.type == "cpu":
            rows, items = _twice(rows), _twice(items)
        with kept(self.make), sdpa_kernel(SDPBackend.MATH):
            views = self._views(rows)
            out: Tensor = torch.vmap(self._of_run, randomness="error")(views, items)
        return feature_major(out[: len(x)])

    def held(self, out: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        """Returns what a module returned for x with shape (B, inputs), if it is what it must be."""
        shape = (len(x), self.outputs)
        if not isinstance(out, Tensor):
            raise self.wrong(f"it returned {type(out).__name__}; it must return a tensor")
        if tuple(out.shape) != shape:
            raise self.wrong(
                f"it returned shape {tuple(out.shape)} for {tuple(x.shape)}; it must be {shape}: "
                "(B, outputs)"
            )
        if out.dtype != x.dtype:
            raise self.wrong(f"it returned a tensor of {out.dtype}; it must be of {x.dtype}")
        return out

    def wrong(self, sentence: str) -> UserError:
        """Returns the error that says which promise the network broke."""
        return UserError(f"{self.part} {self.name} ({defined_at(self.make)}): {sentence}")

    @property
    def make(self) -> Callable[..., Any]:
        """What the user has registered."""
        registry.load()
        return registry.NETWORKS[self.name].make

    @cached_property
    def _module(self) -> nn.Module:
        """The module that is called for all runs, each with its own parameters in place of its."""
        return self.made(0)

    @cached_property
    def _parameters(self) -> dict[str, Tensor]:
        return parameters_of(self._module)

    @cached_property
    def _buffers(self) -> dict[str, Tensor]:
        """Its constants, the same for all runs."""
        return dict(self._module.named_buffers())

    def _rows(self, weights: Weights) -> Tensor:
        """Returns its weights with shape (R, ·), each begun at a multiple of `ALIGN` floats."""
        pieces = []
        for name, parameter in self._parameters.items():
            weight, size = weights[f"{self.part}.{name}"], parameter.numel()
            row = weight.reshape(len(weight), size)
            pieces.append(row if parameter.requires_grad else row.detach())
            pieces.append(row.new_zeros(len(row), padded(size) - size))
        return torch.cat(pieces, dim=1)

    def _views(self, rows: Tensor) -> dict[str, Tensor]:
        """Returns the parameters that lie in rows, each with shape (R, ...), by name."""
        pieces = rows.split([padded(p.numel()) for p in self._parameters.values()], dim=1)
        return {
            name: piece[:, : p.numel()].view(len(rows), *p.shape)
            for (name, p), piece in zip(self._parameters.items(), pieces, strict=True)
        }

    def _of_run(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        constants = {name: buffer.to(x.device) for name, buffer in self._buffers.items()}
        return self.held(functional_call(self._module, {**constants, **parameters}, (x,)), x)


def _twice(tensor: Tensor) -> Tensor:
    return torch.cat([tensor, tensor.detach()])
