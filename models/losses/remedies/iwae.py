"""The importance-weighted auto-encoder (Burda et al., arXiv 1509.00519, eq. 8).

By K samples z_k ~ q(z|x) it bounds log p(x) more tightly than the ELBO, which it is with K = 1:

    −log 1/K Σ_k exp(log p(x|z_k) − β (log q(z_k|x) − log p(z_k)))

The paper has β = 1; below, while it is annealed, the weights are tempered as VAE's divergence is.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def importance_weighted(loss: Callable[[Tensor], Tensor], noise: Tensor) -> Tensor:
    """Returns the negative bound of each item, in nats, with shape (R, B).

    Args:
        loss: VAE's of one sample, the negative logarithm of its weight, with shape (R, B), by its
            noise with shape (R, B, ·).
        noise: of K samples, with shape (R, K, B, ·).
    """
    losses = torch.stack([loss(each) for each in noise.unbind(1)])
    return math.log(len(losses)) - (-losses).logsumexp(0)
