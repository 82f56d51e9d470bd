"""Noise of minibatches, as the counters that it is drawn from (`models.philox`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mimsweep.models.data.base import Split
from mimsweep.models.layout import padded, sent
from mimsweep.models.losses.base import Noise, OwnNoise, UsersNoise
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
        own: what a user's loss has asked for, by name.
    """

    features: Mapping[str, int]
    choices: frozenset[str]
    split: Split
    seed_epochs: Sequence[SeedEpoch]
    first: int
    count: int
    items: int
    own: Mapping[str, OwnNoise] = field(default_factory=dict)

    @property
    def epochs(self) -> Words:
        """The epoch of each run, with shape (R,)."""
        return np.array([epoch for _, epoch in self.seed_epochs], Word)

    def keys(self, name: str, purpose: str = "noise") -> Words:
        """Returns the keys of a field of `Noise`, with shape (R, 2)."""
        return np.stack([key(purpose, self.split, name, seed) for seed, _ in self.seed_epochs])

    def drawn(self, device: torch.device) -> Noise:
        """Returns the noise, with shapes (S, R, B', F); columns beyond B repeat the first."""
        wanted = {name: OwnNoise(n, name in self.choices, 0) for name, n in self.features.items()}
        drawn = {name: self._drawn(name, each, device) for name, each in wanted.items()}
        if not self.own:
            return Noise(**drawn)
        own = {name: self._drawn(name, each, device) for name, each in self.own.items()}
        return UsersNoise(**{"z": own["z"], **drawn}, own=own)

    def _drawn(self, name: str, wanted: OwnNoise, device: torch.device) -> Tensor:
        """Returns a field, with shape (S, R, B', F), or (S, R, K, B', F) of K samples."""
        rows = max(wanted.samples, 1)
        drawn = self._filled(self.keys(name), rows * wanted.normals, normal=True)
        drawn = drawn.unflatten(2, (rows, wanted.normals))
        if wanted.choice:
            choice = self._filled(self.keys(name, "choice"), rows, normal=False)
            drawn = torch.cat([drawn, choice.unsqueeze(3)], dim=3)
        return moved(drawn if wanted.samples else drawn.squeeze(2), device)

    def _filled(self, keys: Words, features: int, normal: bool) -> Tensor:
        """Returns normals, or uniform numbers, with shape (S, R, F, B')."""
        out = torch.empty(self.count, len(keys), features, padded(self.items))
        fill(out.numpy(), self.items, keys, self.epochs, self.first, normal)
        out[..., self.items :] = out[..., :1]
        return out


def moved(stacked: Tensor, device: torch.device) -> Tensor:
    """Returns (S, R, …, F, B') of the CPU on a device, with shape (S, R, …, B', F)."""
    return sent(stacked, device).mT
