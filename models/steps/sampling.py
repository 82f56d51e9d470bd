"""Minibatches and noise of a stack, each run's drawn from streams of its own seed and epoch.

S minibatches are in memory at once: tensors with shape (S, R, B', F) where B' = padded(B),
laid out feature-major (see `models.layout`). The padding repeats the first item and its noise: an
invented item may overflow where no real one does, and its gradient, 0·∞, would then fail the run.
Runs of one seed at one epoch share the drawing of items. Noise is a function of seed, epoch, what
it is for, step, feature and item (`models.philox`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from mimsweep.models.data.base import DataSet, Split, ordered
from mimsweep.models.data.toys import ToyMixture
from mimsweep.models.layout import padded
from mimsweep.models.losses.base import OwnNoise
from mimsweep.models.philox import CHUNK
from mimsweep.models.steps.base import Minibatches
from mimsweep.models.steps.counted import Counted, SeedEpoch, moved

NOTHING: Mapping[str, OwnNoise] = MappingProxyType({})

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
        self,
        split: Split,
        seed_epochs: Sequence[SeedEpoch],
        noise_names: Sequence[str],
        toys: bool = False,
        own: Mapping[str, OwnNoise] = NOTHING,
    ) -> Iterator[Minibatches]:
        """Yields the minibatches of an epoch, as many at once as are in memory.

        Args:
            split: which items; each split has noise of its own.
            seed_epochs: of the R runs.
            noise_names: the fields of `Noise` that are wanted.
            toys: whether a toy may stand for its items, all minibatches at once.
            own: noise that a user's loss has asked for, by name.
        """
        toy = self._toy if toys else None
        if toy:
            counted = self._counted(split, seed_epochs, noise_names, 0, self.count(split), own)
            yield Minibatches(toy, counted, self.batch_size)
            return
        items = {
            seed_epoch: ordered(self.data, split, *seed_epoch)
            for seed_epoch in dict.fromkeys(seed_epochs)
        }
        most = max((each.samples for each in own.values()), default=1)
        at_once = max(1, ITEMS_AT_ONCE // (self.batch_size * max(most, 1)))
        total = self.count(split)
        for start in range(0, total, at_once):
            stop = min(start + at_once, total)
            some = slice(start * self.batch_size, stop * self.batch_size)
            drawn = {seed_epoch: self._batches(x[some]) for seed_epoch, x in items.items()}
            x = self._stack(drawn, seed_epochs)
            counted = self._counted(split, seed_epochs, noise_names, start, len(x), own)
            yield Minibatches(x, counted, self.batch_size)

    @property
    def _toy(self) -> ToyMixture | None:
        """The data set, if each minibatch of it starts with a chunk of counted numbers."""
        in_chunks = self.batch_size % CHUNK == 0
        return self.data if isinstance(self.data, ToyMixture) and in_chunks else None

    def _counted(
        self,
        split: Split,
        seed_epochs: Sequence[SeedEpoch],
        noise_names: Sequence[str],
        first: int,
        count: int,
        own: Mapping[str, OwnNoise],
    ) -> Counted:
        return Counted(
            features={name: self._features(name) for name in noise_names},
            choices=self.choices,
            split=split,
            seed_epochs=seed_epochs,
            first=first,
            count=count,
            items=self.batch_size,
            own=own,
        )

    def _features(self, noise_name: str) -> int:
        return self.data.dims if noise_name == "x" else self.z_dim

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

    def _stack(self, drawn: dict[SeedEpoch, Tensor], seed_epochs: Sequence[SeedEpoch]) -> Tensor:
        return moved(torch.stack([drawn[each] for each in seed_epochs], dim=1), self.device)
