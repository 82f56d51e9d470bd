"""What p(z) and q(x) start at, and that their densities are those of torch.distributions."""

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Independent, Normal

from mimsweep.models.densities.learned import Bits, Gaussian, packed_circles
from mimsweep.models.densities.mixture import Mixture
from mimsweep.models.densities.normal import Normal as OurNormal
from mimsweep.models.densities.vampprior import StackedVampPrior
from mimsweep.models.layout import named_views
from mimsweep.models.nets.latent import LatentModel, Options
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.steps.sampling import Sampler
from tests.models.minibatches import minibatches
from tests.models.steps.test_sampling import Numbers

RUNS, ITEMS = 3, 32
MODEL = LatentModel(3, 2, 4, 2, "tanh", 0.05)


def views(shapes: dict, starts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    rows = [initial_weights(shapes, 0, start) for start in starts]
    return named_views(torch.cat(rows).double(), shapes)


@pytest.mark.parametrize("dims", [1, 2, 7])
def test_gaussian(dims: int) -> None:
    prior = Gaussian("p_z", dims, 0, 0.01)
    weights = views(prior.shapes(), [prior.start(seed) for seed in range(RUNS)])
    x = torch.randn(RUNS, ITEMS, dims).double()
    value = prior(weights, ITEMS).log_prob(x)
    for run in range(RUNS):
        mean, scale = weights["p_z.mean"][run], weights["p_z.log_scale"][run].exp() + 0.01
        expected = Independent(Normal(mean, scale), 1).log_prob(x[run])
        torch.testing.assert_close(value[run], expected, rtol=1e-10, atol=1e-10)


def test_mixture_of_one_component_is_the_gaussian() -> None:
    one, plain = Gaussian("p_z", 2, 1, 0.01), Gaussian("p_z", 2, 0, 0.01)
    weights = views(one.shapes(), [one.start(seed) for seed in range(RUNS)])
    single = {name: value[:, 0] for name, value in weights.items() if "weight" not in name}
    x = torch.randn(RUNS, ITEMS, 2).double()
    expected = plain(single, ITEMS).log_prob(x)
    torch.testing.assert_close(one(weights, ITEMS).log_prob(x), expected, rtol=1e-12, atol=1e-12)


def test_starts_are_normal_draws_of_the_runs_seed() -> None:
    prior = Gaussian("q_x", 100, 50, 0.01)
    start, again, other = prior.start(1), prior.start(1), prior.start(2)
    for name, spread in (("mean", 1), ("log_scale", 1e-3), ("log_weight", 1)):
        values = start[f"q_x.{name}"]
        assert torch.equal(values, again[f"q_x.{name}"])
        assert not torch.equal(values, other[f"q_x.{name}"])
        assert stats.kstest(values.flatten().numpy() / spread, "norm").pvalue > 1e-3
    logits = Bits("q_x", 784, 1e-3).start(1)["q_x.logits"]
    assert stats.kstest(logits.numpy() * 1e3, "norm").pvalue > 1e-3


@pytest.mark.parametrize("count", [*range(1, 20), 37, 100, 1000])
def test_circles_are_packed_in_the_unit_disc(count: int) -> None:
    centres, radius = packed_circles(count)
    assert centres.shape == (count, 2)
    assert centres.norm(dim=1).max().item() + radius == pytest.approx(1)
    if count > 1:
        assert torch.pdist(centres).min().item() == pytest.approx(2 * radius)
    # Of the disc's area they cover what hexagons do less a rim, never less than a third.
    assert count * radius**2 > 0.45
    best = {1: 1, 2: 1 / 2, 3: 1 / (1 + 2 / math.sqrt(3)), 7: 1 / 3}
    if count in best:
        assert radius == pytest.approx(best[count])


@pytest.mark.parametrize("z_dim", [1, 2, 5])
def test_p_z_starts_as_circles(z_dim: int) -> None:
    model = replace(MODEL, z_dim=z_dim, options=Options(p_z="prior", p_z_gmm=5))
    starts = model.starts(1, lambda: torch.zeros(0, 3))
    centres, radius = packed_circles(5)
    planes = min(z_dim, 2)
    torch.testing.assert_close(starts["p_z.mean"][:, :planes], centres[:, :planes].float())
    assert (starts["p_z.mean"][:, planes:] == 0).all()
    torch.testing.assert_close(starts["p_z.log_scale"].exp(), torch.full((5, z_dim), radius))
    assert (starts["p_z.log_weight"] == 0).all()
    law = model.p_z(named_views(initial_weights(model.shapes(), 1, starts), model.shapes()), ITEMS)
    assert isinstance(law, Mixture)
    torch.testing.assert_close(law.log_weight, torch.full((1, 5, ITEMS), -math.log(5)))


def test_pseudo_inputs_start_at_training_items_and_draws_from_the_anchor() -> None:
    model = replace(
        MODEL, options=Options(p_z="gmm-marginal", p_z_gmm=4, q_x="gmm-marginal", q_x_gmm=300)
    )
    items = torch.randn(9, 6)
    starts = model.starts(1, lambda: items)
    assert torch.equal(starts["p_z.inputs"], items[:4, :3])  # of pairs the encoder's input
    assert starts["q_x.inputs"].shape == (300, 2)
    assert stats.kstest(starts["q_x.inputs"].flatten().numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("count", [1, 3, 40])
def test_vamp_prior_is_the_mean_of_the_posteriors(count: int) -> None:
    model = replace(MODEL, options=Options(p_z="gmm-marginal", p_z_gmm=count))
    starts = [model.starts(s, lambda: torch.randn(count, 3)) for s in range(RUNS)]
    weights = views(dict(model.shapes()), starts)
    z = torch.randn(RUNS, ITEMS, 2).double()
    each = model.encode(weights, weights["p_z.inputs"])
    assert isinstance(each, OurNormal)
    expected = torch.stack(
        [
            Independent(Normal(each.mean[:, k, None], each.scale[:, k, None]), 1).log_prob(z)
            for k in range(count)
        ]
    ).logsumexp(0) - math.log(count)
    value = model.log_p_z(weights, z, z[..., 0])
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)
    prior = model.p_z
    assert isinstance(prior, StackedVampPrior)
    if count == 1:
        alone = OurNormal(each.mean, each.scale).log_prob(z)
        torch.testing.assert_close(value, alone, rtol=1e-10, atol=1e-10)


def test_learned_anchor_is_sampled_without_gradient() -> None:
    model = replace(MODEL, options=Options(p_z="prior", p_z_gmm=3, learn_p_z=True))
    starts = [model.starts(seed, lambda: torch.zeros(0, 3)) for seed in range(RUNS)]
    weights = {k: v.requires_grad_() for k, v in views(dict(model.shapes()), starts).items()}
    noise = torch.rand(RUNS, ITEMS, 3).double()
    z = model.sample_anchor(weights, noise)
    assert not z.requires_grad
    law = model.p_z
    assert law is not None
    assert torch.equal(z, law(weights, ITEMS).sample(noise).detach())
    log_p = model.log_anchor(weights, z)
    torch.testing.assert_close(log_p, law(weights, ITEMS).log_prob(z))
    plain = replace(model, options=replace(model.options, learn_p_z=False))
    assert torch.equal(plain.sample_anchor(weights, noise), noise[..., :2])


def test_noise_of_mixtures_has_a_uniform_feature_and_the_same_normals() -> None:
    data, names = Numbers(450), ("z", "anchor", "x", "z_marginal")
    plain = Sampler(data, 100, 2, torch.device("cpu"))
    mixed = replace(plain, choices=frozenset({"z", "x"}))
    values = []
    for (_, before), (_, after) in zip(
        minibatches(plain, "train", [(1, 1), (2, 1)], names),
        minibatches(mixed, "train", [(1, 1), (2, 1)], names),
        strict=True,
    ):
        assert torch.equal(before.anchor, after.anchor)
        for name in ("z", "x"):
            one, other = getattr(before, name), getattr(after, name)
            assert torch.equal(one, other[..., :-1])
            assert other.mT.is_contiguous()
            values.append(other[:, :100, -1].flatten())
    assert stats.kstest(torch.cat(values).numpy(), "uniform").pvalue > 1e-3
