"""Losses of the field's methods, against their formulas in float64; and their limits."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mimsweep.models.layout import named_views, padded
from mimsweep.models.losses.base import Noise, Objective
from mimsweep.models.losses.cmim import log_p_own
from mimsweep.models.losses.method import Method
from mimsweep.models.losses.named import objective as make_objective
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.nets.linear import initial_weights
from tests.models.formulas import DATA, Naive
from tests.models.methods import FORMULAS, LOG_2

MODEL = LatentModel(3, 2, 4, 2, "tanh", 0.05, log_p_x=DATA.log_prob)
RUNS, ITEMS = 2, 5
BETA = torch.tensor([[0.25], [1.0]], dtype=torch.float64)


def case_of(loss: str, method: Method) -> Objective:
    return make_objective(loss, MODEL, items=ITEMS, method=method)


def weights_of(scale: float = 1.5) -> Tensor:
    rows = torch.cat([initial_weights(MODEL.shapes(), seed) for seed in range(RUNS)]).double()
    return (scale * rows).requires_grad_()


def noise_of(case: Objective) -> Noise:
    """Noise as `Sampler` makes it: padded, feature-major."""
    torch.manual_seed(8)
    z = torch.randn(RUNS, 2, padded(ITEMS)).double().mT
    anchor = torch.randn(RUNS, 2, padded(ITEMS)).double().mT
    samples = case.method.importance_samples
    if samples > 1:
        z = torch.randn(RUNS, samples, 2, padded(ITEMS)).double().mT
    return Noise(z, anchor)


def items_of() -> Tensor:
    torch.manual_seed(9)
    return torch.randn(RUNS, 3, padded(ITEMS)).double().mT


def loss_of(case: Objective, flat: Tensor, beta: Tensor = BETA) -> Tensor:
    views = named_views(flat, MODEL.shapes())
    return case(views, items_of(), noise_of(case), beta).objective(ITEMS)


@pytest.mark.parametrize("name", FORMULAS)
def test_losses_and_gradients_equal_the_formulas(name: str) -> None:
    loss, method, formula = FORMULAS[name]
    case, flat = case_of(loss, method), weights_of()
    ours, x, noise = loss_of(case, flat), items_of(), noise_of(case)
    (gradient,) = torch.autograd.grad(ours.sum(), [flat])
    for run in range(RUNS):
        row = flat[run].detach().requires_grad_()
        assert noise.anchor is not None
        own = Noise(noise.z[run, ..., :ITEMS, :], noise.anchor[run, :ITEMS])
        expected = formula(Naive(MODEL, row), x[run, :ITEMS], own, BETA[run], method)
        torch.testing.assert_close(ours[run], expected, rtol=1e-10, atol=1e-10)
        (grad,) = torch.autograd.grad(expected, [row])
        torch.testing.assert_close(gradient[run], grad, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", FORMULAS)
def test_padding_and_other_runs_do_not_matter(name: str) -> None:
    loss, method, _ = FORMULAS[name]
    case, flat = case_of(loss, method), weights_of()
    views, noise = named_views(flat, MODEL.shapes()), noise_of(case)
    x = items_of()
    first = case(views, x, noise, BETA).objective(ITEMS)
    other = x.clone()
    other[:, ITEMS:] = 2.0
    assert torch.equal(case(views, other, noise, BETA).objective(ITEMS), first)
    for run in range(RUNS):
        (gradient,) = torch.autograd.grad(first[run], [flat], retain_graph=True)
        assert gradient[run].any()
        assert not gradient[1 - run].any()


LIMITS = [
    Method(beta_end=1.0),
    Method(cycles=1),
    Method(free_bits=1e-12),
    Method(mmd=1e-9),
]


@pytest.mark.parametrize("method", LIMITS, ids=str)
def test_vae_is_the_limit(method: Method) -> None:
    for scale in (0.3, 1.5):
        flat = weights_of(scale)
        vae, limit = loss_of(case_of("vae", Method()), flat), loss_of(case_of("vae", method), flat)
        torch.testing.assert_close(limit, vae, rtol=0, atol=1e-6)
        one, other = (torch.autograd.grad(loss.sum(), [flat])[0] for loss in (limit, vae))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_vae_is_iwae_of_samples_that_are_all_the_same() -> None:
    """As is IWAE of one: of K that differ the bound is tighter."""
    flat, x = weights_of(), items_of()
    vae, iwae = case_of("vae", Method()), case_of("vae", Method(importance_samples=4))
    views, noise = named_views(flat, MODEL.shapes()), noise_of(vae)
    expected = vae(views, x, noise, BETA).objective(ITEMS)
    for count in (1, 4):
        same = replace(noise, z=noise.z.unsqueeze(1).expand(-1, count, -1, -1))
        torch.testing.assert_close(iwae(views, x, same, BETA).objective(ITEMS), expected)
    each = noise_of(iwae)
    elbos = [vae(views, x, replace(each, z=z), BETA).objective(ITEMS) for z in each.z.unbind(1)]
    assert (iwae(views, x, each, BETA).objective(ITEMS) < torch.stack(elbos).mean(0)).all()


def test_amim_is_the_limit_of_cmim_without_a_contrast() -> None:
    """With log q(x) := log p(x|z), and a bit that is a coin's."""
    flat, x = weights_of(), items_of()
    case = case_of("cmim", Method(temperature=1e12))
    noise, views = noise_of(case), named_views(flat, MODEL.shapes())
    q = MODEL.encode(views, x)
    z = q.sample(noise.z)
    log_p_x, log_q = MODEL.decode(views, z).log_prob(x), q.log_prob(z)
    log_p_z = MODEL.log_p_z(views, z, log_q)
    amim = -0.5 * (log_p_x + log_p_z + BETA * (log_q + log_p_x))
    constant = 0.5 * (1 + BETA) * LOG_2
    expected = (amim + constant)[:, :ITEMS].mean(-1)
    torch.testing.assert_close(case(views, x, noise, BETA).objective(ITEMS), expected)


def test_own_items_are_told_from_all_others_by_latents_in_other_directions() -> None:
    z = torch.eye(4).double().repeat(1, 1, 1)  # four directions at right angles
    told = log_p_own(z, temperature=0.1, items=4)
    assert told.shape == (1, 4)
    assert (told > -1e-4).all()
    same = log_p_own(torch.ones(1, 4, 2).double(), temperature=0.1, items=4)
    torch.testing.assert_close(same, torch.full((1, 4), -LOG_2).double())


NAMES = {
    Method(): ("z",),
    Method(mmd=1.0): ("z", "anchor"),
    Method(importance_samples=3): (),
}


@pytest.mark.parametrize("method", NAMES, ids=str)
def test_noise_is_what_the_loss_uses(method: Method) -> None:
    case = case_of("vae", method)
    assert case.noise_names(True) == case.noise_names(False) == NAMES[method]
    own = {"z": (2, False, 3)} if method.importance_samples > 1 else {}
    assert case.own_noise == own
