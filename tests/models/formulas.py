"""The losses with every option, written from the text for one run, by torch.distributions."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
)

from mimsweep.models.data.loading import load
from mimsweep.models.layout import named_views
from mimsweep.models.losses.base import Noise, Objective
from mimsweep.models.nets.latent import LatentModel

DATA = load("toy4_3", Path())


def mixture(log_weight: Tensor, mean: Tensor, scale: Tensor) -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(logits=log_weight), Independent(Normal(mean, scale), 1))


def sample_of(law: Distribution, noise: Tensor) -> Tensor:
    """A reparameterised sample, of a mixture by the inverse distribution of its components."""
    if isinstance(law, MixtureSameFamily):
        ends = law.mixture_distribution.probs.cumsum(-1)
        chosen = torch.searchsorted(ends, noise[:, -1:].contiguous(), right=True)
        base = law.component_distribution.base_dist
        rows = torch.arange(len(noise))
        return base.loc[rows, chosen[:, 0]] + base.scale[rows, chosen[:, 0]] * noise[:, :-1]
    if isinstance(law.base_dist, Bernoulli):
        return law.base_dist.probs
    return law.mean + law.stddev * noise


class Naive:
    """One run, with plain torch modules and torch.distributions."""

    def __init__(self, model: LatentModel, row: Tensor) -> None:
        self.model, self.options = model, model.options
        views = named_views(row[None], model.shapes())
        self.weights = {name: view[0] for name, view in views.items()}

    def net(self, name: str, value: Tensor) -> Tensor:
        w = self.weights
        value = torch.tanh(nn.functional.linear(value, w[f"{name}.0.weight"], w[f"{name}.0.bias"]))
        return nn.functional.linear(value, w[f"{name}.1.weight"], w[f"{name}.1.bias"])

    def conditional(self, out: Tensor, dims: int, count: int, fixed: bool) -> Distribution:
        minimum = self.model.min_scale
        size = (count or 1) * dims
        mean = out[:, :size]
        scale = torch.full_like(mean, minimum) if fixed else out[:, size : 2 * size].exp() + minimum
        if not count:
            return Independent(Normal(mean, scale), 1)
        shape = (len(out), count, dims)
        return mixture(out[:, -count:], mean.view(shape), scale.view(shape))

    def q(self, x: Tensor) -> Distribution:
        fixed = self.model.fixed_encoder_scale
        return self.conditional(self.net("encoder", x), 2, self.options.q_zx_gmm, fixed)

    def p(self, z: Tensor) -> Distribution:
        out = self.net("decoder", z)
        if self.model.binary:
            minimum = self.model.min_scale
            probability = out.sigmoid().clamp(minimum, 1 - minimum)
            return Independent(Bernoulli(probability, validate_args=False), 1)
        return self.conditional(out, 3, self.options.p_xz_gmm, False)

    def learned(self, name: str, count: int) -> Distribution:
        w = self.weights
        mean, scale = w[f"{name}.mean"], w[f"{name}.log_scale"].exp() + self.model.min_scale
        if not count:
            return Independent(Normal(mean, scale), 1)
        log_weight = w[f"{name}.log_weight"]
        kept = log_weight >= log_weight.mean() - log_weight.std()
        return mixture(log_weight[kept], mean[kept], scale[kept])

    def pseudo(self, name: str, conditional: Any) -> Distribution:
        """The even mixture of the densities given each pseudo-input."""
        each = conditional(self.weights[f"{name}.inputs"])
        if isinstance(each, MixtureSameFamily):
            base = each.component_distribution.base_dist
            log_weight, mean, scale = (
                values.transpose(0, 1).flatten(0, 1)
                for values in (each.mixture_distribution.logits, base.loc, base.scale)
            )
            return mixture(log_weight, mean, scale)
        even = Categorical(torch.ones(len(each.mean)).double())
        return MixtureSameFamily(even, each, validate_args=False)

    def p_z(self) -> Distribution | None:
        match self.options.p_z:
            case "anchor":
                return Independent(Normal(torch.zeros(2).double(), torch.ones(2).double()), 1)
            case "prior":
                return self.learned("p_z", self.options.p_z_gmm)
            case "gmm-marginal":
                return self.pseudo("p_z", self.q)
        return None

    def q_x(self, x: Tensor) -> Tensor | None:
        match self.options.q_x:
            case "anchor":
                return DATA.log_prob(x)
            case "prior" if self.model.binary:
                minimum = self.model.min_scale
                p = self.weights["q_x.logits"].sigmoid().clamp(minimum, 1 - minimum)
                return Independent(Bernoulli(p, validate_args=False), 1).log_prob(x)
            case "prior":
                return self.learned("q_x", self.options.q_x_gmm).log_prob(x)
            case "gmm-marginal":
                return self.pseudo("q_x", self.p).log_prob(x)
        return None

    def anchor(self, noise: Tensor) -> Tensor:
        if not self.options.learn_p_z:
            return noise[:, :2]
        law = self.p_z()
        assert law is not None
        if isinstance(law, MixtureSameFamily):
            law = law.expand((len(noise),))
            base = law.component_distribution.base_dist
            ends = law.mixture_distribution.probs.cumsum(-1)
            chosen = torch.searchsorted(ends, noise[:, -1:].contiguous(), right=True)[:, 0]
            rows = torch.arange(len(noise))
            return (base.loc[rows, chosen] + base.scale[rows, chosen] * noise[:, :-1]).detach()
        return (law.mean + law.stddev * noise).detach()


def half_and_half(log_p: Tensor, log_q: Tensor) -> Tensor:
    return torch.stack([log_p, log_q]).logsumexp(0) - math.log(2)


def encoder_direction(run: Naive, x: Tensor, noise: Noise, beta: Tensor, case: Objective) -> Tensor:
    source, target = x[:, :3], x[:, -3:]
    q = run.q(source)
    z = sample_of(q, noise.z)
    log_px, log_qz = run.p(z).log_prob(target), q.log_prob(z)
    p_z = run.p_z()
    log_pz = log_qz if p_z is None else p_z.log_prob(z)
    log_qx = run.q_x(target)
    if log_qx is None:
        log_qx = log_px + log_pz - log_qz
    if case.loss == "ae":
        return -log_px
    if case.loss == "vae":
        loss = -log_px + beta * (log_qz - log_pz)
        return loss - (log_qz + log_qx) if case.inv_h else loss
    loss = -0.5 * (log_px + log_pz + beta * (log_qz + log_qx))
    if case.inv_h:
        loss = loss + beta * half_and_half(log_px + log_pz, log_qz + log_px)
    return loss


def decoder_direction(run: Naive, noise: Noise, beta: Tensor, case: Objective) -> Tensor:
    assert noise.anchor is not None
    z = run.anchor(noise.anchor)
    p = run.p(z)
    x = sample_of(p, noise.x)
    if run.model.binary:
        x = x.detach()
    q, log_px = run.q(x), p.log_prob(x)
    log_qz, log_qx = q.log_prob(z), run.q_x(x)
    if log_qx is None and case.q_x_samples == "conditional":
        log_qx = log_px
    elif log_qx is None:
        fresh = sample_of(q, noise.z_marginal)
        p_z = run.p_z()
        log_pz = q.log_prob(fresh) if p_z is None else p_z.log_prob(fresh)
        log_qx = run.p(fresh).log_prob(x) + log_pz - q.log_prob(fresh)
    p_z = run.p_z()
    log_pz = log_qz + log_qx - log_px if p_z is None else p_z.log_prob(z)
    loss = -0.5 * (log_px + log_pz + beta * (log_qz + log_qx))
    if case.inv_h:
        loss = loss + beta * half_and_half(log_px + log_pz, log_qz + log_px)
    if run.model.binary:
        loss = loss + loss.detach() * log_px - (loss * log_px).detach()
    return loss
