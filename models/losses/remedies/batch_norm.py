"""BN-VAE: batch norm of the posterior means, of fixed spread (Zhu et al., arXiv 2004.12585).

In a minibatch the means are normalised, each dimension by itself,

    μ'_j = γ (μ_j − m_j)/s_j + b_j,   s_j² = var μ_j + 10⁻⁵

with γ fixed and b learned, so that the mean of KL(q(z|x) ‖ p(z)) over the data is at least
½ Σ_j (γ² + b_j²). For b stands the bias of the encoder's last layer, which m takes out of μ: a
BN-VAE has the weights of a VAE.

q(z|x) must be of x alone once a run is measured. So its normalisation is folded into its last
layer: the rows of the means are scaled by γ/s, and their biases made γ(b − m)/s + b, with m and s
over the run's own training pass. What is measured, stored and drawn is then the encoder of a plain
VAE. Running averages would be one more state of a run, and lag behind its weights; statistics of
test minibatches would make an item's latent depend on the items beside it. In training, and in the
test loss that chooses the best epoch, statistics are the minibatch's own, without its padding: it
is the objective that is compared between epochs.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from mimsweep.models.densities.mixture import mean_and_scale
from mimsweep.models.densities.normal import Normal
from mimsweep.models.layout import Weights
from mimsweep.models.losses.base import Objective
from mimsweep.models.nets.mlp import Mlp

EPSILON = 1e-5
"""That of torch's and of the authors' batch norm."""


def normalised(objective: Objective, weights: Weights, q_z_given_x: Normal) -> Normal:
    """Returns q(z|x) of a minibatch with its means normalised, over (R, B, Z)."""
    mean = q_z_given_x.mean
    centre = mean[:, : objective.items].mean(1, keepdim=True)
    off = mean - centre
    variance = off[:, : objective.items].square().mean(1, keepdim=True)
    _, bias = _last(objective)
    shift = weights[bias][:, : mean.shape[-1]].unsqueeze(1)
    scale = objective.method.bn_gamma * (variance + EPSILON).rsqrt()
    return Normal(off * scale + shift, q_z_given_x.scale)


@torch.no_grad()
def folded(objective: Objective, weights: Weights, passes: Iterable[Tensor]) -> dict[str, Tensor]:
    """Returns the weights of one run with its normalisation in its encoder's last layer.

    Args:
        objective: what the run minimises.
        weights: a stack of one run.
        passes: the encoder's inputs in a training pass, each with shape (1, B, D).
    """
    model, (weight, bias) = objective.model, _last(objective)
    means = [mean_and_scale(model.encode(weights, x))[0][0, : objective.items] for x in passes]
    every = torch.cat(means).double()
    spread = objective.method.bn_gamma * (every.var(0, correction=0) + EPSILON).rsqrt()
    rows, shift = (weights[name].to(every.dtype, copy=True) for name in (weight, bias))
    z_dim = model.z_dim
    rows[:, :z_dim] *= spread.unsqueeze(-1)
    shift[:, :z_dim] += spread * (shift[:, :z_dim] - every.mean(0))
    return {**weights, weight: rows.to(weights[weight]), bias: shift.to(weights[bias])}


def _last(objective: Objective) -> tuple[str, str]:
    """Returns the names of weight and bias of the encoder's last layer."""
    encoder = objective.model.encoder
    assert isinstance(encoder, Mlp)
    layer = f"{encoder.name}.{encoder.layers - 1}"
    return f"{layer}.weight", f"{layer}.bias"
