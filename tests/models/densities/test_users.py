"""Distributions of users: how they are sampled, and what is refused before anything trains."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from mimsweep.models import registry
from mimsweep.models.densities.learned import over_items
from mimsweep.models.densities.mixture import Density, Mixture
from mimsweep.models.densities.normal import Normal
from mimsweep.models.layout import Weights
from mimsweep.models.nets.latent import LatentModel, Options
from mimsweep.models.parts import Density as Registered
from mimsweep.models.places import UserError
from mimsweep.models.steps.sampling import Sampler
from tests.models.cohorts import COHORT, assert_independent, few
from tests.models.minibatches import minibatches

MODEL = LatentModel(x_dim=2, z_dim=2, mid_dim=4, layers=2, act="tanh", min_scale=1e-3)
APART = 2.0


class Two:
    """½ N(−2, I) + ½ N(2, I), as a mixture of ours."""

    def __init__(self, name: str, dims: int, components: int, min_scale: float) -> None:
        self.name, self.dims = f"{name}.apart", dims

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {self.name: (1,)}

    def start(self, seed: int) -> dict[str, Tensor]:
        return {self.name: torch.full((1,), APART)}

    def __call__(self, weights: Weights, items: int) -> Any:
        apart = over_items(weights[self.name].expand(-1, self.dims), items)
        mean = torch.stack([-apart, apart], dim=1)
        log_weight = torch.full((len(apart), 2, items), -math.log(2))
        return Mixture(log_weight, Normal(mean, torch.ones_like(mean)))


class Own:
    """The same density, with code of its own."""

    def __init__(self, mixture: Density) -> None:
        self.mixture = mixture

    def log_prob(self, x: Tensor) -> Tensor:
        return self.mixture.log_prob(x)

    def sample(self, noise: Tensor) -> Tensor:
        side = torch.where(noise[..., -1:] < 0.5, -APART, APART)
        return side + noise[..., :-1]


class OwnTwo(Two):
    def __call__(self, weights: Weights, items: int) -> Any:
        return Own(super().__call__(weights, items))


@pytest.fixture(autouse=True)
def densities(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "two": Registered(Two, choice=True), "own": Registered(OwnTwo, choice=True),
        "unsaid": Registered(Two), "unsaid_own": Registered(OwnTwo),
    }  # fmt: skip
    for name, each in given.items():
        monkeypatch.setitem(registry.DENSITIES, name, each)


def model_of(p_z: str, **options: Any) -> LatentModel:
    return replace(MODEL, options=Options(p_z=p_z, **options))


def test_only_what_chooses_gets_a_uniform_number() -> None:
    assert model_of("two").choices == {"anchor"}
    assert model_of("unsaid").choices == frozenset()
    assert model_of("unsaid", p_z_gmm=2).choices == {"anchor"}
    assert replace(MODEL, options=Options(q_x="two")).choices == frozenset()


@pytest.mark.parametrize("name", ["two", "own"])
def test_samples_of_a_mixture_have_its_moments(name: str) -> None:
    model, data = model_of(name), few(COHORT, 78)
    sampler = Sampler(data, 128, 2, torch.device("cpu"), model.choices)
    prior = model.p_z
    assert prior is not None
    weights = {key: start[None] for key, start in prior.start(1).items()}
    drawn = [
        model.sample_p_z(weights, noise.anchor)[0]
        for _, noise in minibatches(sampler, "train", [(1, 1)], ("z", "anchor"))
        if noise.anchor is not None
    ]
    z = torch.cat(drawn)
    assert z.shape == (78 * 128, 2)
    assert z.mean(0).abs().max() < 6 * math.sqrt(5 / len(z))
    torch.testing.assert_close(z.T.cov(), torch.tensor([[5.0, 4.0], [4.0, 5.0]]), rtol=0.05, atol=0)
    within = z - APART * z.mean(1, keepdim=True).sign()
    assert within.T.corrcoef()[0, 1].abs() < 0.1  # the choice takes none of the normals

    def cdf(x: Any) -> Any:
        return (stats.norm.cdf(x + APART) + stats.norm.cdf(x - APART)) / 2

    for feature in range(2):
        assert stats.kstest(z[:, feature].numpy(), cdf).pvalue > 1e-3


def test_a_mixture_that_does_not_say_so_is_refused_before_anything_trains() -> None:
    prior = model_of("unsaid").p_z
    assert prior is not None
    with pytest.raises(UserError, match=r"p_z unsaid \(.*\): it is a mixture, .* choice=True"):
        prior.start(1)
    q_x = replace(MODEL, options=Options(q_x="unsaid")).q_x  # which nobody samples
    assert q_x is not None
    q_x.start(1)


@pytest.mark.parametrize(
    ("name", "broken", "sentence"),
    [
        ("log_prob", lambda self, x: x, r"log_prob of \(1, 32, 2\), \(R, B, F\), is \(1, 32, 2\)"),
        ("sample", lambda self, noise: noise, r"sample by noise of \(1, 32, 3\), .* is \(1, 32, 3"),
    ],
)
def test_a_broken_one_is_refused_before_anything_trains(
    name: str, broken: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Own, name, broken)
    prior = model_of("own").p_z
    assert prior is not None
    with pytest.raises(UserError, match=sentence):
        prior.start(1)


@pytest.mark.parametrize("learn_p_z", [False, True])
def test_runs_with_it_are_independent_of_their_cohort(learn_p_z: bool) -> None:
    assert_independent(replace(COHORT, p_z="two", learn_p_z=learn_p_z, batch_size=100))


def test_noise_of_the_wrong_size_is_refused_by_a_mixture() -> None:
    """A normal in place of the uniform number would choose by the sample's own noise."""
    mixture = Two("p_z", 2, 0, 1e-3)({"p_z.apart": torch.ones(1, 1)}, 32)
    with pytest.raises(ValueError, match="over 2 features takes 2 normals and a uniform number"):
        mixture.sample(torch.zeros(1, 32, 2))
