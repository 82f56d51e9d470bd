"""A run trains, and stops, as the study's text says."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mimsweep.models.data.base import DataSet, Split
from mimsweep.models.data.loading import load
from mimsweep.models.layout import named_views
from mimsweep.models.losses.base import Loss, Noise
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.steps.sampling import Sampler
from mimsweep.models.training.cohort import Cohort
from mimsweep.models.training.runs import EpochEnd, Run, RunEnd, RunFailed, Slot
from tests.models.cohorts import COHORT, RUNS, assert_same, events_by_run, few
from tests.models.minibatches import minibatches


def test_training_again_gives_the_same() -> None:
    first, second = events_by_run(COHORT), events_by_run(COHORT)
    for key in first:
        assert_same(first[key], second[key])


def test_seeds_rates_and_models_differ() -> None:
    ends = events_by_run(COHORT)
    losses = {events[0].train_loss for events in ends.values() if isinstance(events[0], EpochEnd)}
    assert len(losses) == len(RUNS)
    other = events_by_run(replace(COHORT, model="vae"))
    assert repr(other["plain"][0]) != repr(ends["plain"][0])


def test_order_and_content_of_events() -> None:
    for run, events in zip(RUNS, events_by_run(COHORT).values(), strict=True):
        *epochs, end = events
        assert isinstance(end, RunEnd)
        assert [type(epoch) for epoch in epochs] == [EpochEnd] * len(epochs)
        assert [epoch.epoch for epoch in epochs] == list(range(1, len(epochs) + 1))
        for epoch in epochs:
            assert epoch.beta == min(1, epoch.epoch / run.warmup)
            rate = min(epoch.epoch / run.warmup, math.sqrt(run.warmup / epoch.epoch))
            assert epoch.lr == pytest.approx(run.lr * rate)
        best, ran, loss = expected_end(run, [epoch.test_loss for epoch in epochs])
        assert (end.metrics["best_epoch"], end.metrics["epochs_run"]) == (best, ran)
        assert len(epochs) == ran
        assert end.metrics["best_loss"] == loss
        assert len(end.weights) == 8
        assert end.weights["encoder.0.weight"].shape == (9, 2)


def test_kept_weights_are_those_of_the_best_epoch() -> None:
    """They are the last ones of the same run, cut off at its best epoch."""
    cohort = replace(COHORT, runs=(replace(RUNS[5], seed=7, lr=0.6, epochs=8),))
    (*_, end) = events_by_run(cohort)["impatient"]
    assert isinstance(end, RunEnd)
    best = int(end.metrics["best_epoch"])
    assert best < end.metrics["epochs_run"]
    cut = replace(cohort, runs=(replace(cohort.runs[0], epochs=best),))
    (*_, last) = events_by_run(cut)["impatient"]
    assert isinstance(last, RunEnd)
    for name, weight in end.weights.items():
        assert torch.equal(weight, last.weights[name])
    assert {**end.metrics, "epochs_run": best} == last.metrics


def test_training_learns() -> None:
    cohort = replace(
        COHORT, model="vae", mid_dim=50, runs=(Run("run", 1, 1e-2, 2, 6),), batch_size=64
    )
    *epochs, end = events_by_run(cohort, few(cohort, 40))["run"]
    assert isinstance(epochs[0], EpochEnd)
    assert isinstance(end, RunEnd)
    assert 1.5 < end.metrics["best_loss"] < epochs[0].test_loss - 0.1  # H(P(x)) is about 1.65
    assert end.metrics["nll"] == pytest.approx(end.metrics["best_loss"], abs=0.1)
    assert end.metrics["knn5"] > 0.6


def test_a_run_that_is_not_finite_fails_alone() -> None:
    wild = Run("wild", seed=7, lr=1e30, warmup=1, epochs=6)
    cohort = replace(COHORT, runs=(RUNS[0], wild, *RUNS[1:3]))
    together = events_by_run(cohort)
    *_, failure = together["wild"]
    assert isinstance(failure, RunFailed)
    assert failure.epoch == len(together["wild"]) - 1
    assert str(failure.epoch) in failure.reason
    assert "nan" in failure.reason or "inf" in failure.reason
    assert_same(events_by_run(replace(cohort, runs=(wild,)))["wild"], together["wild"])
    for run in (RUNS[0], *RUNS[1:3]):
        assert_same(events_by_run(replace(cohort, runs=(run,)))[run.key], together[run.key])


def test_a_run_that_explodes_in_its_last_step_is_measured_all_the_same() -> None:
    """Its training loss, taken before the step, is finite: NaN metrics, and neighbours go on."""
    wild = Run("wild", seed=7, lr=1e30, warmup=1, epochs=1)
    cohort = replace(COHORT, runs=(wild, RUNS[0]))
    together = events_by_run(cohort, few(cohort, 1))
    epoch, end = together["wild"]
    assert isinstance(epoch, EpochEnd)
    assert isinstance(end, RunEnd)
    assert math.isfinite(epoch.train_loss)
    assert not math.isfinite(epoch.test_loss)
    assert math.isnan(end.metrics["mi"])
    assert math.isnan(end.metrics["knn5"])
    alone = events_by_run(replace(cohort, runs=(RUNS[0],)), few(cohort, 1))
    assert_same(alone["plain"], together["plain"])


@pytest.mark.parametrize("model", ["mim", "amim", "vae", "ae"])
@pytest.mark.parametrize("batch_size", [128, 33])
def test_training_is_what_the_text_says(model: str, batch_size: int) -> None:
    """Losses and best weights against torch.optim.Adam in float64, epoch by epoch."""
    runs = (Run("a", 1, 1e-3, 3, 5), Run("b", 2, 1e-2, 2, 5))
    cohort = replace(COHORT, model=model, batch_size=batch_size, runs=runs)
    data = few(cohort, 3)
    together = events_by_run(cohort, data)
    for run in runs:
        *epochs, end = together[run.key]
        assert isinstance(end, RunEnd)
        losses, weights = trained_in_float64(cohort, run, data)
        best = weights[int(end.metrics["best_epoch"]) - 1]
        for epoch, (train_loss, test_loss) in zip(epochs, losses, strict=True):
            assert isinstance(epoch, EpochEnd)
            assert epoch.train_loss == pytest.approx(train_loss, rel=1e-4)
            assert epoch.test_loss == pytest.approx(test_loss, rel=1e-4)
        for name, weight in end.weights.items():
            torch.testing.assert_close(weight.double(), best[name], rtol=1e-2, atol=2e-4)


def trained_in_float64(
    cohort: Cohort, run: Run, data: DataSet
) -> tuple[list[tuple[float, float]], list[dict[str, Tensor]]]:
    """One run by torch's own means: of each epoch (train loss, test loss), and the weights."""
    objective = cohort.objective(data)
    sampler = Sampler(data, cohort.batch_size, cohort.z_dim, torch.device("cpu"))
    shapes = objective.model.shapes()
    flat = initial_weights(shapes, run.seed).double().requires_grad_()
    adam = torch.optim.Adam([flat], lr=run.lr)

    def batch_losses(split: Split, epoch: int, beta: float, both: bool) -> Iterator[Loss]:
        names = objective.noise_names(both)
        for x, noise in minibatches(sampler, split, [(run.seed, epoch)], names):
            exact = {
                name: value.double() for name, value in vars(noise).items() if value is not None
            }
            betas = torch.full((1, 1), beta, dtype=torch.float64)
            yield objective(named_views(flat, shapes), x.double(), Noise(**exact), betas)

    def reported(loss: Loss) -> float:
        directions = [loss.encoder] if loss.decoder is None else [loss.encoder, loss.decoder]
        return sum(float(d[0, : cohort.batch_size].detach().mean()) for d in directions) / len(
            directions
        )

    losses, weights = [], []
    for epoch in range(1, run.epochs + 1):
        w = run.warmup
        adam.param_groups[0]["lr"] = run.lr * min(epoch / w, math.sqrt(w / epoch))
        beta, train_losses = min(1.0, epoch / w), []
        for loss in batch_losses("train", epoch, beta, both=epoch >= w):
            adam.zero_grad()
            loss.objective(cohort.batch_size).sum().backward()
            adam.step()
            train_losses.append(reported(loss))
        test_losses = [reported(loss) for loss in batch_losses("test", epoch, 1.0, both=True)]
        losses.append((float(np.mean(train_losses)), float(np.mean(test_losses))))
        views = named_views(flat.detach().clone(), shapes)
        weights.append({name: view[0] for name, view in views.items()})
    return losses, weights


def expected_end(run: Run, losses: list[float]) -> tuple[int, int, float]:
    """Section 4 as it reads: the best epoch, the number of epochs run, the best loss."""
    best, best_loss = 0, math.inf
    for epoch in range(1, run.epochs + 1):
        loss = losses[epoch - 1]
        if epoch >= run.warmup and loss < best_loss:  # the best is kept from epoch w on
            best, best_loss = epoch, loss
        if best and epoch >= run.warmup and epoch - best > run.warmup:  # w and one more
            return best, epoch, best_loss
    return (best, run.epochs, best_loss) if best else (run.epochs, run.epochs, losses[-1])


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 6),
    st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf]), min_size=1, max_size=30),
)
def test_early_stop(warmup: int, losses: list[float]) -> None:
    run = Run("run", 1, 1e-3, warmup, len(losses))
    best, ran, best_loss = expected_end(run, losses)
    slot, kept = Slot(run), 0
    while not slot.stopped:
        slot.epoch += 1
        if slot.judge(losses[slot.epoch - 1]):
            kept = slot.epoch
    assert (kept, slot.best_epoch, slot.epoch) == (best, best, ran)
    assert slot.best_loss == best_loss


@pytest.mark.parametrize(
    ("warmup", "losses", "best", "ran"),
    [
        (3, [0, 0, 5, 6, 6, 6, 6, 6], 3, 7),  # what was before epoch w doesn't count
        (3, [9, 9, 5, 6, 6, 4, 6, 6, 6, 6, 6], 6, 10),
        (3, [9, 9, 5, 5, 5, 5, 5, 5], 3, 7),  # a tie is no new best
        (3, [9, 8], 2, 2),
        (3, [8, 9], 2, 2),  # the last one counts
        (1, [1, 2, 3, 0], 1, 3),
        (2, [9, math.nan, 3, 4, 4, 4, 4], 3, 6),
        (2, [math.nan] * 4, 4, 4),
    ],
)
def test_early_stop_by_example(warmup: int, losses: list[float], best: int, ran: int) -> None:
    slot = Slot(Run("run", 1, 1e-3, warmup, len(losses)))
    while not slot.stopped:
        slot.epoch += 1
        slot.judge(losses[slot.epoch - 1])
    assert (slot.best_epoch, slot.epoch) == (best, ran)


def test_a_failed_slot_has_stopped() -> None:
    slot = Slot(RUNS[0], epoch=1)
    assert not slot.stopped
    slot.failed = True
    assert slot.stopped


@pytest.mark.parametrize("model", ["mim", "ae"])
def test_objective_of_a_cohort(model: str) -> None:
    objective = replace(COHORT, model=model, min_logvar=4, inv_h=True).objective(
        load("toy4_7", Path())
    )
    assert objective.model.x_dim == 7
    assert objective.model.min_scale == pytest.approx(1e-4)
    assert objective.model.fixed_encoder_scale == (model == "ae")
    assert objective.inv_h
