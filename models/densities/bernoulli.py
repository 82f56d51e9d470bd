"""Bernoullis of independent bits."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Bernoulli:
    """Independent Bernoullis, of values that may lie anywhere between 0 and 1.

    Attributes:
        logits: log(p/(1 − p)), with shape (R, B, F).
    """

    logits: Tensor

    @classmethod
    def clamped(cls, logits: Tensor, minimum: float) -> "Bernoulli":
        """Returns the one whose probabilities are kept in [minimum, 1 − minimum]."""
        limit = math.log1p(-minimum) - math.log(minimum)
        return cls(logits.clamp(-limit, limit))

    def sample(self, noise: Tensor) -> Tensor:
        """Returns the probabilities, which is what stands for a reparameterised sample here."""
        return self.logits.sigmoid()

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns Σ x log p + (1 − x) log(1 − p) at x with shape (R, B, F): nats, (R, B)."""
        return (x * self.logits + torch.nn.functional.logsigmoid(-self.logits)).sum(-1)

    def log_prob_of_sample(self, noise: Tensor) -> Tensor:
        """Returns `log_prob(sample(noise))`, with shape (R, B)."""
        return self.log_prob(self.sample(noise))
