"""What a data set is: what each split of it holds."""

from collections.abc import Callable
from typing import Literal, Protocol

from torch import Tensor

from mimsweep.models.places import UserError

Split = Literal["train", "test", "final", "knn"]
"""`train` and `test` are those of an epoch, `final` is the test set of the final evaluation, `knn`
the new pass over the training data whose latents serve as neighbours."""


class DataError(UserError):
    """A data set can't be had; the message says why and what to do, in one sentence."""


class Ordered(Protocol):
    """The items of a split in the order of use, to be had a few at a time; a tensor is one."""

    def __getitem__(self, some: slice) -> Tensor:
        """Returns some of them, with shape (n, D)."""


class DataSet(Protocol):
    """What a model learns from and is tested on.

    Three members may be left out: `binary`, true if items are probabilities of bits; `pairs`, true
    if the items of `train` have shape (N, 2D), the encoder's input and the target; and
    `ordered(split, seed, epoch)`, the items that `draw` returns without all of them in memory.
    """

    @property
    def dims(self) -> int:
        """D, the size of an item."""

    @property
    def classes(self) -> int:
        """How many labels there are; a label is 0 to classes − 1."""

    def items(self, split: Split) -> int:
        """Returns N, the number of items of a split."""

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns items with shape (N, D), float32, in the order of use, and their labels, (N,).

        They depend on the data set's name and the arguments alone, whatever was drawn before.
        """

    def log_prob(self, x: Tensor) -> Tensor | None:
        """Returns log P(x) in nats with shape (...) for x with shape (..., D); None if unknown."""


def is_binary(data: DataSet) -> bool:
    """Returns whether items are probabilities of bits."""
    return bool(getattr(data, "binary", False))


def ordered(data: DataSet, split: Split, seed: int, epoch: int) -> Ordered:
    """Returns the items that `draw` returns, to be had a few at a time."""
    own: Callable[[Split, int, int], Ordered] | None = getattr(data, "ordered", None)
    return own(split, seed, epoch) if own else data.draw(split, seed, epoch)[0]


def has_pairs(data: DataSet) -> bool:
    """Returns whether a training item is a pair, the encoder's input and the target."""
    return bool(getattr(data, "pairs", False))
