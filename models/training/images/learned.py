"""What a run of images has learned, for anyone's: samples of p(x), and log p(x).

log p(x) is estimated as `models.measures.images` does for the run's own test images.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mimsweep.models.measures.images import log_likelihood
from mimsweep.models.measures.pictures import samples
from mimsweep.models.nets.hvae import TwoLevel
from mimsweep.models.training.images.cohort import ImageCohort


@dataclass(frozen=True)
class LearnedImages:
    """A trained run of images; `net` has the weights of its best epoch, in evaluation mode."""

    net: TwoLevel

    def sample(self, count: int, seed: int) -> Tensor:
        """Returns x ~ p(x|z), z ~ p(z), with shape (N, 784).

        Those of the convolutional decoder are probabilities of bits, of the pixel decoder bits.

        Args:
            count: N.
            seed: of the noise.
        """
        return samples(self.net, count, "samples", seed)

    def log_prob(self, x: Tensor, samples: int, seed: int) -> Tensor:
        """Returns the estimate of log p(x) in nats, with shape (N,).

        Args:
            x: bits with shape (N, 784).
            samples: S; each image has noise of its own.
            seed: of the noise.
        """
        return log_likelihood(self.net, x, seed, samples)[0]


def learned_images(cohort: ImageCohort, weights: Mapping[str, Tensor]) -> LearnedImages:
    """Returns what a run has learned.

    Args:
        cohort: of that run alone.
        weights: its own, by name.

    Raises:
        ValueError: they are not those of such a run.
    """
    net = cohort.architecture.build().eval()
    net.to(memory_format=torch.channels_last)  # as in training: other layouts give other bits
    net.restore(weights)
    return LearnedImages(net)
