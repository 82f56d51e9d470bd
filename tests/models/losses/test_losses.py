"""Losses against formulas written out with torch.distributions, run by run, in float64."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from mimsweep.models.layout import flat_size, named_views, padded
from mimsweep.models.losses.base import Loss, Noise, Objective
from mimsweep.models.losses.named import LOSSES
from mimsweep.models.losses.named import objective as make_objective
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.nets.linear import initial_weights

MODEL = LatentModel(x_dim=3, z_dim=2, mid_dim=4, layers=2, act="swish", min_scale=0.05)
RUNS, ITEMS = 3, 5
BETA = torch.tensor([[0.25], [0.5], [1.0]], dtype=torch.float64)

CASES = [
    *product(["mim"], [False, True], ["conditional", "marginal"], [False, True]),
    *product(["amim", "vae"], [False, True], ["conditional"], [False]),
    ("ae", False, "conditional", False),
]
"""(loss, inv_h, q_x_samples, whether on decoder samples too)"""


def objective(loss: str, inv_h: bool = False, q_x_samples: str = "conditional") -> Objective:
    model = replace(MODEL, fixed_encoder_scale=loss == "ae")
    return make_objective(loss, model, inv_h, q_x_samples)


def weights_of(model: LatentModel) -> Tensor:
    rows = [initial_weights(model.shapes(), seed) for seed in range(RUNS)]
    return (1.5 * torch.cat(rows).double()).requires_grad_()


def batch_of(names: tuple[str, ...], items: int = ITEMS) -> tuple[Tensor, Noise]:
    torch.manual_seed(8)
    size = padded(items)
    x = torch.zeros(RUNS, 3, size, dtype=torch.float64).mT
    x[:, :items] = torch.randn(RUNS, items, 3, dtype=torch.float64)
    drawn = {
        field.name: torch.randn(
            RUNS, 3 if field.name == "x" else 2, size, dtype=torch.float64
        ).mT  # drawn in any case, so that equal names have equal noise
        for field in fields(Noise)
    }
    return x, Noise(**{name: drawn[name] for name in names})


class Naive:
    """One run, with plain torch modules and torch.distributions."""

    def __init__(self, model: LatentModel, row: Tensor) -> None:
        self.model = model
        self.weights = {
            name: view[0] for name, view in named_views(row[None], model.shapes()).items()
        }

    def net(self, name: str, value: Tensor) -> Tensor:
        for layer in range(self.model.layers):
            if layer:
                value = nn.functional.silu(value)
            value = nn.functional.linear(
                value,
                self.weights[f"{name}.{layer}.weight"],
                self.weights[f"{name}.{layer}.bias"],
            )
        return value

    def q(self, x: Tensor) -> Independent:
        out = self.net("encoder", x)
        if self.model.fixed_encoder_scale:
            return Independent(Normal(out, self.model.min_scale), 1)
        return Independent(Normal(out[:, :2], out[:, 2:].exp() + self.model.min_scale), 1)

    def p(self, z: Tensor) -> Independent:
        out = self.net("decoder", z)
        return Independent(Normal(out[:, :3], out[:, 3:].exp() + self.model.min_scale), 1)

    def prior(self, z: Tensor) -> Tensor:
        return Independent(Normal(torch.zeros_like(z), torch.ones_like(z)), 1).log_prob(z)


def reparameterised(distribution: Independent, noise: Tensor) -> Tensor:
    return distribution.mean + distribution.stddev * noise


def half_and_half(log_p: Tensor, log_q: Tensor) -> Tensor:
    return torch.stack([log_p, log_q]).logsumexp(0) - math.log(2)


def naive_vae(run: Naive, x: Tensor, noise: Noise, beta: Tensor, case: Objective) -> Tensor:
    q = run.q(x)
    z = reparameterised(q, noise.z)
    log_px, log_pz, log_qz = run.p(z).log_prob(x), run.prior(z), q.log_prob(z)
    loss = -log_px + beta * (log_qz - log_pz)
    if case.inv_h:
        log_qx = log_px + log_pz - log_qz
        loss = loss - (log_qz + log_qx)
    return loss.mean()


def naive_ae(run: Naive, x: Tensor, noise: Noise, beta: Tensor, case: Objective) -> Tensor:
    z = reparameterised(run.q(x), noise.z)
    return -run.p(z).log_prob(x).mean()


def naive_amim(run: Naive, x: Tensor, noise: Noise, beta: Tensor, case: Objective) -> Tensor:
    q = run.q(x)
    z = reparameterised(q, noise.z)
    log_px, log_pz, log_qz = run.p(z).log_prob(x), run.prior(z), q.log_prob(z)
    log_qx = log_px + log_pz - log_qz
    loss = -0.5 * (log_px + log_pz + beta * (log_qz + log_qx))
    if case.inv_h:
        loss = loss + beta * half_and_half(log_px + log_pz, log_qz + log_px)
    return loss.mean()


def naive_mim(run: Naive, x: Tensor, noise: Noise, beta: Tensor, case: Objective) -> Tensor:
    loss = naive_amim(run, x, noise, beta, case)
    if noise.anchor is None:
        return loss
    z = noise.anchor
    p = run.p(z)
    sample = reparameterised(p, noise.x)
    log_px, log_pz = p.log_prob(sample), run.prior(z)
    q = run.q(sample)
    log_qz = q.log_prob(z)
    log_qx = log_px
    if case.q_x_samples == "marginal":
        fresh = reparameterised(q, noise.z_marginal)
        log_qx = run.p(fresh).log_prob(sample) + run.prior(fresh) - q.log_prob(fresh)
    decoder = -0.5 * (log_px + log_pz + beta * (log_qz + log_qx))
    if case.inv_h:
        decoder = decoder + beta * half_and_half(log_px + log_pz, log_qz + log_px)
    return loss + decoder.mean()


NAIVE: dict[str, Callable[[Naive, Tensor, Noise, Tensor, Objective], Tensor]] = {
    "mim": naive_mim,
    "amim": naive_amim,
    "vae": naive_vae,
    "ae": naive_ae,
}


def of_run(noise: Noise, run: int) -> Noise:
    values = {field.name: getattr(noise, field.name) for field in fields(Noise)}
    return Noise(**{k: None if v is None else v[run, :ITEMS] for k, v in values.items()})


@pytest.mark.parametrize(("loss", "inv_h", "q_x_samples", "decoder_samples"), CASES)
def test_losses_and_gradients_equal_the_formulas(
    loss: str, inv_h: bool, q_x_samples: str, decoder_samples: bool
) -> None:
    case = objective(loss, inv_h, q_x_samples)
    x, noise = batch_of(case.noise_names(decoder_samples))
    flat = weights_of(case.model)
    value = case(named_views(flat, case.model.shapes()), x, noise, BETA)
    ours = value.objective(ITEMS)
    assert ours.shape == (RUNS,)
    (gradient,) = torch.autograd.grad(ours.sum(), [flat])
    for run in range(RUNS):
        row = flat[run].detach().requires_grad_()
        net = Naive(case.model, row)
        expected = NAIVE[loss](net, x[run, :ITEMS], of_run(noise, run), BETA[run], case)
        torch.testing.assert_close(ours[run], expected, rtol=1e-10, atol=1e-10)
        (grad,) = torch.autograd.grad(expected, [row])
        torch.testing.assert_close(gradient[run], grad, rtol=1e-9, atol=1e-10)
    reported = value.reported(ours)
    torch.testing.assert_close(reported, ours / 2 if decoder_samples else ours)


@pytest.mark.parametrize(("loss", "inv_h", "q_x_samples", "decoder_samples"), CASES)
def test_padding_does_not_matter(
    loss: str, inv_h: bool, q_x_samples: str, decoder_samples: bool
) -> None:
    case = objective(loss, inv_h, q_x_samples)
    x, noise = batch_of(case.noise_names(decoder_samples))
    flat = weights_of(case.model)
    results = []
    for filling in (0.0, 2.0):
        x[:, ITEMS:] = filling
        views = named_views(flat, case.model.shapes())
        value = case(views, x, noise, BETA).objective(ITEMS)
        results.append((value, torch.autograd.grad(value.sum(), [flat])[0]))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-13, atol=0)


@pytest.mark.parametrize(("loss", "inv_h", "q_x_samples", "decoder_samples"), CASES)
def test_runs_do_not_touch_each_other(
    loss: str, inv_h: bool, q_x_samples: str, decoder_samples: bool
) -> None:
    case = objective(loss, inv_h, q_x_samples)
    x, noise = batch_of(case.noise_names(decoder_samples))
    flat = weights_of(case.model)
    value = case(named_views(flat, case.model.shapes()), x, noise, BETA).objective(ITEMS)
    for run in range(RUNS):
        (gradient,) = torch.autograd.grad(value[run], [flat], retain_graph=True)
        others = [other for other in range(RUNS) if other != run]
        assert not gradient[others].any()
        assert gradient[run].any()


def test_inverted_entropy_prior_of_mim_vanishes_with_beta() -> None:
    x, noise = batch_of(("z", "anchor", "x"))
    for loss in ("mim", "amim"):
        plain, inverted = objective(loss), objective(loss, inv_h=True)
        views = named_views(weights_of(MODEL), MODEL.shapes())
        nothing = torch.zeros_like(BETA)
        torch.testing.assert_close(
            inverted(views, x, noise, nothing).objective(ITEMS),
            plain(views, x, noise, nothing).objective(ITEMS),
        )


def test_two_directions_are_added_and_their_mean_reported() -> None:
    encoder, decoder = torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[10.0, 20.0, 99.0]])
    both, one = Loss(encoder, decoder), Loss(encoder)
    assert both.objective(2).tolist() == [17.0]
    assert both.reported(both.objective(2)).tolist() == [8.5]
    assert one.objective(2).tolist() == [2.0]
    assert one.reported(one.objective(2)).tolist() == [2.0]


@pytest.mark.parametrize("loss", ["amim", "vae", "ae"])
def test_one_direction(loss: str) -> None:
    case = objective(loss)
    x, noise = batch_of(("z", "anchor", "x"))
    views = named_views(weights_of(case.model), case.model.shapes())
    assert case(views, x, noise, BETA).decoder is None


def test_mim_without_decoder_samples_is_amim() -> None:
    x, noise = batch_of(("z",))
    views = named_views(weights_of(MODEL), MODEL.shapes())
    mim = objective("mim")(views, x, noise, BETA)
    assert mim.decoder is None
    assert torch.equal(mim.encoder, objective("amim")(views, x, noise, BETA).encoder)


@pytest.mark.parametrize(
    ("loss", "q_x_samples", "decoder_samples", "names"),
    [
        ("mim", "conditional", False, ("z",)),
        ("mim", "marginal", False, ("z",)),
        ("mim", "conditional", True, ("z", "anchor", "x")),
        ("mim", "marginal", True, ("z", "anchor", "x", "z_marginal")),
        *[(loss, q, d, ("z",)) for loss in ("amim", "vae", "ae") for q in ("conditional",)
          for d in (False, True)],
    ],
)  # fmt: skip
def test_noise_names(
    loss: str, q_x_samples: str, decoder_samples: bool, names: tuple[str, ...]
) -> None:
    case = objective(loss, q_x_samples=q_x_samples)
    assert case.noise_names(decoder_samples) == names
    assert flat_size(case.model.shapes()) % 32 == 0


def test_beta_is_annealed_but_for_the_auto_encoder() -> None:
    for loss in LOSSES:
        beta = [objective(loss).beta(4, epoch) for epoch in (1, 2, 4, 5)]
        assert beta == ([0, 0, 0, 0] if loss == "ae" else [0.25, 0.5, 1, 1])


def test_auto_encoder_ignores_beta() -> None:
    case = objective("ae")
    x, noise = batch_of(("z",))
    views = named_views(weights_of(case.model), case.model.shapes())
    assert torch.equal(case(views, x, noise, BETA).encoder, case(views, x, noise, 0 * BETA).encoder)
