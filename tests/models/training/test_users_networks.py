"""Runs of users' networks: the same alone and in any cohort, bit for bit, and after a cut."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from mimsweep.models import registry
from mimsweep.models.steps import eager
from mimsweep.models.training.cohort import Training
from mimsweep.models.training.runs import EpochEnd, Event, Run, RunEnd
from tests.models.cohorts import COHORT, RUNS, assert_independent, assert_same, events_by_run, few
from tests.models.networks import DETOURS, MAKES, network

pytestmark = DETOURS

OPTIONS: list[dict[str, Any]] = [
    {"model": "vae"},
    {"model": "amim", "inv_h": True},
    {"model": "ae"},
    {"q_x_samples": "marginal"},
    {"p_z": "gmm-marginal", "p_z_gmm": 3},
    {"p_z": "prior", "p_z_gmm": 3, "learn_p_z": True, "q_x": "gmm-marginal", "q_x_gmm": 2},
    {"q_zx_gmm": 2, "p_xz_gmm": 3},
    {"dataset": "Toy2_5"},
    {"encoder": "mlp"},
    {"decoder": "mlp", "batch_size": 33},
]


# Three runs, of which one ends after the others: stacks of three, two and one.
THREE = replace(COHORT, dataset="toy2_5", runs=RUNS[:3])


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "NETWORKS", {})
    for name in MAKES:
        network(name)


@pytest.mark.parametrize("name", MAKES)
def test_a_run_is_the_same_alone_and_in_any_cohort(name: str) -> None:
    cohort = replace(THREE, z_dim=3, encoder=name, decoder=name)
    batch_size = (128, 100, 33)[len(name) % 3]
    assert_independent(replace(cohort, batch_size=batch_size))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_is_with_every_option(options: dict[str, Any]) -> None:
    name = ("convolutions", "residual", "attention")[OPTIONS.index(options) % 3]
    cohort = replace(THREE, encoder=name, decoder=name)
    assert_independent(replace(cohort, **options))


@pytest.mark.parametrize("name", ["convolutions", "residual", "attention"])
@pytest.mark.parametrize("size", [2, 3, 10])
def test_it_is_for_cohorts_of_any_size(name: str, size: int) -> None:
    runs = tuple(Run(str(seed), seed, 1e-3, 1, 2) for seed in range(size))
    cohort = replace(COHORT, dataset="toy2_5", mid_dim=20, encoder=name, decoder=name, runs=runs)
    together = events_by_run(cohort)
    for run in (runs[0], runs[-1]):
        assert_same(events_by_run(replace(cohort, runs=(run,)))[run.key], together[run.key])


def test_steps_are_eager_and_what_is_frozen_stays() -> None:
    cohort = replace(COHORT, encoder="tied", runs=RUNS[:1])
    training = Training(cohort, few(cohort))
    assert training._stack.steps is eager
    start = training.weights("plain")
    events = [event for _ in range(5) if training.live for event in training.epoch()]
    (end,) = (event for event in events if isinstance(event, RunEnd))
    assert all(math.isfinite(value) for value in end.metrics.values())
    for name, weight in start.items():
        frozen = name.startswith("encoder.features.")
        assert torch.equal(weight, end.weights[name]) == frozen, name


def test_a_perceptron_that_is_given_trains_as_ours_does_from_the_same_start() -> None:
    """Eager steps against compiled ones with a gradient by hand: other orders of sums."""
    theirs = replace(COHORT, dataset="toy4", encoder="perceptron", decoder="perceptron")
    data = few(theirs, 8)
    given, ours = Training(theirs, data), Training(COHORT, data)
    given._stack.weights.copy_(ours._stack.weights)
    for _ in range(2):
        one, other = list(given.epoch()), list(ours.epoch())
        for a, b in zip(one, other, strict=True):
            if isinstance(a, EpochEnd):
                assert isinstance(b, EpochEnd)
                assert a.train_loss == pytest.approx(b.train_loss, rel=1e-4)
                assert a.test_loss == pytest.approx(b.test_loss, rel=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("name", MAKES)
def test_a_gpu_and_a_cpu_agree(name: str) -> None:
    """Losses of an epoch differ by rounding that training amplifies."""
    cohort = replace(THREE, encoder=name, decoder=name)
    told = [Training(cohort, few(cohort), device) for device in ("cpu", "cuda")]
    for one, other in zip(*(list(each.epoch()) for each in told), strict=True):
        if isinstance(one, EpochEnd):
            assert isinstance(other, EpochEnd)
            assert one.train_loss == pytest.approx(other.train_loss, rel=2e-3, abs=2e-3)
            assert one.test_loss == pytest.approx(other.test_loss, rel=2e-3, abs=2e-3)


def test_it_goes_on_from_its_state_to_the_same_bits() -> None:
    cohort = replace(COHORT, encoder="convolutions", decoder="residual", runs=RUNS[:3])
    whole = events_by_run(cohort)
    data = few(cohort)
    cut = Training(cohort, data)
    events: dict[str, list[Event]] = {run.key: [] for run in cohort.runs}
    for event in cut.epoch():
        events[event.key].append(event)
    ((keys, progress, tensors),) = ((s.keys, s.progress, s.tensors) for s in cut.states())
    for key in keys:
        alone = replace(cohort, runs=tuple(run for run in cohort.runs if run.key == key))
        resumed = Training(alone, data)
        row = keys.index(key)
        resumed.restore(key, progress[row], {name: t[row] for name, t in tensors.items()})
        while resumed.live:
            events[key] += resumed.epoch()
        assert_same(events[key], whole[key])
