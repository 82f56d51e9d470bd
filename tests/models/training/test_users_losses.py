"""Runs of a user's loss: the same alone and in any cohort, and after a stop, bit for bit."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mimsweep.models import parts, registry
from mimsweep.models.nets.one import RunModel
from mimsweep.models.training.cohort import Training
from mimsweep.models.training.runs import Run
from tests.models.cohorts import (
    COHORT,
    RUNS,
    assert_goes_on,
    assert_independent,
    assert_same,
    events_by_run,
    few,
)
from tests.models.losses.test_users import LOSSES, wae

OPTIONS: list[dict[str, Any]] = [
    {},
    {"act": "swish", "layers": 3, "z_dim": 3, "dataset": "toy2_5"},
    {"act": "relu", "mid_dim": 1, "z_dim": 1, "layers": 1},
    {"q_zx_gmm": 3, "p_xz_gmm": 2, "p_z": "prior", "p_z_gmm": 3},
    {"p_z": "gmm-marginal", "p_z_gmm": 3},
]


def odd(model: RunModel, x: Tensor, noise: Any, beta: Tensor) -> Tensor:
    """Functions that torch computes otherwise in the last elements of a tensor, and statistics."""
    z, prior = model.encode(x).sample(noise.z), model.sample_p_z(noise.prior)
    curved = torch.sigmoid(z).pow(1.3) + torch.nn.functional.softplus(z) + torch.erf(z) + z.atan()
    spread = z.std(0).sum() + torch.sigmoid(z.mean(0)).log().sum() + torch.linalg.det(z.mT @ z)
    order = z.sort(dim=0).values.diff(dim=0).square().sum()
    near = torch.cdist(z, prior).mean(1) + torch.softmax(z @ z.mT, 1).amax(1)
    return curved.sum(-1) + spread + order + near - model.decode(z).log_prob(x)


@pytest.fixture(autouse=True)
def losses(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"odd": parts.Loss(odd, {"prior": "p_z"})}
    for name, loss in {**LOSSES, **own}.items():
        monkeypatch.setitem(registry.LOSSES, name, loss)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("model", "batch_size"), [("odd", 128), ("odd", 33), ("iwae", 100)])
def test_a_run_is_the_same_alone_and_in_any_cohort(
    options: dict[str, Any], model: str, batch_size: int
) -> None:
    assert_independent(replace(COHORT, model=model, batch_size=batch_size, **options))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [128, 100])
def test_it_is_with_decoder_samples_and_with_one_number_for_a_minibatch(batch_size: int) -> None:
    assert_independent(replace(COHORT, model="own_mim", batch_size=batch_size))
    assert_independent(
        replace(COHORT, model="wae", batch_size=batch_size, declared={"alpha": 10.0})
    )


@pytest.mark.parametrize("size", [1, 2, 3, 10, 17])
def test_it_is_in_cohorts_of_any_size(size: int) -> None:
    runs = tuple(Run(str(seed), seed, 1e-3, 1, 2) for seed in range(size))
    cohort = replace(COHORT, model="wae", mid_dim=50, runs=runs, declared={"alpha": 10.0})
    alone = events_by_run(replace(cohort, runs=runs[-1:]))[runs[-1].key]
    assert_same(alone, events_by_run(cohort)[runs[-1].key])


@pytest.mark.parametrize("model", ["vae", "mim"])
def test_our_losses_written_for_one_run_train_as_ours_do(model: str) -> None:
    """Ours take fused steps, theirs torch's: they differ in rounding."""
    runs = {name: replace(COHORT, model=name, runs=RUNS[:1]) for name in (model, f"own_{model}")}
    (one, *_), (other, *_) = (events_by_run(cohort)["plain"] for cohort in runs.values())
    assert one.test_loss == pytest.approx(other.test_loss, rel=1e-5) or model == "mim"
    assert one.train_loss == pytest.approx(other.train_loss, rel=1e-5)


def test_runs_of_other_fields_are_other_runs() -> None:
    cohorts = [
        replace(COHORT, model="wae", runs=RUNS[:1], declared={"alpha": alpha})
        for alpha in (1.0, 10.0)
    ]
    one, other = (events_by_run(cohort)["plain"] for cohort in cohorts)
    assert repr(one[0]) != repr(other[0])


@pytest.mark.parametrize("batch_size", [128, 33])
def test_a_run_goes_on_from_where_it_stood_in_any_cohort(batch_size: int) -> None:
    assert_goes_on(replace(COHORT, model="wae", batch_size=batch_size, declared={"alpha": 2.0}))


def test_the_items_beyond_the_batch_size_are_never_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, ...]] = []

    def seen(model: RunModel, x: Tensor, noise: Any, beta: Tensor, *, alpha: float) -> Tensor:
        sizes.extend(tuple(values.shape) for values in (x, noise.z, noise.prior))
        return wae(model, x, noise, beta, alpha=alpha)

    loss = replace(LOSSES["wae"], function=seen)
    monkeypatch.setitem(registry.LOSSES, "seen", loss)
    cohort = replace(COHORT, model="seen", batch_size=100, runs=RUNS[:2], declared={"alpha": 1.0})
    list(Training(cohort, few(cohort), "cpu").epoch())
    assert set(sizes) == {(100, 2), (4, 100, 2)}
