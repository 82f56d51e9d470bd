"""A user's loss, held to what a loss is: a number of each item of each run, of the weights alone.

Of another shape it would be broadcast to numbers that mean nothing. What it comes to must not
depend on anything but its arguments, or a run could not be made again: the first minibatch is tried
twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mimsweep.models import registry
from mimsweep.models.layout import Weights
from mimsweep.models.losses.base import Loss, Noise, Objective
from mimsweep.models.places import UserError, defined_at
from mimsweep.models.settings import kept


@dataclass(eq=False)
class UsersLoss:
    """A `LossFunction` that keeps its promises, or says which one it broke.

    Attributes:
        name: a value of `model`.
        function: the user's own.
    """

    name: str
    function: Callable[..., Any]
    _tried: bool = field(default=False, init=False)

    def __call__(
        self, objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor
    ) -> Loss:
        """Returns the loss of a minibatch; arguments as for `vae`."""
        arguments = (objective, weights, x, noise, beta)
        if not self._tried:
            self._tried = True
            self._try(arguments)
        loss = self._loss(arguments)
        parts = [loss.encoder] if loss.decoder is None else [loss.encoder, loss.decoder]
        if torch.is_grad_enabled() and not any(part.requires_grad for part in parts):
            raise self._wrong(
                "depends on no weights, or was detached from them: nothing is learned"
            )
        return loss

    def _loss(self, arguments: tuple[Any, ...]) -> Loss:
        with kept(self.function):
            loss = self.function(*arguments)
        if not isinstance(loss, Loss):
            kind = type(loss).__name__
            raise self._wrong(f"returned {kind}; it must return mimsweep.models.losses.base.Loss")
        shape = tuple(arguments[2].shape[:2])
        for part in [loss.encoder] if loss.decoder is None else [loss.encoder, loss.decoder]:
            if not isinstance(part, Tensor) or not part.is_floating_point():
                what = f"a tensor of {part.dtype}" if isinstance(part, Tensor) else repr(part)
                raise self._wrong(f"returned {what}; it must be a tensor of float32")
            if tuple(part.shape) != shape:
                raise self._wrong(
                    f"returned shape {tuple(part.shape)}; it must be {shape}, (R, B): a number for "
                    "each item of each run"
                )
        return loss

    @torch.no_grad()
    def _try(self, arguments: tuple[Any, ...]) -> None:
        first, again = self._loss(arguments), self._loss(arguments)
        one, other = ((p.encoder, p.decoder) for p in (first, again))
        for a, b in zip(one, other, strict=True):
            if a is None or b is None or a.device.type != "cpu":  # a GPU's sums may differ
                continue
            if not torch.allclose(a, b, rtol=0, atol=0, equal_nan=True):
                raise self._wrong(
                    "came to other values for the same minibatch when it was called again; it may "
                    "depend on its arguments alone: take random numbers from `noise`"
                )

    def _wrong(self, sentence: str) -> UserError:
        return UserError(f"model {self.name} ({defined_at(self.function)}): its loss {sentence}")


def users_loss(name: str) -> UsersLoss:
    """Returns the loss that a user has registered by that name."""
    return UsersLoss(name, registry.LOSSES[name].function)
