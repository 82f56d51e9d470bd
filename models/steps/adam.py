"""Adam and the schedule of its learning rate, each run with its own.

Adam (arXiv 1412.6980) on flat rows of weights; `torch.optim.Adam` refuses a learning rate per run.
The rate follows Noam (arXiv 1706.03762) by epoch: up linearly to lr0 at epoch w, then as 1/√epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mimsweep.models.layout import sent

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def learning_rate(lr: float, warmup: int, epoch: int) -> float:
    """Returns the rate of `epoch` (from 1): lr·e/w up to e = w, then lr·√(w/e)."""
    return lr * epoch / warmup if epoch <= warmup else lr * (warmup / epoch) ** 0.5


@dataclass
class Adam:
    """Adam on a stack of R rows of P weights, with a rate and a step count per run.

    Attributes:
        first: running mean of the gradients, with shape (R, P).
        second: running mean of their squares, with shape (R, P).
    """

    first: Tensor
    second: Tensor

    @classmethod
    def zeros(cls, weights: Tensor) -> "Adam":
        """Returns the state before the first step on weights with shape (R, P)."""
        return cls(torch.zeros_like(weights), torch.zeros_like(weights))

    def rows(self, rows: Tensor) -> "Adam":
        """Returns a copy of the state of the runs at `rows`, indices with shape (R',)."""
        return Adam(self.first[rows], self.second[rows])

    def put(self, rows: Tensor, state: "Adam") -> None:
        """Sets the state of the runs at `rows`."""
        self.first[rows], self.second[rows] = state.first, state.second

    def coefficients(
        self, lr: Sequence[float], step: Sequence[int], count: int
    ) -> tuple[Tensor, Tensor]:
        """Returns what `step_` needs for `count` steps in a row, bias corrections included.

        Args:
            lr: rate of each run, R values.
            step: number of steps that each run has made, R values.
            count: S, number of steps to come.

        Returns:
            the step sizes lr/(1 − β1ᵗ) and the factors 1/√(1 − β2ᵗ), each with shape (S, R, 1).
        """
        t = torch.tensor(step, dtype=torch.float64) + torch.arange(1, count + 1).unsqueeze(-1)
        size = torch.tensor(lr, dtype=torch.float64) / (1 - BETA1**t)
        factor = (1 - BETA2**t).rsqrt()
        dtype, device = self.first.dtype, self.first.device
        both = sent(torch.stack([size, factor]).to(dtype).unsqueeze(-1), device)
        return both[0], both[1]

    @torch.no_grad()
    def step_(self, weights: Tensor, gradient: Tensor, size: Tensor, factor: Tensor) -> None:
        """Updates weights (R, P) in place by gradient (R, P); size and factor with shape (R, 1)."""
        self.first.lerp_(gradient, 1 - BETA1)
        self.second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        denominator = self.second.sqrt().mul_(factor).add_(EPSILON)
        weights.sub_(self.first.div(denominator).mul_(size))
