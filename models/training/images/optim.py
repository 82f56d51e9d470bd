"""Adam on normalised gradients (arXiv 1705.07120): g / (‖g‖₂ + 10⁻⁷) of each tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

TINY = 1e-7


def normalised_adam(weights: Sequence[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Returns torch's Adam, with moments of 0, that normalises the gradients before each step.

    Args:
        weights: each gets a gradient in each step.
        lr: learning rate.
    """
    adam = torch.optim.Adam(weights, lr=lr, fused=True)
    set_moments(adam, [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights], 0)
    adam.register_step_pre_hook(
        lambda *_: _normalise([w.grad for w in weights if w.grad is not None])
    )
    return adam


def _normalise(gradients: list[Tensor]) -> None:
    norms = torch._foreach_norm(gradients)
    torch._foreach_add_(norms, TINY)
    torch._foreach_div_(gradients, norms)


def moments(adam: torch.optim.Adam) -> list[tuple[Tensor, Tensor]]:
    """Returns the running means of the gradients and of their squares, tensor by tensor."""
    states = [adam.state[weight] for weight in adam.param_groups[0]["params"]]
    return [(state["exp_avg"], state["exp_avg_sq"]) for state in states]


def set_moments(
    adam: torch.optim.Adam, moments: Sequence[tuple[Tensor, Tensor]], steps: int
) -> None:
    """Sets the running means, which it keeps, and the number of steps made."""
    weights = adam.param_groups[0]["params"]
    for weight, (first, second) in zip(weights, moments, strict=True):
        step = torch.tensor(float(steps), device=weight.device)
        adam.state[weight] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
