"""MNIST and Fashion-MNIST as probabilities of bits, from the real files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mimsweep.models.data.augment import epoch_of
from mimsweep.models.data.base import is_binary
from mimsweep.models.data.grey import GreyImages
from mimsweep.models.data.idx import PIXELS, Images
from mimsweep.models.data.loading import load
from mimsweep.models.training.cohort import Cohort, train
from mimsweep.models.training.runs import EpochEnd, Run, RunEnd

FIRST_LABELS = {"mnist": [5, 0, 4, 1, 9], "fashion-mnist": [9, 0, 0, 3, 0]}


@pytest.fixture(scope="module", params=["mnist", "fashion-mnist"])
def images(request: pytest.FixtureRequest, data_dir: Path) -> GreyImages:
    data = load(request.param, data_dir)
    assert isinstance(data, GreyImages)
    return data


def test_files_are_read_whole(images: GreyImages) -> None:
    assert is_binary(images)
    assert (images.dims, images.classes) == (PIXELS, 10)
    assert images.items("train") == images.items("knn") == 60_000
    assert images.items("test") == images.items("final") == 10_000
    assert images.images.train_labels[:5].tolist() == FIRST_LABELS[images.name]


def test_test_items_are_levels_by_256_clamped(images: GreyImages) -> None:
    x, labels = images.draw("test", 1, 1)
    assert x.shape == (10_000, 784)
    levels = images.images.test.double()
    expected = (255 * (levels / 255) / 256).clamp(1e-3, 1 - 1e-3)
    torch.testing.assert_close(x.double(), expected, rtol=1e-6, atol=0)
    assert torch.equal(labels, images.images.test_labels)
    assert torch.equal(x, images.draw("final", 2, 7)[0])


def test_training_items_are_augmented_and_dequantised(images: GreyImages) -> None:
    x, labels = images.draw("train", 1, 1)
    assert x.shape == (60_000, 784)
    assert 1e-3 <= x.min() < x.max() <= 1 - 1e-3
    order, parts = epoch_of(images.images.train, ("data", images.name, "train", 1), 1)
    assert torch.equal(order.sort()[0], torch.arange(60_000))
    assert torch.equal(labels, images.images.train_labels[order])
    assert torch.equal(x[:200], next(parts))
    assert not torch.equal(labels, images.draw("train", 1, 2)[1])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mim", "vae"])
def test_it_trains(images: GreyImages, model: str) -> None:
    cohort = Cohort(
        dataset=images.name, model=model, z_dim=2, mid_dim=20, layers=2, act="tanh", inv_h=False,
        min_logvar=6, batch_size=100, q_x_samples="conditional",
        runs=tuple(Run(str(seed), seed, 1e-2, 1, 2) for seed in (1, 2)),
    )  # fmt: skip
    whole = images.images
    parts = (whole.train, whole.train_labels, whole.test, whole.test_labels)
    data = replace(images, images=Images(*(part[:1000] for part in parts)))
    events = list(train(cohort, data))
    losses = [event.test_loss for event in events if isinstance(event, EpochEnd)]
    assert losses[-1] < losses[0] < 600  # 784 bits at p = ½ cost 543 nats
    ends = [event for event in events if isinstance(event, RunEnd)]
    assert len(ends) == 2
    alone = list(train(replace(cohort, runs=cohort.runs[1:]), data))
    assert isinstance(alone[-1], RunEnd)
    assert alone[-1].metrics == ends[-1].metrics
