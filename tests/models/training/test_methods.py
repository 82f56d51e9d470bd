"""Runs of the field's methods: the same alone and in any cohort, and after a stop, bit for bit."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mimsweep.models.data.loading import load
from mimsweep.models.training.cohort import Cohort
from mimsweep.models.training.runs import EpochEnd, Run, RunEnd
from tests.models.cohorts import (
    COHORT,
    RUNS,
    assert_goes_on,
    assert_independent,
    assert_same,
    events_by_run,
    few,
)

METHODS: list[dict[str, Any]] = [
    {"beta_end": 4.0},
    {"beta_end": 0.0},
    {"cycles": 2},
    {"free_bits": 0.3},
    {"bn_gamma": 0.7},
    {"beta_end": 0.3, "mmd": 10.0},
    {"importance_samples": 3},
    {"model": "cmim"},
    {"bn_gamma": 0.7, "importance_samples": 3},
    {"beta_end": 0.5, "free_bits": 0.3, "bn_gamma": 0.7, "mmd": 3.0, "cycles": 2},
]
SHAPES: list[dict[str, Any]] = [
    {"mid_dim": 50},
    {"dataset": "toy2_5", "mid_dim": 9, "z_dim": 3, "batch_size": 100, "layers": 3, "act": "swish"},
    {"z_dim": 1, "mid_dim": 1, "batch_size": 33, "act": "relu"},
    {"dataset": "toy2_5", "mid_dim": 9, "z_dim": 4, "layers": 1},
]


def cohort_of(method: dict[str, Any], **shape: Any) -> Cohort:
    return replace(COHORT, **{"model": "vae", **method, **shape})


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("shape", range(2))
def test_a_run_is_the_same_alone_and_in_any_cohort(method: dict[str, Any], shape: int) -> None:
    number = (METHODS.index(method) + 2 * shape) % len(SHAPES)
    assert_independent(cohort_of(method, **SHAPES[number]))


@pytest.mark.parametrize("method", METHODS[3:], ids=str)
def test_it_is_in_a_cohort_of_any_size(method: dict[str, Any]) -> None:
    for size in (2, 10):
        runs = tuple(Run(str(seed), seed, 1e-3, 1, 2) for seed in range(size))
        cohort = cohort_of(method, mid_dim=50, runs=runs)
        last = runs[-1]
        alone = events_by_run(replace(cohort, runs=(last,)))[last.key]
        assert_same(alone, events_by_run(cohort)[last.key])


@pytest.mark.parametrize("options", [{"q_zx_gmm": 2}, {"p_xz_gmm": 2}, {"p_z": "prior"}], ids=str)
@pytest.mark.parametrize("method", [{"importance_samples": 3}, {"model": "cmim"}], ids=str)
def test_it_is_with_other_distributions(method: dict[str, Any], options: dict[str, Any]) -> None:
    assert_independent(cohort_of(method, **options))


@pytest.mark.parametrize("dataset", ["toy4", "toy4_20"])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_each_method_trains(method: dict[str, Any], dataset: str) -> None:
    """Losses are finite and fall, and all that is measured is finite."""
    run = Run("run", seed=1, lr=1e-2, warmup=4, epochs=4)
    cohort = cohort_of(method, dataset=dataset, mid_dim=20, runs=(run,))
    *epochs, end = events_by_run(cohort, few(cohort, 12))["run"]
    assert isinstance(end, RunEnd)
    assert all(map(math.isfinite, end.metrics.values()))
    losses = [epoch.test_loss for epoch in epochs if isinstance(epoch, EpochEnd)]
    assert len(losses) == 4
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_a_run_goes_on_from_where_it_stood_in_any_cohort(method: dict[str, Any]) -> None:
    assert_goes_on(cohort_of(method, batch_size=100))


@pytest.mark.parametrize("name", ["beta_end", "cycles", "free_bits", "mmd", "importance_samples"])
def test_settings_that_are_default_change_nothing(name: str) -> None:
    """A VAE whose own setting is given trains as one that hasn't any."""
    default = {"beta_end": 1.0, "cycles": 1, "free_bits": 0.0, "mmd": 0.0, "importance_samples": 1}
    plain = cohort_of({}, runs=RUNS[:2])
    ours = events_by_run(plain)
    given = events_by_run(replace(plain, **{name: default[name]}))  # type: ignore[arg-type]
    for run in plain.runs:
        assert_same(ours[run.key], given[run.key])


@pytest.mark.parametrize(("cycles", "first"), [(1, 2), (2, 6)])
def test_the_best_epoch_is_one_of_those_whose_beta_stays(cycles: int, first: int) -> None:
    run = Run("run", seed=1, lr=1e-3, warmup=2, epochs=9)
    cohort = cohort_of({"cycles": cycles}, runs=(run,))
    *epochs, end = events_by_run(cohort, few(cohort))["run"]
    assert isinstance(end, RunEnd)
    assert end.metrics["best_epoch"] >= first
    losses = {each.epoch: each.test_loss for each in epochs if isinstance(each, EpochEnd)}
    counted = {epoch: loss for epoch, loss in losses.items() if epoch >= first}
    assert end.metrics["best_loss"] == min(counted.values())


def test_a_test_loss_is_the_objective_with_beta_at_its_end() -> None:
    """By it, and no other loss, epochs are compared: of a larger β it is larger from the start."""
    data = load("toy4", Path("nowhere"))
    firsts = []
    for beta_end in (0.5, 1.0, 4.0):
        run = Run("run", seed=1, lr=1e-9, warmup=5, epochs=1)
        cohort = cohort_of({"beta_end": beta_end}, runs=(run,))
        (epoch, _) = events_by_run(cohort, data)["run"]
        assert isinstance(epoch, EpochEnd)
        assert epoch.beta == pytest.approx(beta_end / 5)
        firsts.append(epoch.test_loss)
    rate = (firsts[1] - firsts[0]) / 0.5
    assert rate > 0
    assert firsts[2] == pytest.approx(firsts[1] + 3 * rate, rel=1e-4)
