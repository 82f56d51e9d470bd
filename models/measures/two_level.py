"""How much of an image the latents of a two-level model hold, and which of their dimensions.

With z = (z1, z2), q(z|x) = q(z2|x) q(z1|x, z2), p(z) = p(z1|z2) p(z2): what is told by
`models.measures.bounds` and `models.measures.collapse`, in nats, dimensions of z1 first. But:

- kl        of z1 mean KL(q(z1_d|x, z2) ‖ p(z1_d|z2)), z2 ~ q(z2|x); of z2 mean
            KL(q(z2_d|x) ‖ N(0, 1)), whatever p(z2) is
- variance  of z1 by two samples of z2 for each x: the covariance over x of E[z1_d|x, z2] at the one
            and at the other is Var_x E[z1_d|x]
- rate      mean log q(z|x) − log p(z), by one sample, as the distortion, −mean log p(x|z), is
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from mimsweep.models.densities.normal import Normal
from mimsweep.models.densities.vampprior import Prior
from mimsweep.models.measures.bounds import summary, sums_of_rows
from mimsweep.models.measures.collapse import Measured, active_units, kl_between_normals
from mimsweep.models.nets.hvae import TwoLevel
from mimsweep.models.streams import generator

AT_ONCE = {"cpu": 250, "cuda": 2_500}
"""Images, or samples of them, that a network sees at once, by kind of device."""

PAIRS_AT_ONCE = 100
"""So many times as many pairs of z_i and x_j: they pass no convolution."""


def noise_of_z(count: int, z_dim: int, split: str, seed: int) -> tuple[Tensor, Tensor]:
    """Returns the noise of z2 and of z1 of a split's images, each with shape (N, Z)."""
    noise = torch.randn(count, 2, z_dim, generator=generator("latents", split, seed))
    return noise[:, 0], noise[:, 1]


def batches(net: TwoLevel, *tensors: Tensor) -> Iterator[list[Tensor]]:
    """Yields what a network sees at once of tensors with shape (N, ·), float32, on its device."""
    device = next(net.parameters()).device
    for parts in zip(*(tensor.split(AT_ONCE[device.type]) for tensor in tensors), strict=True):
        yield [part.to(device).float() for part in parts]


@torch.no_grad()
def latents_used(net: TwoLevel, x: Tensor, seed: int) -> Measured:
    """Returns the bounds of I(x; z), what z costs, and the numbers of each dimension.

    Args:
        net: the model, in evaluation mode.
        x: bits of the test set, with shape (N, 784).
        seed: of the run.
    """
    noise = noise_of_z(len(x), net.z_dim, "test", seed)
    again, _ = noise_of_z(len(x), net.z_dim, "test again", seed)
    prior = net.prior()
    parts = [_of_images(net, prior, *batch) for batch in batches(net, x, *noise, again)]
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def log_density(rows: slice) -> Tensor:
        return _log_density(net, found, rows)

    at_once = max(1, PAIRS_AT_ONCE * AT_ONCE[found["z2"].device.type] // len(x))
    bounds = summary(sums_of_rows(log_density, len(x), at_once))
    mean, other = (found[name] - found[name].mean(0) for name in ("mean", "mean_again"))
    variance = (mean * other).double().mean(0)
    profile = {"kl": found["kl"].double().mean(0).tolist(), "variance": variance.tolist()}
    costs = {name: float(found[name].double().mean()) for name in ("rate", "distortion")}
    return Measured({**bounds, **costs, "active_units": active_units(profile)}, profile)


def _of_images(
    net: TwoLevel, prior: Prior, x: Tensor, z2_noise: Tensor, z1_noise: Tensor, again: Tensor
) -> dict[str, Tensor]:
    """Returns of each image what its latents are and cost, and what tells their densities.

    Args:
        net: the model.
        prior: its p(z2).
        x: with shape (B, 784).
        z2_noise: with shape (B, Z).
        z1_noise: with shape (B, Z).
        again: of another z2, with shape (B, Z).
    """
    q_z2, features = net.q_z2(x), net.features(x)
    z2 = q_z2.sample(z2_noise)
    q_z1, p_z1 = net.q_z1(features, z2), net.p_z1(z2)
    z1 = q_z1.sample(z1_noise)
    log_q_z = q_z2.log_prob_of_sample(z2_noise) + q_z1.log_prob_of_sample(z1_noise)
    q_z1_again = net.q_z1(features, q_z2.sample(again))
    kl = [kl_between_normals(q_z1, p_z1), kl_between_normals(q_z2, Normal(0 * q_z2.mean, 1.0))]
    return {
        "z1": z1,
        "z2": z2,
        "features": features,
        "z2_mean": q_z2.mean,
        "z2_scale": torch.as_tensor(q_z2.scale),
        "rate": log_q_z - p_z1.log_prob(z1) - prior.log_prob(z2),
        "distortion": -net.p_x(z1, z2, x).log_prob(x),
        "kl": torch.cat(kl, dim=1),
        "mean": torch.cat([q_z1.mean, q_z2.mean], dim=1),
        "mean_again": torch.cat([q_z1_again.mean, q_z2.mean], dim=1),
    }


def _log_density(net: TwoLevel, found: dict[str, Tensor], rows: slice) -> Tensor:
    """Returns log q(z_i|x_j) of some i and all j in nats, with shape (n, N)."""
    z1, z2 = found["z1"][rows, None], found["z2"][rows, None]
    features = found["features"].expand(len(z2), -1, -1)
    log_q_z2 = Normal(found["z2_mean"], found["z2_scale"]).log_prob(z2)
    q_z1 = net.q_z1(features, z2.expand(-1, features.shape[1], -1))
    return log_q_z2 + q_z1.log_prob(z1)
