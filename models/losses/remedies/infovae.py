"""InfoVAE (Zhao et al., arXiv 1706.02262), and WAE-MMD (Tolstikhin et al., arXiv 1711.01558).

InfoVAE weighs two divergences,

    −log p(x|z) + (1 − α) KL(q(z|x) ‖ p(z)) + (α + λ − 1) D(q(z), p(z))

the second between the aggregate posterior and p(z). Here 1 − α is β, and `mmd` the weight of
D = MMD², whole from the first epoch on; with β = 0 it is WAE-MMD. The kernel is the inverse
multi-quadratic, for which WAE's authors argue in their section 4, summed over seven scales s as
their code does (tolstikhin/wae, wae.py):

    k(a, b) = Σ_s C_s / (C_s + ‖a − b‖²),   C_s = 2Z·s,   s = 0.1, 0.2, 0.5, 1, 2, 5, 10

MMD² is estimated without bias from the minibatch's z ~ q(z|x) and as many z' ~ p(z): the mean of k
over pairs of different z, and of different z', less twice the mean over all pairs of a z and a z'.
It can be below 0.
"""

import torch
from torch import Tensor

from mimsweep.models.losses.remedies.multiquadric import KernelSums

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def mmd(z: Tensor, prior: Tensor, items: int) -> Tensor:
    """Returns MMD² between samples, with shape (R, 1).

    Args:
        z: of q(z), with shape (R, B, Z).
        prior: of p(z), with shape (R, B, Z).
        items: how many of B count, at least 2.
    """
    z, prior = z[:, :items], prior[:, :items]
    within = _within(z) + _within(prior)
    across = _sums(z, prior) / items**2
    return (within - 2 * across).unsqueeze(-1)


def _within(z: Tensor) -> Tensor:
    """Returns the mean of the kernel over pairs of different samples, with shape (R,)."""
    items = z.shape[1]
    same = items * len(SCALES)
    return (_sums(z, None) - same) / (items * (items - 1))


def _sums(z: Tensor, others: Tensor | None) -> Tensor:
    """Returns the sum of k over pairs of z and other samples, or each other, with shape (R,)."""
    constants = [2 * z.shape[-1] * scale for scale in SCALES]
    if z.device.type == "cpu":
        sums: Tensor = KernelSums.apply(z, others, constants)
        return sums
    others = z if others is None else others
    squares = z.square().sum(-1).unsqueeze(-1) + others.square().sum(-1).unsqueeze(-2)
    squared = (squares - 2 * z @ others.mT).clamp(min=0)
    return torch.stack([(c / (c + squared)).sum((-2, -1)) for c in constants]).sum(0)
