"""What a run has learned, where it has closed forms, and against what the run measured."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mimsweep.models.data.base import DataSet
from mimsweep.models.data.loading import load
from mimsweep.models.densities.mixture import mean_and_scale
from mimsweep.models.densities.normal import Normal
from mimsweep.models.layout import named_views
from mimsweep.models.nets.latent import Options
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.training.cohort import Cohort, measure
from mimsweep.models.training.learned import Learned, learned
from tests.models.cohorts import COHORT
from tests.models.measures.test_latent import Gaussian, exact

ITEMS = 2000


@pytest.fixture(scope="module")
def truth() -> Gaussian:
    return Gaussian(torch.tensor([[1.5], [0.3], [-0.6]], dtype=torch.float64), scale=0.9)


@pytest.fixture
def trained(truth: Gaussian) -> Learned:
    return Learned(*exact(truth))


@pytest.fixture(scope="module")
def x(truth: Gaussian) -> Tensor:
    return truth.draw("final", 1, 0)[0][:ITEMS]


def test_encoder_and_decoder_are_those_of_the_exact_model(
    truth: Gaussian, trained: Learned, x: Tensor
) -> None:
    variance = 1 / (1 + truth.matrix.square().sum() / truth.scale**2)
    mean, scale = mean_and_scale(trained.encode(x))
    expected = variance / truth.scale**2 * x.double() @ truth.matrix
    torch.testing.assert_close(mean[0].double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scale[0].double(), variance.sqrt().expand(ITEMS, 1))
    mean, scale = mean_and_scale(trained.decode(mean[0]))
    torch.testing.assert_close(mean[0].double(), expected @ truth.matrix.T, atol=1e-5, rtol=1e-5)
    assert scale == pytest.approx(truth.scale)


@pytest.mark.parametrize("samples", [1, 7])
def test_log_prob_of_the_exact_posterior_is_that_of_the_data(
    samples: int, truth: Gaussian, trained: Learned, x: Tensor
) -> None:
    """All importance weights are p(x) then, whatever z is."""
    log_p_x = trained.log_prob(x, samples, seed=3)
    torch.testing.assert_close(log_p_x.double(), truth.law.log_prob(x.double()), atol=1e-4, rtol=0)


def test_log_prob_of_another_posterior_comes_nearer_from_below(
    truth: Gaussian, trained: Learned, x: Tensor
) -> None:
    trained.weights["encoder.0.bias"][0, 1] += 0.7  # twice the σ
    true = float(truth.law.log_prob(x.double()).mean())
    means = [float(trained.log_prob(x, samples, seed=3).mean()) for samples in (1, 10, 1000)]
    # KL(q‖p) of Gaussians of one mean, σ e^0.7 and σ: e^1.4/2 − ½ − 0.7
    assert means[0] == pytest.approx(true - (2.718281828**1.4 / 2 - 0.5 - 0.7), abs=0.1)
    assert means[0] < means[1] < means[2] < true + 0.01
    assert means[2] == pytest.approx(true, abs=0.01)


def test_an_estimate_depends_on_seed_and_place_alone(trained: Learned, x: Tensor) -> None:
    trained.weights["encoder.0.bias"][0, 1] += 0.7
    first = trained.log_prob(x[:50], 3, seed=1)
    assert torch.equal(first, trained.log_prob(x[:50], 3, seed=1))
    assert not torch.equal(first, trained.log_prob(x[:50], 3, seed=2))
    torch.testing.assert_close(first[:9], trained.log_prob(x[:9], 3, seed=1))


def test_samples_have_the_moments_of_the_data(truth: Gaussian, trained: Learned) -> None:
    drawn = trained.sample(20_000, seed=5).double()
    assert drawn.mean(0) == pytest.approx(torch.zeros(3), abs=0.05)
    torch.testing.assert_close(drawn.T.cov(), truth.covariance, atol=0.08, rtol=0)
    assert not torch.equal(drawn, trained.sample(20_000, seed=6))


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(p_z="prior", p_z_gmm=3),
        Options(p_z="gmm-marginal", p_z_gmm=3, q_zx_gmm=2),
        Options(q_zx_gmm=2, p_xz_gmm=3),
    ],
    ids=str,
)
def test_one_sample_is_what_the_run_measures(options: Options) -> None:
    """−log p(x) by one sample of z has the mean `nll`, where q(x) is the marginal."""
    cohort = replace(COHORT, **vars(options), runs=COHORT.runs[:1])
    data = load(cohort.dataset, Path())
    weights = started(cohort, data)
    metrics = measure(cohort, data, weights).metrics
    found = learned(cohort, data, weights)
    x = data.draw("final", cohort.runs[0].seed, 0)[0]
    estimate = -found.log_prob(x, 1, seed=1)
    error = float(estimate.std()) / len(x) ** 0.5
    assert float(estimate.mean()) == pytest.approx(metrics["nll"], abs=6 * error)
    assert float(found.sample(500, 1).isfinite().all())


def started(cohort: Cohort, data: DataSet) -> dict[str, Tensor]:
    """The weights that a run starts with, by name."""
    model = cohort.objective(data).model
    starts = model.starts(3, lambda: data.draw("train", 3, 0)[0])
    views = named_views(initial_weights(model.shapes(), 3, starts), model.shapes())
    return {name: tensor[0] for name, tensor in views.items()}


def test_a_marginal_has_no_density_but_samples() -> None:
    cohort = replace(COHORT, p_z="marginal", runs=COHORT.runs[:1])
    data = load(cohort.dataset, Path())
    found = learned(cohort, data, started(cohort, data))
    with pytest.raises(ValueError, match="the marginal"):
        found.log_prob(torch.zeros(3, data.dims), 1, 1)
    assert found.sample(4, 1).shape == (4, data.dims)


def test_weights_of_another_run_are_refused() -> None:
    data = load(COHORT.dataset, Path())
    with pytest.raises(ValueError, match=r"it has no encoder\.0\.weight"):
        learned(COHORT, data, {})


def test_a_density_of_one_is_that_of_many(trained: Learned, x: Tensor) -> None:
    q_z = trained.encode(x)
    assert isinstance(q_z, Normal)
    one = trained.encode(x[3:4])
    assert isinstance(one, Normal)
    torch.testing.assert_close(one.mean[0, 0], q_z.mean[0, 3])
