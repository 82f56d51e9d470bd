"""The losses of the field's methods, written from their papers for one run and one minibatch."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from mimsweep.models.losses.base import Noise
from mimsweep.models.losses.method import Method
from tests.models.formulas import Naive


def prior_like(z: Tensor) -> Normal:
    return Normal(torch.zeros_like(z), torch.ones_like(z))


def parts(run: Naive, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and σ of q(z|x)."""
    out = run.net("encoder", x)
    z_dim = run.model.z_dim
    return out[:, :z_dim], out[:, z_dim:].exp() + run.model.min_scale


def elbo(run: Naive, x: Tensor, z: Tensor, q: Normal, beta: Tensor) -> Tensor:
    rate = (q.log_prob(z) - prior_like(z).log_prob(z)).sum(-1)
    return run.p(z).log_prob(x) - beta * rate


def beta_vae(run: Naive, x: Tensor, noise: Noise, beta: Tensor, method: Method) -> Tensor:
    mean, scale = parts(run, x)
    q = Normal(mean, scale)
    return -elbo(run, x, mean + scale * noise.z, q, beta).mean()


def free_bits(run: Naive, x: Tensor, noise: Noise, beta: Tensor, method: Method) -> Tensor:
    mean, scale = parts(run, x)
    q, z = Normal(mean, scale), mean + scale * noise.z
    divergence = kl_divergence(q, prior_like(mean)).mean(0)
    sampled = (q.log_prob(z) - prior_like(z).log_prob(z)).mean(0)
    rate = sum(
        sampled[j]
        if divergence[j] > method.free_bits
        else torch.tensor(method.free_bits, dtype=torch.float64)
        for j in range(run.model.z_dim)
    )
    return -run.p(z).log_prob(x).mean() + beta[0] * rate


def bn_vae(run: Naive, x: Tensor, noise: Noise, beta: Tensor, method: Method) -> Tensor:
    mean, scale = parts(run, x)
    z_dim = run.model.z_dim
    shift = run.weights["encoder.1.bias"][:z_dim]
    gamma = torch.full_like(shift, method.bn_gamma)
    mean = nn.functional.batch_norm(mean, None, None, gamma, shift, training=True, eps=1e-5)
    return -elbo(run, x, mean + scale * noise.z, Normal(mean, scale), beta).mean()


def kernel(a: Tensor, b: Tensor) -> Tensor:
    total = torch.zeros(()).double()
    for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10):
        constant = 2 * len(a) * scale
        total = total + constant / (constant + (a - b).square().sum())
    return total


def infovae(run: Naive, x: Tensor, noise: Noise, beta: Tensor, method: Method) -> Tensor:
    assert noise.anchor is not None
    mean, scale = parts(run, x)
    z, other = mean + scale * noise.z, noise.anchor
    n = len(z)
    apart = [(i, j) for i in range(n) for j in range(n) if i != j]
    squared = torch.stack([kernel(z[i], z[j]) + kernel(other[i], other[j]) for i, j in apart])
    across = torch.stack([kernel(a, b) for a in z for b in other])
    mmd = squared.mean() - 2 * across.mean()
    return -elbo(run, x, z, Normal(mean, scale), beta).mean() + method.mmd * mmd


def iwae(run: Naive, x: Tensor, noise: Noise, beta: Tensor, method: Method) -> Tensor:
    mean, scale = parts(run, x)
    q = Normal(mean, scale)
    weights = [elbo(run, x, mean + scale * each, q, beta).exp() for each in noise.z]
    return -torch.stack(weights).mean(0).log().mean()


def cmim(run: Naive, x: Tensor, noise: Noise, beta: Tensor, method: Method) -> Tensor:
    mean, scale = parts(run, x)
    q, z = Independent(Normal(mean, scale), 1), mean + scale * noise.z
    losses = []
    for i in range(len(z)):
        similar = torch.cosine_similarity(z[i : i + 1], z, dim=-1) / method.temperature
        own = similar[i].exp()
        others = torch.cat([similar[:i], similar[i + 1 :]]).exp().mean()
        log_p_k = (own / (own + others)).log()
        log_p_x = run.p(z).log_prob(x)[i]
        log_p_z = prior_like(z[i]).log_prob(z[i]).sum()
        log_q = q.log_prob(z)[i]
        p, q_x = log_p_x + log_p_z + log_p_k, log_q + log_p_x + log_p_k
        losses.append(-0.5 * (p + beta[0] * q_x))
    return torch.stack(losses).mean()


Formula = Callable[[Naive, Tensor, Noise, Tensor, Method], Tensor]

FORMULAS: dict[str, tuple[str, Method, Formula]] = {
    "beta": ("vae", Method(beta_end=4.0), beta_vae),
    "no beta": ("vae", Method(beta_end=0.0), beta_vae),
    "cycles": ("vae", Method(cycles=3), beta_vae),
    "free bits": ("vae", Method(free_bits=0.2), free_bits),
    "all bits free": ("vae", Method(free_bits=50.0), free_bits),
    "few bits free": ("vae", Method(free_bits=1e-3), free_bits),
    "batch norm": ("vae", Method(bn_gamma=0.7), bn_vae),
    "InfoVAE": ("vae", Method(beta_end=0.3, mmd=10.0), infovae),
    "WAE": ("vae", Method(beta_end=0.0, mmd=100.0), infovae),
    "importance weights": ("vae", Method(importance_samples=5), iwae),
    "cMIM": ("cmim", Method(), cmim),
    "cMIM, warm": ("cmim", Method(temperature=2.0), cmim),
}
"""Of each name a model, its settings and the formula."""

LOG_2 = math.log(2)
