"""Final metrics: by definition on any model, and where all of them have closed forms."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.distributions import (
    Independent,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from mimsweep.models.data.base import Split
from mimsweep.models.data.loading import load
from mimsweep.models.layout import named_views
from mimsweep.models.measures import latent
from mimsweep.models.measures.ksg import ksg_ceiling, ksg_mutual_information
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.steps.sampling import Sampler
from mimsweep.models.streams import generator
from tests.models.measures.samples import let_a_cpu_be_the_gpu
from tests.models.minibatches import minibatches

NAMES = {
    "mi", "mi_ceiling", "mi_lower", "mi_upper", "mi_lower_ceiling", "retrieval", "active_units",
    "rate", "distortion", "nll", "rmse", "knn1", "knn3", "knn5", "knn10", "mi_bound", "h_z",
    "h_encoder", "h_decoder", "h_joint", "h_mixture", "nll_true_x", "nll_true_z",
}  # fmt: skip
MIN_SCALE = 1e-6


@dataclass(frozen=True)
class Gaussian:
    """x = Wz + s·noise with z ~ N(0, I), and the first coordinate's sign for a label."""

    matrix: Tensor
    scale: float
    known: bool = True
    count: int = 4000
    classes: int = 2

    @property
    def dims(self) -> int:
        return self.matrix.shape[0]

    @property
    def covariance(self) -> Tensor:
        return self.matrix @ self.matrix.T + self.scale**2 * torch.eye(self.dims).double()

    @property
    def law(self) -> MultivariateNormal:
        return MultivariateNormal(torch.zeros(self.dims).double(), self.covariance)

    def items(self, split: Split) -> int:
        return self.count

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        noise = torch.randn(
            self.count, self.dims, generator=generator("gaussian", split, seed, epoch)
        )
        x = noise @ torch.linalg.cholesky(self.covariance).T.float()
        return x, (x[:, 0] > 0).long()

    def log_prob(self, x: Tensor) -> Tensor | None:
        return self.law.log_prob(x) if self.known else None


def exact(data: Gaussian) -> tuple[LatentModel, dict[str, Tensor]]:
    """The model whose p(x) is the data's law and whose q(z|x) is its posterior."""
    d, z = data.matrix.shape
    gram = data.matrix.T @ data.matrix
    assert torch.allclose(gram, gram.diag().diag())  # else the posterior isn't diagonal
    variance = 1 / (1 + gram.diag() / data.scale**2)
    model = LatentModel(d, z, mid_dim=1, layers=1, act="tanh", min_scale=MIN_SCALE)
    weights = {name: torch.zeros(1, *shape) for name, shape in model.shapes().items()}
    weights["decoder.0.weight"][0, :d] = data.matrix
    weights["decoder.0.bias"][0, d:] = math.log(data.scale - MIN_SCALE)
    weights["encoder.0.weight"][0, :z] = variance[:, None] * data.matrix.T / data.scale**2
    weights["encoder.0.bias"][0, z:] = (variance.sqrt() - MIN_SCALE).log()
    return model, weights


def sampler(data: Gaussian, z_dim: int, batch_size: int = 100) -> Sampler:
    return Sampler(data, batch_size, z_dim, torch.device("cpu"))


def evaluate(*arguments: Any, **named: Any) -> dict[str, float]:
    return latent.evaluate(*arguments, **named).metrics


@pytest.fixture(scope="module")
def truth() -> Gaussian:
    matrix = torch.tensor([[1.5, 0.4], [0.3, -1.0], [-0.6, 0.5]], dtype=torch.float64)
    matrix[:, 1] -= matrix[:, 0] * (matrix[:, 0] @ matrix[:, 1]) / (matrix[:, 0] @ matrix[:, 0])
    return Gaussian(matrix, scale=0.9)


@pytest.fixture(scope="module")
def measured(truth: Gaussian) -> dict[str, float]:
    model, weights = exact(truth)
    return evaluate(model, weights, sampler(truth, 2), seed=3)


def test_names_are_complete(measured: dict[str, float]) -> None:
    assert set(measured) == NAMES
    assert all(isinstance(value, float) for value in measured.values())


def test_mutual_information_of_the_exact_model(truth: Gaussian, measured: dict[str, float]) -> None:
    gram = (truth.matrix.T @ truth.matrix).diag()
    mi = float((1 + gram / truth.scale**2).log().sum() / 2)
    assert measured["mi"] == pytest.approx(mi, abs=0.08)
    assert measured["mi_bound"] == pytest.approx(mi, abs=5 * 1 / 4000**0.5)
    assert measured["mi_lower"] - 0.08 < mi < measured["mi_upper"] + 0.08
    assert measured["mi_upper"] - measured["mi_lower"] < 0.05
    assert measured["mi_lower_ceiling"] == pytest.approx(math.log(4000))
    assert measured["mi_ceiling"] == ksg_ceiling(4000)
    # q(z|x) averages to p(z): the rate is the mutual information, its rest the distortion.
    assert measured["rate"] == pytest.approx(mi, abs=0.05)
    assert measured["rate"] + measured["distortion"] == pytest.approx(measured["nll"], abs=0.05)
    assert measured["active_units"] == 2


def test_likelihoods_and_entropies_of_the_exact_model(
    truth: Gaussian, measured: dict[str, float]
) -> None:
    h_x = float(truth.law.entropy())
    assert measured["nll"] == pytest.approx(h_x, abs=5 * 1.3 / 4000**0.5)
    assert measured["nll"] == pytest.approx(measured["nll_true_x"], abs=1e-4)  # z-wise equal
    h_z = 1 + math.log(2 * math.pi)
    assert measured["h_z"] == pytest.approx(h_z, abs=5 / 4000**0.5)
    assert measured["nll_true_z"] == measured["h_z"]
    joint = h_z + 3 * (math.log(truth.scale) + 0.5 * math.log(2 * math.pi * math.e))
    for name in ("h_encoder", "h_decoder", "h_joint", "h_mixture"):
        assert measured[name] == pytest.approx(joint, abs=5 * 2 / 4000**0.5)
    mean = (measured["h_encoder"] + measured["h_decoder"]) / 2
    assert measured["h_joint"] == pytest.approx(mean)


def test_reconstructions_of_the_exact_model(truth: Gaussian, measured: dict[str, float]) -> None:
    """Given z, x and x̂ are two draws of N(Wz, s²): their difference is N(0, 2s²) in 3-D."""
    rmse = truth.scale * 2 * math.gamma(2) / math.gamma(1.5)
    assert measured["rmse"] == pytest.approx(rmse, abs=5 * 0.5 / 4000**0.5)


def test_data_wider_than_the_models(truth: Gaussian) -> None:
    """Data three times as wide as the model's p(x)."""
    model, weights = exact(truth)
    wide = Gaussian(3 * truth.matrix, 3 * truth.scale)
    metrics = evaluate(model, weights, sampler(wide, 2), seed=1)
    cross = float(truth.law.entropy() + 0.5 * 8 * 3)  # −E log N(3x; 0, Σ) = ½ log|2πΣ| + ½·9·D
    assert metrics["nll"] == pytest.approx(cross, abs=5 * 9 * 1.3 / 4000**0.5)
    assert metrics["nll_true_x"] == pytest.approx(float(wide.law.entropy()), abs=0.1)
    h_z = float(
        MultivariateNormal(torch.zeros(2), latent_covariance(model, weights, wide)).entropy()
    )
    assert metrics["h_z"] > h_z  # a cross entropy: the latents are wider than the anchor


def latent_covariance(model: LatentModel, weights: dict[str, Tensor], data: Gaussian) -> Tensor:
    matrix = weights["encoder.0.weight"][0, :2].double()
    scale = weights["encoder.0.bias"][0, 2:].double().exp() + model.min_scale
    return (matrix @ data.covariance @ matrix.T + scale.square().diag()).float()


def test_true_x_is_left_out_where_it_is_unknown(truth: Gaussian) -> None:
    unknown = Gaussian(truth.matrix, truth.scale, known=False, count=300)
    metrics = evaluate(*exact(unknown), sampler(unknown, 2), seed=1)
    assert set(metrics) == NAMES - {"nll_true_x"}


def test_seed_decides(truth: Gaussian) -> None:
    few = Gaussian(truth.matrix, truth.scale, count=300)
    model, weights = exact(few)
    first, again, other = (
        evaluate(model, weights, sampler(few, 2), seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert all(first[name] != other[name] for name in ("mi", "mi_lower", "nll", "rmse", "h_z"))


def test_what_a_gpu_measures_is_the_same(truth: Gaussian, monkeypatch: pytest.MonkeyPatch) -> None:
    few = Gaussian(truth.matrix, truth.scale, count=1000)
    model, weights = exact(few)
    expected = evaluate(model, weights, sampler(few, 2), seed=1)
    let_a_cpu_be_the_gpu(monkeypatch)
    metrics = evaluate(model, weights, sampler(few, 2), seed=1)
    bounds = {name: expected.pop(name) for name in ("mi_lower", "mi_upper")}
    assert {name: metrics.pop(name) for name in bounds} == pytest.approx(bounds, rel=1e-12)
    assert metrics == expected


@pytest.mark.gpu
def test_a_gpu_says_the_same(truth: Gaussian) -> None:
    """Networks compute x̂ and z in float32, on a GPU by other operations than on a CPU."""
    model, weights = exact(truth)
    expected = evaluate(model, weights, sampler(truth, 2), seed=3)
    on_gpu = {name: tensor.cuda() for name, tensor in weights.items()}
    source = Sampler(truth, 100, 2, torch.device("cuda"))
    metrics = evaluate(model, on_gpu, source, seed=3)
    assert metrics == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_collapsed_model_knows_nothing(truth: Gaussian) -> None:
    model, weights = exact(truth)
    weights["encoder.0.weight"].zero_()
    metrics = evaluate(model, weights, sampler(truth, 2), seed=1)
    assert metrics["mi"] == pytest.approx(0, abs=0.05)
    assert metrics["mi_lower"] == pytest.approx(0, abs=1e-9)
    assert metrics["mi_upper"] == pytest.approx(0, abs=1e-9)
    assert (metrics["retrieval"], metrics["active_units"]) == (0, 0)
    for name in ("knn1", "knn3", "knn5", "knn10"):
        assert metrics[name] == pytest.approx(0.5, abs=5 * 0.5 / 4000**0.5)


def test_latents_that_are_not_finite_give_nan(truth: Gaussian) -> None:
    model, weights = exact(truth)
    weights["encoder.0.bias"][:] = math.inf
    metrics = evaluate(model, weights, sampler(truth, 2), seed=1)
    assert set(metrics) == NAMES
    for name in ("mi", "mi_lower", "mi_upper", "active_units", "rate", "nll", "rmse", "knn1"):
        assert math.isnan(metrics[name])


@pytest.mark.parametrize("batch_size", [pytest.param(128, marks=pytest.mark.slow), 33])
def test_all_metrics_by_definition(batch_size: int) -> None:
    """On toy4 and an untrained network, recomputed with torch.distributions and scikit-learn."""
    data = load("toy4", Path("nowhere"))
    model = LatentModel(2, 2, mid_dim=5, layers=2, act="tanh", min_scale=1e-3)
    weights = named_views(initial_weights(model.shapes(), 5), model.shapes())
    source = Sampler(data, batch_size, 2, torch.device("cpu"))
    metrics = evaluate(model, weights, source, seed=9)

    def net(name: str, value: Tensor) -> Independent:
        w0, b0, w1, b1 = (
            weights[f"{name}.{layer}.{part}"][0].double()
            for layer in (0, 1)
            for part in ("weight", "bias")
        )
        out = torch.tanh(value @ w0.T + b0) @ w1.T + b1
        return Independent(Normal(out[:, :2], out[:, 2:].exp() + 1e-3), 1)

    def draws(split: Split, epoch: int, *names: str) -> list[Tensor]:
        batches = list(minibatches(source, split, [(9, epoch)], names))
        noise = [[getattr(noise, name) for name in names] for _, noise in batches]
        columns = [[x for x, _ in batches], *zip(*noise, strict=True)]
        return [torch.cat([part[0, :batch_size] for part in c]).double() for c in columns]

    def at(law: Independent, noise: Tensor) -> Tensor:
        return law.mean + law.stddev * noise

    def prior(z: Tensor) -> Tensor:
        return Independent(Normal(torch.zeros_like(z), 1.0), 1).log_prob(z)

    def marginal(x: Tensor, noise: Tensor) -> Tensor:
        q = net("encoder", x)
        z = at(q, noise)
        return net("decoder", z).log_prob(x) + prior(z) - q.log_prob(z)

    x, e1, e2, ex = draws("final", 0, "z", "z_marginal", "x")
    assert len(x) == 10_000 // batch_size * batch_size
    q = net("encoder", x)
    z1, z2 = at(q, e1), at(q, e2)
    p1, p2 = net("decoder", z1), net("decoder", z2)
    log_q_x = marginal(x, e2)
    h_encoder = -(q.log_prob(z1).mean() + log_q_x.mean())
    h_decoder = -(p2.log_prob(x).mean() + prior(z1).mean())
    joints = torch.stack([p1.log_prob(x) + prior(z1), q.log_prob(z1) + log_q_x])
    expected = {
        "nll": -log_q_x.mean(),
        "rmse": (x - at(p1, ex)).norm(dim=1).mean(),
        "mi_bound": (q.log_prob(z1) - prior(z1)).mean(),
        "h_z": -prior(z1).mean(),
        "nll_true_z": -prior(z1).mean(),
        "h_encoder": h_encoder,
        "h_decoder": h_decoder,
        "h_joint": (h_encoder + h_decoder) / 2,
        "h_mixture": -(joints.logsumexp(0) - math.log(2)).mean(),
    }
    log_p_x = data.log_prob(x)
    assert log_p_x is not None
    expected["nll_true_x"] = -log_p_x.mean()
    kl = kl_divergence(q.base_dist, Normal(torch.zeros_like(z1), 1.0))
    expected |= {"rate": kl.sum(1).mean(), "distortion": -p2.log_prob(x).mean()}
    expected["active_units"] = (q.mean.var(0, correction=0) > 0.01).sum()
    own = q.log_prob(z1)
    everyone = torch.cat([q.log_prob(z[:, None]) for z in z1.split(500)])
    expected["mi_lower"] = (own - everyone.logsumexp(1)).mean() + math.log(len(x))
    expected["retrieval"] = (everyone.argmax(1) == torch.arange(len(x))).double().mean()
    everyone.fill_diagonal_(-math.inf)
    expected["mi_upper"] = (own - everyone.logsumexp(1)).mean() + math.log(len(x) - 1)
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(float(value), rel=1e-5, abs=1e-5), name

    mi = ksg_mutual_information(x.numpy(), z1.numpy())
    assert metrics["mi"] == pytest.approx(mi, abs=1e-3)
    train_x, noise = draws("knn", 0, "z")
    train_z = at(net("encoder", train_x), noise).numpy()
    train_labels, labels = (data.draw(split, 9, 0)[1][: len(x)] for split in ("knn", "final"))
    for k in (1, 3, 5, 10):
        classifier = KNeighborsClassifier(k).fit(train_z, train_labels)
        accuracy = np.mean(classifier.predict(z1.numpy()) == labels.numpy())
        assert metrics[f"knn{k}"] == pytest.approx(accuracy, abs=5e-4)
