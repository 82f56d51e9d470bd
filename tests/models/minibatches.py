"""The parts of an epoch, minibatch by minibatch."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from mimsweep.models.data.base import Split
from mimsweep.models.losses.base import Noise
from mimsweep.models.steps.counted import SeedEpoch
from mimsweep.models.steps.sampling import Sampler


def minibatches(
    sampler: Sampler, split: Split, seed_epochs: Sequence[SeedEpoch], noise_names: Sequence[str]
) -> Iterator[tuple[Tensor, Noise]]:
    """Yields x with shape (R, B', D) and its noise (R, B', ·) of each minibatch."""
    for batches in sampler.minibatches(split, seed_epochs, noise_names):
        yield from map(batches.minibatch, range(len(batches)))
