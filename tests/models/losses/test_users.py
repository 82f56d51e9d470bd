"""Losses written for one run: in a stack they come to what our own do, or a text's formula does."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mimsweep.models import parts, registry
from mimsweep.models.layout import named_views, padded
from mimsweep.models.losses.base import Noise, Objective, OwnNoise, UsersNoise
from mimsweep.models.losses.named import objective as make_objective
from mimsweep.models.nets.latent import LatentModel, Options
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.nets.one import RunModel
from mimsweep.models.steps.counted import Counted
from tests.models.formulas import Naive

MODEL = LatentModel(x_dim=3, z_dim=2, mid_dim=4, layers=2, act="tanh", min_scale=0.05)
RUNS, ITEMS, SAMPLES = 3, 5, 4
BETA = torch.tensor([[0.25], [0.5], [1.0]], dtype=torch.float64)
OPTIONS = [
    Options(),
    Options(q_zx_gmm=3),
    Options(p_xz_gmm=2),
    Options(p_z="prior"),
    Options(p_z="prior", p_z_gmm=4, q_zx_gmm=2),
    Options(p_z="gmm-marginal", p_z_gmm=3),
    Options(p_z="prior", p_z_gmm=3, learn_p_z=True, p_xz_gmm=2),
]


def vae(model: RunModel, x: Tensor, noise: Any, beta: Tensor) -> Tensor:
    q_z = model.encode(x)
    z = q_z.sample(noise.z)
    log_q_z = q_z.log_prob_of_sample(noise.z)
    return beta * (log_q_z - model.log_p_z(z)) - model.decode(z).log_prob(x)


def mim(model: RunModel, x: Tensor, noise: Any, beta: Tensor) -> Tensor:
    z = model.encode(x).sample(noise.z)
    loss = -0.5 * (1 + beta) * (model.decode(z).log_prob(x) + model.log_p_z(z))
    if noise.anchor is None:
        return loss
    z = model.sample_anchor(noise.anchor)
    p_x = model.decode(z)
    sample, log_p_x = p_x.sample(noise.x), p_x.log_prob_of_sample(noise.x)
    log_q = model.encode(sample).log_prob(z) + log_p_x
    return loss - 0.5 * (log_p_x + model.log_p_z(z) + beta * log_q)


def wae(model: RunModel, x: Tensor, noise: Any, beta: Tensor, *, alpha: float) -> Tensor:
    """Of K samples of z and as many of p(z): one number for the minibatch."""
    z, prior = model.encode(x).sample(noise.z), model.sample_p_z(noise.prior)
    distortion = -model.decode(z).log_prob(x).mean()
    return distortion + alpha * beta * mmd(z.flatten(0, 1), prior.flatten(0, 1))


def mmd(a: Tensor, b: Tensor) -> Tensor:
    def alike(a: Tensor, b: Tensor) -> Tensor:
        return (-(a.unsqueeze(1) - b).square().sum(-1)).exp().mean()

    return alike(a, a) + alike(b, b) - 2 * alike(a, b)


def iwae(model: RunModel, x: Tensor, noise: Any, beta: Tensor) -> Tensor:
    q_z = model.encode(x)
    z = q_z.sample(noise.z)
    log_ratio = q_z.log_prob_of_sample(noise.z) - model.log_p_z(z)
    log_weight = model.decode(z).log_prob(x) - beta * log_ratio
    return math.log(len(z)) - log_weight.logsumexp(0)


LOSSES = {
    "own_vae": parts.Loss(vae),
    "own_mim": parts.Loss(mim, decoder_samples=True),
    "wae": parts.Loss(
        wae, {"z": (SAMPLES, "q_z"), "prior": (SAMPLES, "p_z")}, fields={"alpha": 1.0}
    ),
    "iwae": parts.Loss(iwae, {"z": (SAMPLES, "q_z")}),
    "iwae1": parts.Loss(iwae, {"z": (1, "q_z")}),
}


@pytest.fixture(autouse=True)
def losses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, loss in LOSSES.items():
        monkeypatch.setitem(registry.LOSSES, name, loss)


def case_of(loss: str, options: Options = MODEL.options, **declared: float) -> Objective:
    model = replace(MODEL, options=options)
    return make_objective(loss, model, declared=declared, items=ITEMS)


def weights_of(model: LatentModel) -> Tensor:
    torch.manual_seed(3)
    rows = [
        initial_weights(model.shapes(), seed, model.starts(seed, lambda: torch.randn(7, 3)))
        for seed in range(RUNS)
    ]
    flat = torch.cat(rows).double()
    return (flat + 0.3 * torch.randn_like(flat)).requires_grad_()


def counted(case: Objective, decoder_samples: bool = False) -> Counted:
    features = {"z": 2, "anchor": 2, "x": 3}
    return Counted(
        {name: features[name] for name in case.noise_names(decoder_samples)},
        case.model.choices,
        "train",
        [(seed, 1) for seed in range(RUNS)],
        first=0,
        count=1,
        items=ITEMS,
        own=case.own_noise,
    )


def noise_of(case: Objective, decoder_samples: bool = False) -> UsersNoise:
    drawn = counted(case, decoder_samples).drawn(torch.device("cpu")).minibatch(0)
    assert isinstance(drawn, UsersNoise)
    ours = {n: None if (v := getattr(drawn, n)) is None else v.double() for n in ("anchor", "x")}
    own = {name: values.double() for name, values in drawn.own.items()}
    return UsersNoise(drawn.z.double(), ours["anchor"], ours["x"], own=own)


def items_of(filling: float = 0.0) -> Tensor:
    torch.manual_seed(8)
    x = torch.full((RUNS, 3, padded(ITEMS)), filling, dtype=torch.float64).mT
    x[:, :ITEMS] = torch.randn(RUNS, ITEMS, 3, dtype=torch.float64)
    return x


def outcome(
    case: Objective, flat: Tensor, x: Tensor, noise: Noise, beta: Tensor = BETA
) -> tuple[Tensor, Tensor]:
    """What is minimised of each run, and its gradient."""
    value = case(named_views(flat, case.model.shapes()), x, noise, beta).objective(ITEMS)
    return value, torch.autograd.grad(value.sum(), [flat])[0]


def assert_equal(ours: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(ours[0], others[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ours[1], others[1], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_vae_for_one_run_is_the_vae_of_a_stack(options: Options) -> None:
    case = case_of("own_vae", options)
    flat, x, noise = weights_of(case.model), items_of(), noise_of(case)
    ours = case_of("vae", options)
    assert_equal(outcome(case, flat, x, noise), outcome(ours, flat, x, Noise(noise.z)))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("decoder_samples", [False, True])
def test_mim_for_one_run_is_that_of_a_stack(options: Options, decoder_samples: bool) -> None:
    case = case_of("own_mim", options)
    flat, x, noise = weights_of(case.model), items_of(), noise_of(case, decoder_samples)
    ours = case_of("mim", options)
    same = Noise(noise.z, noise.anchor, noise.x)
    assert (noise.anchor is not None) == decoder_samples
    assert_equal(outcome(case, flat, x, noise), outcome(ours, flat, x, same))


def one_by_one(
    case: Objective, flat: Tensor, formula: Callable[[Naive, int], Tensor]
) -> tuple[Tensor, Tensor]:
    """A formula's value for each run, and its gradient."""
    values, gradients = [], []
    for run in range(RUNS):
        row = flat[run].detach().requires_grad_()
        values.append(formula(Naive(case.model, row), run))
        gradients.append(torch.autograd.grad(values[-1], [row])[0])
    return torch.stack(values), torch.stack(gradients)


@pytest.mark.parametrize("filling", [0.0, 50.0])
def test_a_wae_of_several_samples_is_its_formula_whatever_pads_the_minibatch(
    filling: float,
) -> None:
    case = case_of("wae", alpha=3.0)
    flat, x, noise = weights_of(case.model), items_of(filling), noise_of(case)

    def formula(net: Naive, run: int) -> Tensor:
        z, distortion = [], []
        for item in range(ITEMS):
            for sample in range(SAMPLES):
                q_z = net.q(x[run, item : item + 1])
                z.append(q_z.mean[0] + q_z.stddev[0] * noise.own["z"][run, sample, item])
                p_x = net.p(z[-1][None])
                distortion.append(-p_x.log_prob(x[run, item]))
        prior = list(noise.own["prior"][run, :, :ITEMS].flatten(0, 1))

        def alike(one: list[Tensor], other: list[Tensor]) -> Tensor:
            return torch.stack(
                [(-((a[0] - b[0]) ** 2) - (a[1] - b[1]) ** 2).exp() for a in one for b in other]
            ).mean()

        pull = alike(z, z) + alike(prior, prior) - 2 * alike(z, prior)
        return torch.stack(distortion).mean() + 3.0 * BETA[run, 0] * pull

    assert_equal(outcome(case, flat, x, noise), one_by_one(case, flat, formula))


@pytest.mark.parametrize("options", [OPTIONS[0], OPTIONS[4], OPTIONS[5]], ids=str)
def test_the_importance_weighted_bound_is_its_formula(options: Options) -> None:
    from tests.models.formulas import sample_of

    case = case_of("iwae", options)
    flat, x, noise = weights_of(case.model), items_of(), noise_of(case)

    def formula(net: Naive, run: int) -> Tensor:
        items, q_z, p_z = x[run, :ITEMS], net.q(x[run, :ITEMS]), net.p_z()
        assert p_z is not None
        weights = []
        for sample in range(SAMPLES):
            z = sample_of(q_z, noise.own["z"][run, sample, :ITEMS])
            log_ratio = q_z.log_prob(z) - p_z.log_prob(z)
            weights.append((net.p(z).log_prob(items) - BETA[run, 0] * log_ratio).exp())
        return -torch.stack(weights).mean(0).log().mean()

    assert_equal(outcome(case, flat, x, noise), one_by_one(case, flat, formula))


def test_of_one_sample_it_is_the_vae() -> None:
    case, ours = case_of("iwae1"), case_of("vae")
    flat, x, noise = weights_of(MODEL), items_of(), noise_of(case)
    assert noise.own["z"].shape == (RUNS, 1, padded(ITEMS), 2)
    features, at = {"z": 2}, torch.device("cpu")
    same = replace(counted(case), features=features, own={}).drawn(at).minibatch(0)
    z = same.z.double()
    assert torch.equal(z, noise.own["z"][:, 0])
    assert_equal(outcome(case, flat, x, noise), outcome(ours, flat, x, Noise(z)))


def test_a_number_for_the_minibatch_is_that_of_all_its_items() -> None:
    case = case_of("wae", alpha=3.0)
    loss = case(named_views(weights_of(MODEL), MODEL.shapes()), items_of(), noise_of(case), BETA)
    assert loss.encoder.shape == (RUNS, 1)
    assert torch.equal(loss.objective(ITEMS), loss.encoder[:, 0])
    assert torch.equal(loss.reported(loss.objective(ITEMS)), loss.encoder[:, 0])


SHAPES: Mapping[str, parts.Shape] = {
    "q": "q_z", "p": (7, "p_z"), "d": "p_x", "plain": (2, "z_dim"), "wide": "x_dim", "three": 3
}  # fmt: skip


def test_noise_is_as_much_as_the_densities_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LOSSES, "noisy", parts.Loss(vae, SHAPES))
    plain = {
        "z": OwnNoise(2, False, 0), "q": OwnNoise(2, False, 0), "p": OwnNoise(2, False, 7),
        "d": OwnNoise(3, False, 0), "plain": OwnNoise(2, False, 2), "wide": OwnNoise(3, False, 0),
        "three": OwnNoise(3, False, 0),
    }  # fmt: skip
    assert case_of("noisy").own_noise == plain
    mixed = case_of("noisy", Options(q_zx_gmm=2, p_z="prior", p_z_gmm=2, p_xz_gmm=2)).own_noise
    chosen = {name for name, wanted in mixed.items() if wanted.choice}
    assert chosen == {"z", "q", "p", "d"}
    assert {name: wanted._replace(choice=False) for name, wanted in mixed.items()} == plain


def test_all_noise_is_independent_standard_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.LOSSES, "noisy", parts.Loss(vae, SHAPES, decoder_samples=True))
    case = case_of("noisy")
    many = replace(counted(case, True), items=20_000).drawn(torch.device("cpu")).minibatch(0)
    assert isinstance(many, UsersNoise)
    every = {"anchor": many.anchor, "x": many.x, **many.own}
    rows = [
        values[..., :20_000, :].movedim(-2, -1).flatten(0, -2)
        for values in every.values()
        if values is not None
    ]
    columns = torch.cat(rows)
    assert len(columns) == RUNS * (2 + 3 + 2 + 2 + 7 * 2 + 3 + 2 * 2 + 3 + 3)
    correlation = torch.corrcoef(columns) - torch.eye(len(columns))
    assert correlation.abs().max() < 6 / math.sqrt(20_000)
    assert columns.mean(1).abs().max() < 6 / math.sqrt(20_000)
    assert (columns.var(1) - 1).abs().max() < 6 * math.sqrt(2 / 20_000)


def test_choices_of_samples_are_uniform_and_independent() -> None:
    case = case_of("wae", Options(p_z="prior", p_z_gmm=2), alpha=1.0)
    many = replace(counted(case), items=20_000).drawn(torch.device("cpu")).minibatch(0)
    assert isinstance(many, UsersNoise)
    choices = many.own["prior"][0, :, :20_000, 2]
    assert choices.shape == (SAMPLES, 20_000)
    assert choices.min() >= 0
    assert choices.max() < 1
    assert (choices.mean(1) - 0.5).abs().max() < 6 * math.sqrt(1 / 12 / 20_000)
    mixed = torch.cat([choices, many.own["prior"][0, 0, :20_000, :2].mT])
    off = torch.corrcoef(mixed) - torch.eye(len(mixed))
    assert off.abs().max() < 6 / math.sqrt(20_000)


def test_a_view_of_one_run_tells_mean_and_scale() -> None:
    model = replace(MODEL, options=Options(q_zx_gmm=2, q_x="prior"))
    flat = weights_of(model).detach()
    weights = {name: w[1] for name, w in named_views(flat, model.shapes()).items()}
    run, naive, x = RunModel(model, weights), Naive(model, flat[1]), items_of()[1, :ITEMS]
    q_z, expected = run.encode(x), naive.q(x)
    torch.testing.assert_close(q_z.mean, expected.mean)
    torch.testing.assert_close(q_z.scale, expected.stddev)
    log_q_x = naive.q_x(x)
    assert log_q_x is not None
    torch.testing.assert_close(run.log_q_x(x), log_q_x)
    two = torch.stack([x, x + 1])
    assert run.encode(two).mean.shape == (2, ITEMS, 2)
    torch.testing.assert_close(run.encode(two).mean[1], run.encode(x + 1).mean)
    torch.testing.assert_close(run.log_q_x(two)[0], run.log_q_x(x))
