"""What is measured where p(z) and q(x) are not the defaults."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
)

from mimsweep.models.data.loading import load
from mimsweep.models.layout import named_views
from mimsweep.models.measures.latent import evaluate
from mimsweep.models.nets.latent import LatentModel, Options
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.steps.sampling import Sampler
from tests.models.cohorts import Few


def toy_metrics(options: Options) -> tuple[dict[str, float], LatentModel, dict[str, Tensor], Few]:
    """Metrics of an untrained model of toy4."""
    data = Few(load("toy4", Path("nowhere")), 1000)
    model = LatentModel(2, 2, 5, 2, "tanh", 1e-3, options=options, log_p_x=data.log_prob)
    starts = model.starts(5, lambda: data.draw("train", 5, 1)[0])
    weights = named_views(initial_weights(model.shapes(), 5, starts), model.shapes())
    source = Sampler(data, 100, 2, torch.device("cpu"), model.choices)
    return evaluate(model, weights, source, seed=9), model, weights, data


def test_nll_is_that_of_the_runs_own_q_x() -> None:
    metrics, *_ = toy_metrics(Options(q_x="anchor"))
    assert metrics["nll"] == pytest.approx(metrics["nll_true_x"], abs=1e-5)
    metrics, _, weights, data = toy_metrics(Options(q_x="prior"))
    x = data.draw("final", 9, 0)[0]
    law = Independent(Normal(weights["q_x.mean"][0], weights["q_x.log_scale"][0].exp() + 1e-3), 1)
    assert metrics["nll"] == pytest.approx(-float(law.log_prob(x).mean()), abs=1e-4)
    assert metrics["kl_qp"] == pytest.approx(metrics["h_decoder"] - metrics["h_encoder"], abs=0.2)


def test_entropy_of_z_is_that_of_the_runs_own_p_z() -> None:
    plain, *_ = toy_metrics(Options())
    for options in (Options(p_z="prior"), Options(p_z="prior", learn_p_z=True)):
        metrics, *_ = toy_metrics(options)
        assert metrics["mi"] == plain["mi"]  # z is the same
        assert metrics["h_z"] != plain["h_z"]
        own = metrics["h_z"] if options.learn_p_z else plain["h_z"]
        assert metrics["nll_true_z"] == pytest.approx(own)
        assert metrics["mi_bound"] - metrics["h_z"] == pytest.approx(
            plain["mi_bound"] - plain["h_z"], abs=1e-5
        )


def test_divergence_from_a_marginal_p_z_is_none() -> None:
    """On samples of p it makes both joint densities the same."""
    metrics, *_ = toy_metrics(Options(p_z="marginal", q_x="prior"))
    assert metrics["kl_pq"] == pytest.approx(0, abs=1e-4)
    assert metrics["mi_bound"] == pytest.approx(0, abs=1e-6)


def test_samples_of_p_are_of_the_learned_p_z() -> None:
    """KL(p‖q) where z and x are independent in both, all weights set by hand."""
    options = Options(p_z="prior", p_z_gmm=2, q_x="prior", q_x_gmm=2)
    data = Few(load("toy4", Path("nowhere")), 1000)
    model = LatentModel(2, 2, 1, 1, "tanh", 1e-6, options=options)
    weights = {name: torch.zeros(1, *shape) for name, shape in model.shapes().items()}
    for name in ("p_z", "q_x"):
        weights[f"{name}.mean"][0, 1] = 3.0
    source = Sampler(data, 100, 2, torch.device("cpu"), model.choices)
    # p = p(z)·N(x; 0, 1), q = q(x)·N(z; 0, 1): KL(p‖q) = KL(p(z)‖N(0,1)) + KL(N(0,1)‖q(x)).
    kl = evaluate(model, weights, source, seed=1)["kl_pq"]
    mixture = MixtureSameFamily(
        Categorical(torch.ones(2)),
        Independent(Normal(weights["p_z.mean"][0], torch.ones(2, 2)), 1),
    )
    plain = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    torch.manual_seed(1)
    z, x = mixture.sample((200_000,)), plain.sample((200_000,))
    expected = mixture.log_prob(z) - plain.log_prob(z)
    expected = expected.mean() + (plain.log_prob(x) - mixture.log_prob(x)).mean()
    assert kl == pytest.approx(float(expected), abs=0.7)
    assert kl > 3
