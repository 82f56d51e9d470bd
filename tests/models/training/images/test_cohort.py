"""A run of an image model is the same alone and in a cohort, whole or resumed, bit for bit."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mimsweep.models.data.binarised import ImageSet, load_images
from mimsweep.models.training.images.cohort import ImageCohort, ImageTraining, PatientSlot
from mimsweep.models.training.runs import CohortState, EpochEnd, Event, Run, RunEnd, RunFailed
from tests.models.cohorts import assert_same

RUNS = (
    Run("first", seed=1, lr=5e-4, warmup=2, epochs=3),
    Run("second", seed=2, lr=1e-3, warmup=1, epochs=2),
)
COHORT = ImageCohort(
    dataset="dynamic_mnist",
    model="convhvae_2level-smim",
    z_dim=3,
    batch_size=5,
    prior="vampprior",
    pseudo_inputs=5,
    use_training_data_init=True,
    patience=50,
    likelihood_samples=2,
    train_items=12,
    test_items=7,
    runs=RUNS,
)
PIXEL = replace(COHORT, model="pixelhvae_2level-amim")
STANDARD = replace(COHORT, model="pixelhvae_2level", prior="standard")


@pytest.fixture(scope="module")
def digits(data_dir: Path) -> ImageSet:
    return load_images("dynamic_mnist", data_dir, COHORT.train_items, COHORT.test_items)


def finished(training: ImageTraining) -> dict[str, list[Event]]:
    events: dict[str, list[Event]] = {key: [] for key in training.live}
    while training.live:
        for event in training.epoch():
            events[event.key].append(event)
    return events


@pytest.mark.parametrize("cohort", [COHORT, PIXEL, STANDARD], ids=lambda c: c.model)
def test_a_run_is_itself_alone_in_a_cohort_and_resumed(
    cohort: ImageCohort, digits: ImageSet
) -> None:
    together = finished(ImageTraining(cohort, digits))
    alone = ImageTraining(replace(cohort, runs=RUNS[:1]), digits)
    first: list[Event] = list(alone.epoch())
    (state,) = alone.states()
    assert state.keys == ["first"]
    resumed = ImageTraining(replace(cohort, runs=RUNS[::-1]), digits)
    rows = {name: tensor[0].clone() for name, tensor in state.tensors.items()}
    resumed.restore("first", state.progress[0], rows)
    assert_same(first + finished(resumed)["first"], together["first"])
    assert_same(first + finished(alone)["first"], together["first"])
    end = together["first"][-1]
    assert isinstance(end, RunEnd)
    assert end.metrics["epochs_run"] == 3
    assert all(math.isfinite(value) for value in end.metrics.values())
    epochs = [event for event in together["first"] if isinstance(event, EpochEnd)]
    assert [event.beta for event in epochs] == [0.5, 1, 1]
    assert [event.lr for event in epochs] == [5e-4] * 3


def test_a_state_has_a_row_for_each_run(digits: ImageSet) -> None:
    training = ImageTraining(PIXEL, digits)
    list(training.epoch())
    (state,) = training.states()
    assert state.keys == ["first", "second"]
    for name, tensor in state.tensors.items():
        assert tensor.shape[0] == 2, name
    assert state.tensors["weights"].shape == state.tensors["best"].shape
    # Batch norms' statistics are weights that Adam doesn't move: 8 layers of 2·64.
    assert state.tensors["weights"].shape[1] - state.tensors["adam.first"].shape[1] == 8 * 128
    training.drop(["first"])
    assert training.live == ["second"]
    for name, tensor in training.states()[0].tensors.items():
        assert torch.equal(tensor[0], state.tensors[name][1])
    training.drop(["second"])
    assert training.states() == [CohortState([], [], {})]


def test_weights_are_copies_by_name(digits: ImageSet) -> None:
    training = ImageTraining(replace(COHORT, runs=RUNS[:1]), digits)
    before = training.weights("first")
    kept = {name: weight.clone() for name, weight in before.items()}
    list(training.epoch())
    after = training.weights("first")
    assert all(torch.equal(before[name], kept[name]) for name in kept)
    assert not torch.equal(before["pseudo_inputs"], after["pseudo_inputs"])
    assert set(before) == set(after)


def test_added_runs_are_themselves(digits: ImageSet) -> None:
    training = ImageTraining(replace(COHORT, runs=RUNS[:1]), digits)
    events = list(training.epoch())
    training.add(RUNS[1:])
    assert training.live == ["first", "second"]
    alone = ImageTraining(replace(COHORT, runs=RUNS[1:]), digits)
    own = [event for event in training.epoch() if event.key == "second"]
    assert_same(own, list(alone.epoch()))
    assert all(event.key == "first" for event in events)


def test_loss_falls(digits: ImageSet) -> None:
    run = Run("run", seed=1, lr=2e-3, warmup=1, epochs=4)
    cohort = replace(COHORT, model="convhvae_2level", prior="standard", runs=(run,))
    events = finished(ImageTraining(cohort, digits))["run"]
    losses = [event.test_loss for event in events if isinstance(event, EpochEnd)]
    assert losses[-1] < losses[0] < 784 * math.log(2)  # what fair coins cost


def test_a_run_that_explodes_fails_and_takes_none_with_it(digits: ImageSet) -> None:
    wild = Run("wild", seed=1, lr=1e30, warmup=1, epochs=9)
    events = finished(ImageTraining(replace(COHORT, runs=(wild, RUNS[1])), digits))
    failure = events["wild"][-1]
    assert isinstance(failure, RunFailed)
    assert "training loss turned" in failure.reason
    assert isinstance(events["second"][-1], RunEnd)


def stop_of_the_study(losses: list[float], warmup: int, patience: int) -> tuple[int, int]:
    """The study's count, literally: epochs trained, and the best epoch."""
    best, best_epoch, count, epoch = math.inf, 0, 0, 0
    for epoch, loss in enumerate(losses, start=1):
        if loss < best:
            best, best_epoch, count = loss, epoch, 0
        else:
            count += 1
            if epoch < warmup:
                count = 0
            if count > patience:
                break
    return epoch, best_epoch


@given(
    losses=st.lists(st.integers(1, 9).map(float), min_size=1, max_size=30),
    warmup=st.integers(1, 12),
    patience=st.integers(0, 6),
)
def test_early_stop_is_the_studys(losses: list[float], warmup: int, patience: int) -> None:
    run = Run("run", seed=1, lr=1e-3, warmup=warmup, epochs=len(losses))
    slot = PatientSlot(run, patience=patience)
    for loss in losses:
        slot.epoch += 1
        slot.judge(loss)
        if slot.stopped:
            break
    assert (slot.epoch, slot.best_epoch) == stop_of_the_study(losses, warmup, patience)


def test_without_a_number_the_last_epoch_counts() -> None:
    slot = PatientSlot(Run("run", seed=1, lr=1e-3, warmup=1, epochs=2), patience=5)
    for _ in range(2):
        slot.epoch += 1
        kept = slot.judge(math.nan)
    assert kept
    assert slot.best_epoch == 2


@pytest.mark.gpu
def test_a_gpu_gives_the_likelihood_of_a_cpu(data_dir: Path) -> None:
    """bfloat16 layers train to the same likelihood: seeds differ by more than devices do."""
    data = load_images("dynamic_mnist", data_dir, 5_000, 500)
    run = Run("run", seed=1, lr=1e-3, warmup=2, epochs=5)
    for model in ("convhvae_2level", "pixelhvae_2level"):
        cohort = replace(
            COHORT, model=model, z_dim=40, batch_size=100, pseudo_inputs=50, runs=(run,),
            likelihood_samples=50,
        )  # fmt: skip
        found = {}
        for device in ("cpu", "cuda"):
            end = finished(ImageTraining(cohort, data, device))["run"][-1]
            assert isinstance(end, RunEnd)
            found[device] = end.metrics["log_likelihood"]
        assert abs(found["cuda"] / found["cpu"] - 1) < 0.02, (model, found)
