"""Bounds of the mutual information I(x; z) by the encoder's density (arXiv 1905.06922).

Of N pairs, z_i ~ q(z|x_i), all in nats but `retrieval`, a share:

- mi_lower   mean log q(z_i|x_i) − log 1/N Σ_j q(z_i|x_j); never above mi_lower_ceiling, log N
- mi_upper   mean log q(z_i|x_i) − log 1/(N−1) Σ_{j≠i} q(z_i|x_j)
- retrieval  how often q(z_i|x_j) of no j ≠ i is as large as q(z_i|x_i)

In expectation I(x; z) lies between the two, for any q(z|x) and without an estimate of a density:
the marginal q(z) is that of the N items. Where I(x; z) is beyond log N the lower one stays below
it, and the upper one says little: few z_i have another x_j nearby. Where latents collapse to one
point both are 0, as `retrieval` is, in which equals don't count.

z_i is drawn here, in float64: the float32 that a network would see at μ = 50 can't tell σ = 10⁻⁶
from 0. So the bounds are those of the channel q(z|x) with its σ, of an auto-encoder too.
"""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mimsweep.models.densities.mixture import Mixture
from mimsweep.models.densities.normal import Normal
from mimsweep.models.measures import tiles
from mimsweep.models.measures.pairs import Sums, sums_of_gaussians


class Conditional(Protocol):
    """q(z|x) of N items x, which are the axis before the last."""

    def sample(self, noise: Tensor) -> Tensor:
        """Returns z_i ~ q(z|x_i), with shape (1, N, Z)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns log q(z_i|x_j) in nats, (n, N), of z with shape (n, N, Z)."""


@torch.no_grad()
def information(q: Conditional, noise: Tensor) -> dict[str, float]:
    """Returns the bounds and the retrieval of all items against all.

    On a CPU the sums of Gaussians, and of mixtures of them, are compiled loops. Else the density,
    theirs in float64, is asked of some z_i and all x_j at once.

    Args:
        q: of one run's N >= 2 items.
        noise: of its samples, with shape (1, N, ·).
    """
    return summary(sums_of(q, noise))


def summary(sums: Sums) -> dict[str, float]:
    """Returns the bounds and the retrieval by what the densities at each z_i come to."""
    own, others, likeliest = sums
    with np.errstate(invalid="ignore"):  # of latents that are no numbers the bounds are none
        lower = own - np.logaddexp(own, others) + math.log(len(own))
        upper = own - others + math.log(len(own) - 1)
    return {
        "mi_lower": float(lower.mean()),
        "mi_lower_ceiling": math.log(len(own)),
        "mi_upper": float(upper.mean()),
        "retrieval": float(np.mean(own > likeliest)),
    }


def sums_of(q: Conditional, noise: Tensor) -> Sums:
    """Returns what the densities at each z_i come to; arguments as for `information`."""
    z = q.sample(noise.double())[0]
    found = _gaussians(q)
    if found is None:
        return _sums_of_density(q, z, z.numel())
    log_weight, mean, scale = found
    if tiles.on_gpu(z):
        return _sums_of_density(Mixture(log_weight, Normal(mean, scale)), z, mean.numel())
    arrays = (tensor.contiguous().numpy() for tensor in (z, log_weight[0], mean[0], scale[0]))
    return sums_of_gaussians(*arrays)


def sums_of_rows(log_density: Callable[[slice], Tensor], count: int, at_once: int) -> Sums:
    """Returns what the densities at each z_i come to.

    Args:
        log_density: returns log q(z_i|x_j) in nats, with shape (n, N), of the i in a slice.
        count: N.
        at_once: n, so many rows are computed at once.
    """
    parts = []
    for start in range(0, count, at_once):
        each = log_density(slice(start, min(start + at_once, count))).double()
        itself = each.diagonal(start)
        own = itself.clone()
        itself.fill_(-math.inf)
        parts.append(torch.stack([own, each.logsumexp(1), each.amax(1)]))
    return Sums(*torch.cat(parts, dim=1).cpu().numpy())


def _sums_of_density(q: Conditional, z: Tensor, numbers: int) -> Sums:
    """Returns the sums over all pairs.

    Args:
        q: of N items.
        z: with shape (N, Z).
        numbers: so many are computed of each z_i.
    """

    def rows(chosen: slice) -> Tensor:
        return q.log_prob(z[chosen, None].expand(-1, len(z), -1))

    return sums_of_rows(rows, len(z), tiles.rows_at_once(numbers, z.device))


def _gaussians(q: Conditional) -> tuple[Tensor, Tensor, Tensor] | None:
    """Returns log w, with shape (1, K, N), μ and σ, with shape (1, K, N, Z), in float64.

    K is 1 for a Gaussian; None if the density is no mixture of Gaussians.
    """
    normal = q.components if isinstance(q, Mixture) else q
    if not isinstance(normal, Normal):
        return None
    mean = normal.mean.double()
    scale = torch.as_tensor(normal.scale, dtype=mean.dtype, device=mean.device).expand_as(mean)
    if isinstance(q, Mixture):
        return q.log_weight.double(), mean, scale
    return mean.new_zeros(1, 1, mean.shape[1]), mean[:, None], scale[:, None]
