"""A user's loss, written for one run, as a loss of a stack; held to what a loss is.

`torch.vmap` calls it for all runs at once: up to twice as dear as a loss that is written for a
stack, a fifth of what ten runs cost one by one where networks are small (docs/performance.md). It
is given the B items of a minibatch and no padding, so what it takes of them together is right.

A run's numbers must not depend on its cohort, bit for bit on a CPU (`models.layout`), whatever the
user computes. Where B is no multiple of `ALIGN` the last few elements of a tensor, which torch
computes with other instructions, would be another number for each R: there the runs are called one
by one. And a run that is alone is called beside itself, as torch has other code for products of one
matrix than of several.

Of another shape a loss would be broadcast to numbers that mean nothing. What it comes to must not
depend on anything but its arguments, or a run could not be made again: the first minibatch is tried
twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from mimsweep.models import registry
from mimsweep.models.layout import ALIGN, Weights
from mimsweep.models.losses.base import Loss, Noise, Objective, UsersNoise
from mimsweep.models.nets.one import RunModel
from mimsweep.models.parts import Loss as Registered
from mimsweep.models.places import UserError, defined_at
from mimsweep.models.settings import kept


class _Drawn(SimpleNamespace):
    """Noise by name."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        there = ", ".join(vars(self))
        raise AttributeError(f"noise has no {name}, but {there}; ask for it by noise={{…}}")


@dataclass(eq=False)
class UsersLoss:
    """A `LossFunction` that keeps its promises, or says which one it broke.

    Attributes:
        name: a value of `model`.
        registered: the user's own.
    """

    name: str
    registered: Registered
    _tried: bool = field(default=False, init=False)

    def __call__(
        self, objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor
    ) -> Loss:
        """Returns the loss of a minibatch; arguments as for `vae`."""
        assert isinstance(noise, UsersNoise)
        given = {"anchor": noise.anchor, "x": noise.x, **noise.own}
        items = {
            name: values[..., : objective.items, :]
            for name, values in given.items()
            if values is not None
        }
        arguments = (objective, dict(weights), x[:, : objective.items], items, beta[:, 0])
        if not self._tried:
            self._tried = True
            self._try(arguments)
        loss = self._stacked(*arguments)
        if torch.is_grad_enabled() and not loss.requires_grad:
            raise self.wrong("depends on no weights, or was detached from them: nothing is learned")
        return Loss(loss)

    def _stacked(
        self,
        objective: Objective,
        weights: Weights,
        x: Tensor,
        noise: Mapping[str, Tensor],
        beta: Tensor,
    ) -> Tensor:
        """Returns the loss of each item of each run, (R, B), or of each run's minibatch, (R, 1)."""
        fields = {name: objective.declared[name] for name in self.registered.fields}

        def of_run(
            weights: Weights, x: Tensor, noise: Mapping[str, Tensor], beta: Tensor
        ) -> Tensor:
            model = RunModel(objective.model, weights)
            drawn = _Drawn(**{"anchor": None, "x": None, **noise})
            with kept(self.registered.function):
                loss = self.registered.function(model, x, drawn, beta, **fields)
            return self._of_shape(loss, len(x))

        cpu, given = x.device.type == "cpu", (weights, x, noise, beta)
        uneven = bool(objective.items % ALIGN)
        if cpu and len(x) == 1 and not uneven:
            given = tree_map(_beside_itself, given)
        # Randomness is told by our own sentence, after two calls.
        stack = torch.vmap(of_run, randomness="same", chunk_size=1 if cpu and uneven else None)
        losses: Tensor = stack(*given)[: len(x)]
        return losses

    def _of_shape(self, loss: Any, items: int) -> Tensor:  # noqa: ANN401
        """Returns what the user's function returned, with shape (B,) or (1,)."""
        if not isinstance(loss, Tensor):
            raise self.wrong(f"returned {type(loss).__name__}; it must return a tensor")
        if not loss.is_floating_point():
            raise self.wrong(f"returned a tensor of {loss.dtype}; it must be a tensor of float32")
        if loss.shape not in ((items,), ()):
            raise self.wrong(
                f"returned shape {tuple(loss.shape)}; it must be ({items},), (B,), a number for "
                "each item, or (), one for the minibatch"
            )
        return loss.reshape(-1)

    @torch.no_grad()
    def _try(self, arguments: tuple[Any, ...]) -> None:
        first, again = self._stacked(*arguments), self._stacked(*arguments)
        if first.device.type != "cpu":  # a GPU's sums may differ
            return
        if not torch.allclose(first, again, rtol=0, atol=0, equal_nan=True):
            raise self.wrong(
                "came to other values for the same minibatch when it was called again; it may "
                "depend on its arguments alone: take random numbers from `noise`"
            )

    def wrong(self, sentence: str) -> UserError:
        """Returns the error that says which promise the loss broke."""
        at = defined_at(self.registered.function)
        return UserError(f"model {self.name} ({at}): its loss {sentence}")


def _beside_itself(tensor: Tensor) -> Tensor:
    # Not copied: a copy would lie in memory otherwise.
    return tensor.expand(2, *tensor.shape[1:])


def users_loss(name: str) -> UsersLoss:
    """Returns the loss that a user has registered by that name."""
    return UsersLoss(name, registry.LOSSES[name])
