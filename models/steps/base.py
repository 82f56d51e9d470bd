"""What a step takes, and what makes steps."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from torch import Tensor

from mimsweep.models.data.toys import ToyMixture
from mimsweep.models.losses.base import Noise, Objective
from mimsweep.models.steps.adam import Adam
from mimsweep.models.steps.counted import Counted


@dataclass(frozen=True)
class Schedule:
    """How S steps of R runs go.

    Attributes:
        beta: β, with shape (R, 1), on the CPU.
        size: step sizes, with shape (S, R, 1), from `Adam.coefficients`.
        factor: bias corrections, with shape (S, R, 1), likewise.
    """

    beta: Tensor
    size: Tensor
    factor: Tensor

    def steps(self, start: int, count: int) -> "Schedule":
        """Returns the schedule of `count` of the steps, from `start` on."""
        some = slice(start, start + count)
        return Schedule(self.beta, self.size[some], self.factor[some])


@dataclass(frozen=True)
class Minibatches:
    """S minibatches of a stack.

    Attributes:
        given: items, with shape (S, R, B', D), or the toy that a step draws them from.
        source: of their noise, with shapes (S, R, B', ·): that itself, or what it is drawn from.
        items: B, of which the B' columns of a minibatch count.
    """

    given: Tensor | ToyMixture
    source: Noise | Counted
    items: int

    def __len__(self) -> int:
        """Returns S."""
        return self.source.count if isinstance(self.source, Counted) else len(self.x)

    @property
    def x(self) -> Tensor:
        """The items, where they are given."""
        assert isinstance(self.given, Tensor)
        return self.given

    @cached_property
    def noise(self) -> Noise:
        """The noise of the items, drawn once."""
        return self.source if isinstance(self.source, Noise) else self.source.drawn(self.x.device)

    def minibatch(self, index: int) -> tuple[Tensor, Noise]:
        """Returns the items (R, B', D) of one of the minibatches, and their noise."""
        return self.x[index], self.noise.minibatch(index)


class Steps(Protocol):
    """What makes steps; `models.steps.eager` says how.

    Attributes:
        WHOLE: whether a call takes a whole epoch: runs with decoder samples (β >= 1) and without
            in one, the former's noise for all, and a toy in place of its items.
    """

    WHOLE: bool

    def train_steps(
        self,
        objective: Objective,
        weights: Tensor,
        adam: Adam,
        batches: Minibatches,
        schedule: Schedule,
    ) -> Tensor:
        """Makes S steps."""

    def test_steps(self, objective: Objective, weights: Tensor, batches: Minibatches) -> Tensor:
        """Returns the sum over S minibatches of the losses."""
