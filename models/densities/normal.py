"""Gaussians with diagonal covariance."""

import math
from dataclasses import dataclass

from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Normal:
    """A Gaussian with diagonal covariance.

    Attributes:
        mean: with shape (R, B, F).
        scale: σ, with shape (R, B, F), or a float for all.
    """

    mean: Tensor
    scale: Tensor | float

    def sample(self, noise: Tensor) -> Tensor:
        """Returns mean + scale·noise, noise ~ N(0, I); all with shape (R, B, F)."""
        return self.mean + self.scale * noise

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns the log-density at x with shape (R, B, F): nats, with shape (R, B)."""
        return self._log_prob_of_noise((x - self.mean) / self.scale)

    def log_prob_of_sample(self, noise: Tensor) -> Tensor:
        """Returns `log_prob(sample(noise))`, with shape (R, B), without the detour over x.

        The gradient is that of the reparameterised sample too: at x = mean + scale·noise the
        standardised x is the noise, whatever mean and scale are.
        """
        return self._log_prob_of_noise(noise)

    def _log_prob_of_noise(self, noise: Tensor) -> Tensor:
        log_prob = standard_normal_log_prob(noise)
        if isinstance(self.scale, float):
            return log_prob - noise.shape[-1] * math.log(self.scale)
        return log_prob - self.scale.log().sum(-1)


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Returns log N(z; 0, I) over the last axis: z with shape (R, B, F) to nats (R, B)."""
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * LOG_2PI)
