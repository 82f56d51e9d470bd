"""A cohort to train in a moment, what it comes to, and what it must be like."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from mimsweep.models.data.base import DataSet, Split, has_pairs
from mimsweep.models.data.loading import load
from mimsweep.models.training.cohort import Cohort, Training, train
from mimsweep.models.training.runs import Event, Run, RunEnd

RUNS = (
    Run("plain", seed=1, lr=1e-3, warmup=2, epochs=5),
    Run("same seed, other rate", seed=1, lr=1e-2, warmup=1, epochs=4),
    Run("leaves first", seed=2, lr=1e-3, warmup=3, epochs=1),
    Run("fewer epochs than warm-up", seed=3, lr=3e-3, warmup=4, epochs=2),
    Run("longest", seed=4, lr=1e-3, warmup=3, epochs=6),
    Run("impatient", seed=5, lr=0.3, warmup=1, epochs=6),
)


@dataclass(frozen=True)
class Few:
    """The first items of a data set."""

    whole: DataSet
    count: int

    @property
    def dims(self) -> int:
        return self.whole.dims

    @property
    def classes(self) -> int:
        return self.whole.classes

    @property
    def pairs(self) -> bool:
        return has_pairs(self.whole)

    def items(self, split: Split) -> int:
        return self.count

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        items, labels = self.whole.draw(split, seed, epoch)
        return items[: self.count], labels[: self.count]

    def log_prob(self, x: Tensor) -> Tensor | None:
        return self.whole.log_prob(x)


COHORT = Cohort(
    dataset="toy4",
    model="mim",
    z_dim=2,
    mid_dim=9,
    layers=2,
    act="tanh",
    inv_h=False,
    min_logvar=6,
    batch_size=128,
    q_x_samples="conditional",
    runs=RUNS,
)


def few(cohort: Cohort, minibatches: int = 2) -> Few:
    count = minibatches * cohort.batch_size + 7  # the 7 are dropped
    return Few(load(cohort.dataset, Path("nowhere")), count)


def events_by_run(cohort: Cohort, data: DataSet | None = None) -> dict[str, list[Event]]:
    events: dict[str, list[Event]] = {run.key: [] for run in cohort.runs}
    for event in train(cohort, data or few(cohort)):
        events[event.key].append(event)
    return events


def assert_same(ours: list[Event], others: list[Event]) -> None:
    assert len(ours) == len(others)
    for one, other in zip(ours, others, strict=True):
        if isinstance(one, RunEnd):
            assert isinstance(other, RunEnd)
            assert repr(one.metrics) == repr(other.metrics)  # NaN equals NaN here
            assert one.weights.keys() == other.weights.keys()
            for name, weight in one.weights.items():
                assert torch.equal(weight, other.weights[name]), name
        else:
            assert repr(one) == repr(other)


def assert_independent(cohort: Cohort, data: DataSet | None = None) -> None:
    together = events_by_run(cohort, data)
    shuffled = events_by_run(replace(cohort, runs=cohort.runs[::-2] + cohort.runs[-2::-2]), data)
    for run in cohort.runs:
        alone = events_by_run(replace(cohort, runs=(run,)), data)[run.key]
        assert_same(alone, together[run.key])
        assert_same(alone, shuffled[run.key])


def assert_goes_on(cohort: Cohort) -> None:
    """Stops two runs after two epochs; in another cohort they go on to the same."""
    data = few(cohort)
    whole = events_by_run(cohort, data)
    training = Training(cohort, data, "cpu")
    before = [*training.epoch(), *training.epoch()]
    (state,) = training.states()
    kept = [run for run in cohort.runs if run.key in ("plain", "longest")]
    going_on = Training(replace(cohort, runs=tuple(kept[::-1])), data, "cpu")
    for run in kept:
        row = state.keys.index(run.key)
        tensors = {name: tensor[row] for name, tensor in state.tensors.items()}
        going_on.restore(run.key, state.progress[row], tensors)
    after = []
    while going_on.live:
        after += going_on.epoch()
    for run in kept:
        events = [event for event in [*before, *after] if event.key == run.key]
        assert isinstance(events[-1], RunEnd)
        assert_same(events, whole[run.key])
