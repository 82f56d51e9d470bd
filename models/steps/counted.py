"""Noise of minibatches, as the counters that it is drawn from (`models.philox`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mimsweep.models.data.base import Split
from mimsweep.models.layout import padded, sent
from mimsweep.models.losses.base import Noise
from mimsweep.models.philox import Word, Words, fill
from mimsweep.models.streams import key

SeedEpoch = tuple[int, int]
"""(seed, epoch) of a run: what its data and noise depend on."""


@dataclass(frozen=True)
class Counted:
    """Noise of S minibatches of R runs, not drawn yet.

    Attributes:
        features: F of each wanted field of `Noise`, by name.
        choices: the fields with one feature more, uniform, that chooses a component.
        split: which items they are; each split has noise of its own.
        seed_epochs: of the R runs.
        first: the number, in the epoch, of the first minibatch.
        count: S.
        items: B.
    """

    features: Mapping[str, int]
    choices: frozenset[str]
    split: Split
    seed_epochs: Sequence[SeedEpoch]
    first: int
    count: int
    items: int

    @property
    def epochs(self) -> Words:
        """The epoch of each run, with shape (R,)."""
        return np.array([epoch for _, epoch in self.seed_epochs], Word)

    def keys(self, name: str, purpose: str = "noise") -> Words:
        """Returns the keys of a field of `Noise`, with shape (R, 2)."""
        return np.stack([key(purpose, self.split, name, seed) for seed, _ in self.seed_epochs])

    def drawn(self, device: torch.device) -> Noise:
        """Returns the noise, with shapes (S, R, B', F); columns beyond B repeat the first."""
        drawn = {name: self._drawn(name, device) for name in self.features}
        return Noise(**drawn)

    def _drawn(self, name: str, device: torch.device) -> Tensor:
        drawn = self._filled(self.keys(name), self.features[name], normal=True)
        if name in self.choices:
            choice = self._filled(self.keys(name, "choice"), 1, normal=False)
            drawn = torch.cat([drawn, choice], dim=2)
        return moved(drawn, device)

    def _filled(self, keys: Words, features: int, normal: bool) -> Tensor:
        """Returns normals, or uniform numbers, with shape (S, R, F, B')."""
        out = torch.empty(self.count, len(keys), features, padded(self.items))
        fill(out.numpy(), self.items, keys, self.epochs, self.first, normal)
        out[..., self.items :] = out[..., :1]
        return out


def moved(stacked: Tensor, device: torch.device) -> Tensor:
    """Returns (S, R, F, B') of the CPU on a device, with shape (S, R, B', F)."""
    return sent(stacked, device).mT
