"""Trains two-level image models, run by run (experiments.md section 6)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from models.cohort import Event, Progress, Run, State
from models.image_data import ImageSet


@dataclass(frozen=True)
class ImageCohort:
    """Runs of an image model, and all that they agree on.

    Attributes:
        dataset: name of the data set.
        model: `convhvae_2level` or `pixelhvae_2level`, with "", -mim, -amim or -smim behind.
        z_dim: size of z1 and of z2.
        batch_size: B.
        prior: p(z2): standard or vampprior.
        pseudo_inputs: K of the VampPrior.
        use_training_data_init: whether pseudo-inputs start at training images.
        patience: epochs without a better validation loss, after the warm-up, that are let pass.
        likelihood_samples: S of the marginal log-likelihood.
        train_items: so many training images; 0 for all.
        test_items: so many validation and test images; 0 for all.
        runs: what differs.
    """

    dataset: str
    model: str
    z_dim: int
    batch_size: int
    prior: str
    pseudo_inputs: int
    use_training_data_init: bool
    patience: int
    likelihood_samples: int
    train_items: int
    test_items: int
    runs: tuple[Run, ...]


class ImageTraining:
    """A cohort of image models in training, between epochs."""

    def __init__(self, cohort: ImageCohort, data: ImageSet, device: str = "cpu") -> None:
        raise NotImplementedError

    @property
    def live(self) -> list[str]:
        """The keys of the runs that are not at their ends."""
        raise NotImplementedError

    def epoch(self) -> Iterator[Event]:
        """Trains the live runs for an epoch, one after the other."""
        raise NotImplementedError

    def add(self, runs: Sequence[Run]) -> None:
        """Lets new runs join; they start at their first epoch."""
        raise NotImplementedError

    def drop(self, keys: Collection[str]) -> None:
        """Takes runs out, without an end."""
        raise NotImplementedError

    def weights(self, key: str) -> dict[str, Tensor]:
        """Returns a copy of the present weights of a live run by name, on the CPU."""
        raise NotImplementedError

    def state(self) -> State:
        """Returns all that the live runs need to go on as if nothing had happened."""
        raise NotImplementedError

    def restore(self, key: str, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Lets a live run go on from where it stood in a `State`; tensors with shape (P,)."""
        raise NotImplementedError
