"""Which items are measured where there are many, and what is left out where there is one class."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from mimsweep.models.data.base import Split
from mimsweep.models.layout import named_views
from mimsweep.models.measures import latent
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.steps.sampling import Sampler
from mimsweep.models.streams import generator

KS = ("knn1", "knn3", "knn5", "knn10")


@dataclass(frozen=True)
class Blobs:
    """Points around two corners, told apart by their labels, if there are any."""

    classes: int = 2
    count: int = 2000
    dims: int = 2

    def items(self, split: Split) -> int:
        return self.count

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        source = generator("blobs", split, seed, epoch)
        labels = torch.randint(0, 2, (self.count,), generator=source)
        x = torch.randn(self.count, 2, generator=source) + 2 * labels[:, None]
        return x, labels if self.classes == 2 else 0 * labels

    def log_prob(self, x: Tensor) -> None:
        return None


def measured(data: Blobs, batch_size: int = 32) -> dict[str, float]:
    model = LatentModel(2, 2, 9, 2, "tanh", 1e-6)
    weights = named_views(initial_weights(model.shapes(), 1, {}), model.shapes())
    sampler = Sampler(data, batch_size, 2, torch.device("cpu"))
    return latent.evaluate(model, weights, sampler, 1).metrics


def test_of_one_class_there_is_no_accuracy() -> None:
    with_labels, without = measured(Blobs(classes=2)), measured(Blobs(classes=1))
    assert {*KS} < {*with_labels}
    assert with_labels == {**without, **{name: with_labels[name] for name in KS}}
    assert not {*KS} & {*without}


@pytest.mark.parametrize(("pairs", "neighbours", "batch_size"), [(300, 500, 32), (301, 333, 100)])
def test_neighbours_are_the_first_ones_of_a_pass_and_the_first_test_items(
    monkeypatch: pytest.MonkeyPatch, pairs: int, neighbours: int, batch_size: int
) -> None:
    given: list[Any] = []
    accuracy = latent.knn_accuracy

    def heard(*arguments: Tensor) -> dict[int, float]:
        given.append(arguments)
        return accuracy(*arguments)

    monkeypatch.setattr(latent, "knn_accuracy", heard)
    whole = measured(Blobs(), batch_size)
    monkeypatch.setattr(latent, "MOST_PAIRS", pairs)
    monkeypatch.setattr(latent, "MOST_NEIGHBOURS", neighbours)
    few = measured(Blobs(), batch_size)
    counts = [neighbours, neighbours, pairs, pairs]
    for everything, some, count in zip(*given, counts, strict=True):
        assert torch.equal(some, everything[:count])
    assert any(few[name] != whole[name] for name in KS)
    assert few["rmse"] == whole["rmse"]  # of all items
