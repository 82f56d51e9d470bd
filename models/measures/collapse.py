"""How many latent dimensions are in use, and what they cost (arXiv 1509.00519, 1711.00464).

With means over the x of the test set, in nats but for variances:

- variance      of each dimension: Var_x E[z_d|x], z_d ~ q(z_d|x)
- active_units  how many of the variances are above 0.01
- kl            of each dimension: mean KL(q(z_d|x) ‖ N(0, 1)), of a Gaussian
                ½ (μ² + σ² − 1) − log σ; of a mixture, which has no closed form, by one sample
                log q(z_d|x) − log N(z_d; 0, 1)
- rate          mean KL(q(z|x) ‖ p(z)): Σ_d kl where q(z|x) is a Gaussian and p(z) is N(0, I);
                else by one sample, mean log q(z|x) − log p(z)

The variance is an average over x without the spread of q(z|x): of a dimension that has collapsed to
N(0, 1) it's 0. How far q(z) is from p(z) follows from rate and bounds: KL(q(z) ‖ p(z)) is
rate − I(x; z), so between rate − mi_upper and rate − mi_lower.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mimsweep.models.densities.mixture import Density, Mixture, mean_and_scale
from mimsweep.models.densities.normal import LOG_2PI, Normal

ACTIVE = 0.01
"""Variance of the mean from which on a dimension is in use."""

Profile = Mapping[str, list[float]]
"""Numbers of each latent dimension, by name: `kl` and `variance`."""


@dataclass(frozen=True)
class Measured:
    """All that is measured of a run: one number each, and of each latent dimension."""

    metrics: dict[str, float]
    profile: Profile


def profile(q: Density, z: Tensor) -> Profile:
    """Returns the numbers of each dimension.

    Args:
        q: q(z|x) of one run's N items.
        z: its samples, with shape (1, N, Z).
    """
    mean = mean_and_scale(q)[0][0].double()
    if isinstance(q, Normal):
        kl = kl_between_normals(q, Normal(torch.zeros_like(q.mean), 1.0))[0]
    else:
        assert isinstance(q, Mixture)
        kl = _log_marginals(q, z.double()) + 0.5 * (z[0].double().square() + LOG_2PI)
    return {"kl": kl.mean(0).tolist(), "variance": mean.var(0, correction=0).tolist()}


def active_units(profile: Profile) -> float:
    """Returns how many dimensions are in use; NaN if a variance is no number."""
    variances = profile["variance"]
    if any(map(math.isnan, variances)):
        return math.nan
    return float(sum(variance > ACTIVE for variance in variances))


def kl_between_normals(q: Normal, p: Normal) -> Tensor:
    """Returns KL(q ‖ p) of each feature alone, in nats, with the shape of their means, float64."""
    u = (q.mean - p.mean).double() / p.scale
    ratio = torch.as_tensor(q.scale).double() / p.scale
    return (0.5 * (u.square() + ratio.square() - 1) - ratio.log()).expand_as(u)


def _log_marginals(q: Mixture, z: Tensor) -> Tensor:
    """Returns log q(z_d|x) of each dimension alone, in nats, with shape (N, Z)."""
    assert isinstance(q.components, Normal)
    scale = torch.as_tensor(q.components.scale).double()
    u = (z.unsqueeze(1) - q.components.mean) / scale
    each = -0.5 * (u.square() + LOG_2PI) - scale.log()
    return torch.logsumexp(q.log_weight.double().unsqueeze(-1) + each, dim=1)[0]
