"""Minibatches and noise of a stack, each run's drawn from streams of its own seed and epoch.

S minibatches are in memory at once: tensors with shape (S, R, B', F) where B' = padded(B),
laid out feature-major (see `models.layout`). The padding repeats the first item and its noise: an
invented item may overflow where no real one does, and its gradient, 0·∞, would then fail the run.
Runs of one seed at one epoch share the drawing of items. Noise is a function of seed, epoch, what
it is for, step, feature and item (`models.philox`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mimsweep.models.data.base import DataSet, Split
from mimsweep.models.layout import padded
from mimsweep.models.losses.base import Noise
from mimsweep.models.philox import Word, fill
from mimsweep.models.steps.base import Minibatches
from mimsweep.models.streams import key

SeedEpoch = tuple[int, int]
"""(seed, epoch) of a run: what its data and noise depend on."""

ITEMS_AT_ONCE = 10_000
"""Items of an epoch whose data and noise are in memory at once, about."""


@dataclass(frozen=True)
class Sampler:
    """Draws what the runs of a cohort train and are tested on.

    Attributes:
        data: the data set.
        batch_size: B; items that don't fill a minibatch are dropped.
        z_dim: Z.
        device: where the tensors go; they are drawn on the CPU, so that devices agree.
        choices: the fields of `Noise` with one feature more, uniform, that chooses a component.
    """

    data: DataSet
    batch_size: int
    z_dim: int
    device: torch.device
    choices: frozenset[str] = frozenset()

    def count(self, split: Split) -> int:
        """Returns S, the number of minibatches of an epoch."""
        return self.data.items(split) // self.batch_size

    def minibatches(
        self, split: Split, seed_epochs: Sequence[SeedEpoch], noise_names: Sequence[str]
    ) -> Iterator[Minibatches]:
        """Yields the minibatches of an epoch, as many at once as are in memory.

        Args:
            split: which items; each split has noise of its own.
            seed_epochs: of the R runs.
            noise_names: the fields of `Noise` that are wanted.
        """
        items = {
            seed_epoch: self.data.draw(split, *seed_epoch)[0]
            for seed_epoch in dict.fromkeys(seed_epochs)
        }
        batches = {seed_epoch: self._batches(x) for seed_epoch, x in items.items()}
        at_once = max(1, ITEMS_AT_ONCE // self.batch_size)
        total = len(batches[seed_epochs[0]])
        for start in range(0, total, at_once):
            x = self._stack(
                {m: b[start : start + at_once] for m, b in batches.items()}, seed_epochs
            )
            noise = {
                name: self._noise(name, split, seed_epochs, start, len(x)) for name in noise_names
            }
            yield Minibatches(x, Noise(**noise), self.batch_size)

    def _batches(self, items: Tensor) -> Tensor:
        """Cuts items (N, D) into minibatches (N // B, D, B'), in views where no padding is due."""
        count = len(items) // self.batch_size
        batches = items[: count * self.batch_size].unflatten(0, (count, self.batch_size)).mT
        return self._pad(batches)

    def _pad(self, batches: Tensor) -> Tensor:
        """Repeats the first item of minibatches (S, F, B): with shape (S, F, B')."""
        padding = padded(self.batch_size) - self.batch_size
        if not padding:
            return batches
        return torch.cat([batches, batches[..., :1].expand(-1, -1, padding)], dim=-1)

    def _noise(
        self, name: str, split: Split, seed_epochs: Sequence[SeedEpoch], start: int, count: int
    ) -> Tensor:
        """Returns the noise of that name of `count` steps from `start` on: (S, R, B', F)."""
        features = self.data.dims if name == "x" else self.z_dim
        drawn = self._drawn(("noise", split, name), seed_epochs, (start, count, features))
        if name in self.choices:
            choice = self._drawn(("choice", split, name), seed_epochs, (start, count, 1))
            drawn = torch.cat([drawn, choice], dim=2)
        return self._moved(drawn)

    def _drawn(
        self, name: tuple[str, str, str], seed_epochs: Sequence[SeedEpoch], size: tuple[int, ...]
    ) -> Tensor:
        """Returns noise, or uniform numbers for a choice, of steps start on: (S, R, F, B')."""
        start, count, features = size
        shape = (count, len(seed_epochs), features, padded(self.batch_size))
        drawn = torch.empty(shape)
        keys = np.stack([key(*name, seed) for seed, _ in seed_epochs])
        epochs = np.array([epoch for _, epoch in seed_epochs], Word)
        fill(drawn.numpy(), self.batch_size, keys, epochs, start, name[0] == "noise")
        drawn[..., self.batch_size :] = drawn[..., :1]
        return drawn

    def _stack(self, drawn: dict[SeedEpoch, Tensor], seed_epochs: Sequence[SeedEpoch]) -> Tensor:
        return self._moved(torch.stack([drawn[each] for each in seed_epochs], dim=1))

    def _moved(self, stacked: Tensor) -> Tensor:
        """Returns (S, R, F, B') on the device, with shape (S, R, B', F)."""
        if self.device.type == "cuda":  # from pinned memory a copy doesn't wait for the device
            stacked = stacked.pin_memory()
        return stacked.to(self.device, non_blocking=True).mT
