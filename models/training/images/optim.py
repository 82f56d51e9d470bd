"""Adam on normalised gradients (arXiv 1705.07120): g / (‖g‖₂ + 10⁻⁷) of each tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

TINY = 1e-7


def normalised_adam(weights: Sequence[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Returns torch's Adam that normalises the gradients before each step.

    Its `state_dict` has the moments, 0, from the start, not from the first step on.

    Args:
        weights: each gets a gradient in each step.
        lr: learning rate.
    """
    adam = torch.optim.Adam(weights, lr=lr, fused=True)
    for w in weights:
        adam.state[w] = {
            "step": torch.zeros((), device=w.device),
            "exp_avg": torch.zeros_like(w),
            "exp_avg_sq": torch.zeros_like(w),
        }
    adam.register_step_pre_hook(
        lambda *_: _normalise([w.grad for w in weights if w.grad is not None])
    )
    return adam


def _normalise(gradients: list[Tensor]) -> None:
    norms = torch._foreach_norm(gradients)
    torch._foreach_add_(norms, TINY)
    torch._foreach_div_(gradients, norms)
