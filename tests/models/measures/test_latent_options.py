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
    kl_divergence,
)

from mimsweep.models.data.loading import load
from mimsweep.models.densities.mixture import Mixture
from mimsweep.models.layout import named_views
from mimsweep.models.losses.base import Noise
from mimsweep.models.measures import latent
from mimsweep.models.measures.latent import evaluate
from mimsweep.models.nets.latent import LatentModel, Options
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.steps.sampling import Sampler
from tests.models.cohorts import Few
from tests.models.measures.samples import pretended_gpu
from tests.models.minibatches import minibatches

WITH_Q_X = ("h_encoder", "h_joint", "h_mixture")


def toy_model(options: Options) -> tuple[Few, LatentModel, dict[str, Tensor]]:
    data = Few(load("toy4", Path("nowhere")), 1000)
    model = LatentModel(2, 2, 5, 2, "tanh", 1e-3, options=options, log_p_x=data.log_prob)
    starts = model.starts(5, lambda: data.draw("train", 5, 1)[0])
    return data, model, named_views(initial_weights(model.shapes(), 5, starts), model.shapes())


def toy_metrics(
    options: Options, trained: bool = True
) -> tuple[dict[str, float], LatentModel, dict[str, Tensor], Few]:
    """Metrics of a model of toy4, as it starts but, if `trained`, for its q(x)."""
    data, model, weights = toy_model(options)
    for name in model.q_x.shapes() if trained and model.q_x else ():
        weights[name] += 0.01
    source = Sampler(data, 100, 2, torch.device("cpu"), model.choices)
    return evaluate(model, weights, source, seed=5).metrics, model, weights, data


def test_nll_is_that_of_the_runs_own_q_x() -> None:
    metrics, *_ = toy_metrics(Options(q_x="anchor"))
    assert metrics["nll"] == pytest.approx(metrics["nll_true_x"], abs=1e-5)
    metrics, _, weights, data = toy_metrics(Options(q_x="prior"))
    x = data.draw("final", 5, 0)[0]
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


def test_a_q_x_that_was_never_trained_has_no_nll() -> None:
    for options in (Options(q_x="prior"), Options(q_x="gmm-marginal", q_x_gmm=3)):
        trained, untrained = (toy_metrics(options, trained)[0] for trained in (True, False))
        assert trained.keys() - untrained.keys() == {"nll", "kl_qp", "kl_pq", "kl_mean", *WITH_Q_X}
        assert untrained.keys() - trained.keys() == {"nll_untrained"}
        assert untrained["nll_untrained"] == pytest.approx(trained["nll"], rel=0.05)
        assert untrained["h_decoder"] == trained["h_decoder"]


def test_divergences_are_of_densities_alone() -> None:
    """A marginal q(x) or p(z) makes one of them 0 by construction."""
    for options in (Options(), Options(p_z="prior"), Options(p_z="marginal", q_x="prior")):
        metrics, *_ = toy_metrics(options)
        assert not metrics.keys() & {"kl_qp", "kl_pq", "kl_mean"}
    metrics, *_ = toy_metrics(Options(q_x="prior"))
    assert metrics["kl_mean"] == pytest.approx((metrics["kl_qp"] + metrics["kl_pq"]) / 2)


def test_a_marginal_p_z_has_no_rate() -> None:
    metrics, *_ = toy_metrics(Options(p_z="marginal", q_x="prior"))
    assert metrics["mi_bound"] == pytest.approx(0, abs=1e-6)
    assert "rate" not in metrics


@pytest.mark.parametrize("options", [Options(p_z="prior"), Options(q_zx_gmm=2)])
def test_a_rate_without_a_closed_form_is_by_one_sample(options: Options) -> None:
    metrics, *_ = toy_metrics(options)
    assert metrics["rate"] == pytest.approx(metrics["mi_bound"])


@pytest.mark.parametrize("options", [Options(), Options(q_zx_gmm=3)])
def test_profile_by_torch(options: Options) -> None:
    """KL and variance of each dimension, a mixture's from an independent one of each."""
    data = Few(load("toy4", Path("nowhere")), 1000)
    model = LatentModel(2, 2, 5, 2, "tanh", 1e-3, options=options)
    weights = named_views(initial_weights(model.shapes(), 5), model.shapes())
    source = Sampler(data, 100, 2, torch.device("cpu"), model.choices)
    found = evaluate(model, weights, source, seed=5)
    q = model.encode(weights, data.draw("final", 5, 0)[0][None])
    plain = Normal(torch.zeros(2), torch.ones(2))
    if isinstance(q, Mixture):
        log_weight = q.log_weight[0].T.unsqueeze(1).expand(-1, 2, -1)
        parts = Normal(
            q.components.mean[0].permute(1, 2, 0), q.components.scale[0].permute(1, 2, 0)
        )
        law = MixtureSameFamily(Categorical(logits=log_weight), parts)
        torch.manual_seed(1)
        z = law.sample((500,))
        terms = law.log_prob(z) - plain.log_prob(z)
        kl, tolerance = terms.mean(0), 5 * float(terms[0].std()) / 1000**0.5
    else:
        law = Normal(q.mean[0], q.scale[0])
        kl, tolerance = kl_divergence(law, plain), 1e-5
    assert found.profile["kl"] == pytest.approx(kl.mean(0).tolist(), abs=tolerance)
    variance = law.mean.var(0, correction=0).tolist()
    assert found.profile["variance"] == pytest.approx(variance, rel=1e-4)
    assert found.metrics["active_units"] == sum(v > 0.01 for v in variance)


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
    kl = evaluate(model, weights, source, seed=1).metrics["kl_pq"]
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


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(p_z="marginal", q_x="anchor"),
        Options(p_z="prior", p_z_gmm=2, q_x="prior", q_x_gmm=2, learn_p_z=True),
        Options(p_z="gmm-marginal", p_z_gmm=3, q_x="gmm-marginal", q_x_gmm=3),
        Options(q_zx_gmm=2, p_xz_gmm=2),
    ],
)
def test_tensors_stay_on_the_gpu(options: Options) -> None:
    data, model, weights = toy_model(options)
    names = ("z", "z_marginal", "anchor", "x")
    source = Sampler(data, 100, 2, torch.device("cpu"), model.choices)
    x, noise = next(minibatches(source, "final", [(5, 0)], names))
    with pretended_gpu() as gpu, torch.no_grad():
        there = {name: gpu(tensor) for name, tensor in weights.items()}
        x, noise = gpu(x), Noise(**{name: gpu(getattr(noise, name)) for name in names})
        found = latent._terms(model, there, x, noise) | latent._divergences(model, there, x, noise)
        assert all(values.device.type == "cuda" for values in found.values())
