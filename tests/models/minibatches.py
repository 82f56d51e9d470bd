"""The parts of an epoch, minibatch by minibatch."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from models.data import Split
from models.losses import Noise
from models.sampling import Moment, Sampler


def minibatches(
    sampler: Sampler, split: Split, moments: Sequence[Moment], noise_names: Sequence[str]
) -> Iterator[tuple[Tensor, Noise]]:
    """Yields x with shape (R, B', D) and its noise (R, B', ·) of each minibatch."""
    for part in sampler.parts(split, moments, noise_names):
        yield from map(part.minibatch, range(len(part)))
