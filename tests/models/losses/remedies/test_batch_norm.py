"""What batch norm of the posterior means comes to, and the VAE that it is folded into."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mimsweep.models.densities.mixture import mean_and_scale
from mimsweep.models.layout import flat_size, named_views
from mimsweep.models.losses.base import Objective
from mimsweep.models.losses.method import Method
from mimsweep.models.losses.named import objective as make_objective
from mimsweep.models.losses.remedies.batch_norm import folded
from mimsweep.models.training.cohort import Training, measure
from mimsweep.models.training.runs import RunEnd
from tests.models.cohorts import COHORT, RUNS, events_by_run, few
from tests.models.losses.test_methods import BETA, ITEMS, MODEL, items_of, noise_of, weights_of

GAMMA = 0.7


def bn_case() -> Objective:
    return make_objective("vae", MODEL, items=ITEMS, method=Method(bn_gamma=GAMMA))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_minibatch_costs_the_vae_that_it_is_folded_into_as_much(layers: int) -> None:
    model = replace(MODEL, layers=layers)
    case = replace(bn_case(), model=model)
    torch.manual_seed(layers)
    flat = torch.randn(1, flat_size(model.shapes()))
    views = named_views(flat.double(), model.shapes())
    x, noise = items_of()[:1], noise_of(case)
    noise = replace(noise, z=noise.z[:1], anchor=None)
    expected = case(views, x, noise, BETA[1:]).objective(ITEMS)
    plain = replace(case, method=Method())
    given = folded(case, views, [x])
    torch.testing.assert_close(plain(given, x, noise, BETA[1:]).objective(ITEMS), expected)
    untouched = [name for name in views if name != f"encoder.{layers - 1}.weight"]
    assert all(torch.equal(views[n], given[n]) for n in untouched if "bias" not in n)


def test_means_have_the_spread_and_the_middle_that_they_are_given() -> None:
    views = named_views(weights_of()[:1].detach(), MODEL.shapes())
    x = torch.randn(1, 5000, 3).double()
    case = replace(bn_case(), items=5000)
    mean = mean_and_scale(MODEL.encode(folded(case, views, [x]), x))[0][0]
    torch.testing.assert_close(mean.mean(0), views["encoder.1.bias"][0, :2])
    torch.testing.assert_close(
        mean.std(0, correction=0), torch.full((2,), GAMMA).double(), rtol=1e-3, atol=0
    )


def rates(method: dict[str, float]) -> tuple[float, dict[str, Tensor]]:
    cohort = replace(COHORT, model="vae", dataset="toy0", runs=RUNS[-2:-1], **method)
    *_, end = events_by_run(cohort, few(cohort, 20))["longest"]
    assert isinstance(end, RunEnd)
    return end.metrics["rate"], end.weights


def test_the_rate_of_a_run_is_above_its_bound() -> None:
    """½ Σ γ², on data without clusters, that a VAE of two epochs has hardly begun to use."""
    rate, _ = rates({"bn_gamma": 1.5})
    assert rate > 0.95 * 0.5 * 2 * 1.5**2


@pytest.mark.parametrize("batch_size", [128, 100])
def test_what_is_stored_is_measured_as_a_plain_vae(batch_size: int) -> None:
    cohort = replace(COHORT, model="vae", bn_gamma=GAMMA, batch_size=batch_size, runs=RUNS[:1])
    data = few(cohort)
    *_, end = events_by_run(cohort, data)["plain"]
    assert isinstance(end, RunEnd)
    again = measure(cohort, data, end.weights)
    plain = measure(replace(cohort, bn_gamma=0.0), data, end.weights)
    assert again == plain
    assert {name: end.metrics[name] for name in plain.metrics} == plain.metrics


def test_weights_of_an_epoch_are_of_an_encoder_of_x_alone() -> None:
    """Those that an animation keeps: of its epoch's own pass."""
    cohort = replace(COHORT, model="vae", bn_gamma=GAMMA, runs=RUNS[:1])
    data = few(cohort)
    training = Training(cohort, data, "cpu")
    list(training.epoch())
    weights = {name: tensor.unsqueeze(0) for name, tensor in training.weights("plain").items()}
    x = data.draw("train", 1, 1)[0][:256].unsqueeze(0)
    model = cohort.objective(data).model
    mean = mean_and_scale(model.encode(weights, x))[0][0]
    torch.testing.assert_close(
        mean.std(0, correction=0), torch.full((2,), GAMMA), rtol=1e-2, atol=0
    )
