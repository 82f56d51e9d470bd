"""Minibatches and noise of a stack, each run's drawn from streams of its own seed and epoch.

A part of an epoch is S minibatches at once, tensors with shape (S, R, B', F) where B' = padded(B),
laid out feature-major (see `models.nn`). The padding repeats the first item and its noise: an
invented item may overflow where no real one does, and its gradient, 0·∞, would then fail the run.
Runs of one seed at one epoch share what is drawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.data import DataSet, Split
from models.losses import Noise
from models.nn import padded
from models.rng import generator

Moment = tuple[int, int]
"""(seed, epoch) of a run: what its data and noise depend on."""

ITEMS_AT_ONCE = 10_000
"""Items of an epoch whose data and noise are in memory at once, about."""


@dataclass(frozen=True)
class Part:
    """S minibatches of a stack.

    Attributes:
        x: items, with shape (S, R, B', D).
        noise: of theirs, with shapes (S, R, B', ·).
        items: B, of which the B' columns of a minibatch count.
    """

    x: Tensor
    noise: Noise
    items: int

    def __len__(self) -> int:
        """Returns S."""
        return len(self.x)

    def minibatch(self, index: int) -> tuple[Tensor, Noise]:
        """Returns the items (R, B', D) of one of the minibatches, and their noise."""
        return self.x[index], self.noise.minibatch(index)


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

    def parts(
        self, split: Split, moments: Sequence[Moment], noise_names: Sequence[str]
    ) -> Iterator[Part]:
        """Yields the parts of an epoch.

        Args:
            split: which items; each split has noise of its own.
            moments: of the R runs.
            noise_names: the fields of `Noise` that are wanted.
        """
        items = {moment: self.data.draw(split, *moment)[0] for moment in dict.fromkeys(moments)}
        batches = {moment: self._batches(x) for moment, x in items.items()}
        at_once = max(1, ITEMS_AT_ONCE // self.batch_size)
        total = len(batches[moments[0]])
        for part, start in enumerate(range(0, total, at_once)):
            x = self._stack({m: b[start : start + at_once] for m, b in batches.items()}, moments)
            noise = {name: self._noise(name, split, moments, part, len(x)) for name in noise_names}
            yield Part(x, Noise(**noise), self.batch_size)

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
        self, name: str, split: Split, moments: Sequence[Moment], part: int, count: int
    ) -> Tensor:
        drawn = {
            moment: self._pad(self._drawn(name, (split, name, *moment, part), count))
            for moment in dict.fromkeys(moments)
        }
        return self._stack(drawn, moments)

    def _drawn(self, name: str, stream: tuple[str | int, ...], count: int) -> Tensor:
        """Returns the noise of a run, with shape (S, F, B), from the streams of that name."""
        features = self.data.dims if name == "x" else self.z_dim
        shape = (count, features, self.batch_size)
        normals = torch.randn(shape, generator=generator("noise", *stream))
        if name not in self.choices:
            return normals
        shape = (count, 1, self.batch_size)
        return torch.cat([normals, torch.rand(shape, generator=generator("choice", *stream))], 1)

    def _stack(self, drawn: dict[Moment, Tensor], moments: Sequence[Moment]) -> Tensor:
        stacked = torch.stack([drawn[moment] for moment in moments], dim=1)
        if self.device.type == "cuda":  # from pinned memory a copy doesn't wait for the device
            stacked = stacked.pin_memory()
        return stacked.to(self.device, non_blocking=True).mT
