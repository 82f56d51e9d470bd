"""Losses in all options of p(z), q(x) and conditional mixtures, against torch.distributions.

One run at a time, in float64, every formula of experiments.md sections 2 and 3 written out.
"""

from dataclasses import fields, replace
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
)

from mimsweep.models.layout import named_views, padded
from mimsweep.models.losses.base import Noise, Objective
from mimsweep.models.losses.named import objective as make_objective
from mimsweep.models.losses.score_function import with_score
from mimsweep.models.nets.latent import LatentModel, Options
from mimsweep.models.nets.linear import initial_weights
from tests.models.formulas import DATA, Naive, decoder_direction, encoder_direction

MODEL = LatentModel(3, 2, 4, 2, "tanh", 0.05, log_p_x=DATA.log_prob)
RUNS, ITEMS = 2, 5
BETA = torch.tensor([[0.25], [1.0]], dtype=torch.float64)

OPTIONS = [
    Options(),
    Options(p_z="prior"),
    Options(p_z="prior", learn_p_z=True),
    Options(p_z="prior", p_z_gmm=6),
    Options(p_z="prior", p_z_gmm=6, learn_p_z=True),
    Options(p_z="gmm-marginal", p_z_gmm=3),
    Options(p_z="gmm-marginal", p_z_gmm=3, q_zx_gmm=2, learn_p_z=True),
    Options(p_z="marginal"),
    Options(p_z="marginal", q_x="prior"),
    Options(q_x="anchor"),
    Options(q_x="prior"),
    Options(q_x="prior", q_x_gmm=6),
    Options(q_x="gmm-marginal", q_x_gmm=3),
    Options(q_x="gmm-marginal", q_x_gmm=3, p_xz_gmm=2),
    Options(q_zx_gmm=3),
    Options(p_xz_gmm=3),
]


def weights_of(model: LatentModel) -> Tensor:
    items = torch.randn(7, 3)
    rows = [
        initial_weights(model.shapes(), seed, model.starts(seed, lambda: items))
        for seed in range(RUNS)
    ]
    flat = torch.cat(rows).double()
    return (flat + 0.3 * torch.randn_like(flat)).requires_grad_()


def noise_of(case: Objective) -> Noise:
    """Noise as `Sampler` makes it: padded, feature-major, uniform in the last feature."""
    drawn = {}
    for field in case.noise_names(decoder_samples=True):
        features = 3 if field == "x" else 2
        value = torch.randn(RUNS, features, padded(ITEMS)).double()
        if field in case.model.choices:
            value = torch.cat([value, torch.rand(RUNS, 1, padded(ITEMS)).double()], 1)
        drawn[field] = value.mT
    return Noise(**drawn)


def assert_equals_formulas(case: Objective, x: Tensor) -> None:
    noise, flat = noise_of(case), weights_of(case.model)
    value = case(named_views(flat, case.model.shapes()), x, noise, BETA)
    ours = value.objective(ITEMS)
    (gradient,) = torch.autograd.grad(ours.sum(), [flat])
    for run in range(RUNS):
        row = flat[run].detach().requires_grad_()
        naive = Naive(case.model, row)
        values = {f.name: getattr(noise, f.name) for f in fields(Noise)}
        own = Noise(**{k: None if v is None else v[run, :ITEMS] for k, v in values.items()})
        expected = encoder_direction(naive, x[run, :ITEMS], own, BETA[run], case).mean()
        if case.loss == "mim":
            expected = expected + decoder_direction(naive, own, BETA[run], case).mean()
        torch.testing.assert_close(ours[run], expected, rtol=1e-10, atol=1e-10)
        (grad,) = torch.autograd.grad(expected, [row])
        torch.testing.assert_close(gradient[run], grad, rtol=1e-8, atol=1e-9)


def items_of(features: int = 3) -> Tensor:
    return torch.rand(RUNS, features, padded(ITEMS)).double().mT


CASES = [
    *product(["mim"], [False, True], ["conditional", "marginal"]),
    *product(["amim", "vae"], [False, True], ["conditional"]),
    ("ae", False, "conditional"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("loss", "inv_h", "q_x_samples"), CASES)
def test_losses_and_gradients_equal_the_formulas(
    options: Options, loss: str, inv_h: bool, q_x_samples: str
) -> None:
    torch.manual_seed(OPTIONS.index(options))
    model = replace(MODEL, options=options, fixed_encoder_scale=loss == "ae")
    assert_equals_formulas(make_objective(loss, model, inv_h, q_x_samples), items_of())


@pytest.mark.parametrize("options", [Options(), Options(q_x="prior"), Options(q_zx_gmm=2)], ids=str)
@pytest.mark.parametrize("loss", ["mim", "amim", "vae", "ae"])
def test_pairs_are_input_and_target(options: Options, loss: str) -> None:
    torch.manual_seed(3)
    model = replace(MODEL, options=options, fixed_encoder_scale=loss == "ae")
    assert_equals_formulas(make_objective(loss, model, pairs=True), items_of(6))


BINARY = [
    Options(),
    Options(q_x="prior"),
    Options(q_x="gmm-marginal", q_x_gmm=3),
    Options(p_z="gmm-marginal", p_z_gmm=3),
    Options(q_zx_gmm=2),
]


@pytest.mark.parametrize("options", BINARY, ids=str)
@pytest.mark.parametrize(("loss", "inv_h", "q_x_samples"), CASES)
def test_bits(options: Options, loss: str, inv_h: bool, q_x_samples: str) -> None:
    torch.manual_seed(4)
    model = replace(MODEL, options=options, fixed_encoder_scale=loss == "ae", binary=True)
    assert_equals_formulas(make_objective(loss, model, inv_h, q_x_samples), items_of())


def test_score_function_has_the_value_of_the_loss_and_the_gradient_of_drawing() -> None:
    """Of E_b~p[f(b)], with b one bit: summed over b by hand."""
    logit = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    bits, f = torch.tensor([0.0, 1.0]).double(), torch.tensor([2.0, -5.0]).double()
    log_p = Bernoulli(logits=logit).log_prob(bits)
    value = with_score(f, log_p)
    torch.testing.assert_close(value.detach(), f)
    (gradient,) = torch.autograd.grad(
        (log_p.exp().detach() * value).sum(), logit, retain_graph=True
    )
    (exact,) = torch.autograd.grad((log_p.exp() * f).sum(), logit)
    torch.testing.assert_close(gradient, exact)
