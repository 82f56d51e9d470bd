"""Minibatches: a run's own, whoever is beside it; cut, padded and shared as promised."""

from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from mimsweep.models.layout import padded
from mimsweep.models.losses.base import Noise
from mimsweep.models.steps.counted import SeedEpoch
from mimsweep.models.steps.sampling import ITEMS_AT_ONCE, Sampler
from mimsweep.models.streams import generator
from tests.models.minibatches import minibatches

NAMES = ("z", "anchor", "x", "z_marginal")


@dataclass(frozen=True)
class Numbers:
    """A data set whose items tell where they come from."""

    count: int = 450
    dims: int = 3
    classes: int = 2
    drawn: list = field(default_factory=list)

    def items(self, split: str) -> int:
        return self.count

    def draw(self, split: str, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        self.drawn.append((split, seed, epoch))
        source = generator("numbers", split, seed, epoch)
        return torch.rand(self.count, self.dims, generator=source) + 1, torch.zeros(self.count)

    def log_prob(self, x: Tensor) -> None:
        return None


def sampler(data: Numbers, batch_size: int) -> Sampler:
    return Sampler(data, batch_size, 2, torch.device("cpu"))


def epoch_of(
    data: Numbers, batch_size: int, seed_epochs: list[SeedEpoch], names: tuple[str, ...] = NAMES
) -> list[tuple[Tensor, Noise]]:
    return list(minibatches(sampler(data, batch_size), "train", seed_epochs, names))


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(130, 700),
    batch_size=st.integers(1, 130),
    seed_epochs=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4),
)
def test_shapes_order_and_padding(
    count: int, batch_size: int, seed_epochs: list[SeedEpoch]
) -> None:
    data = Numbers(count)
    batches = epoch_of(data, batch_size, seed_epochs)
    size = padded(batch_size)
    assert len(batches) == sampler(data, batch_size).count("train") == count // batch_size
    for x, noise in batches:
        assert x.shape == noise.x.shape == (len(seed_epochs), size, 3)
        assert noise.z.shape == noise.anchor.shape == (len(seed_epochs), size, 2)
        for tensor in (x, noise.x, noise.z, noise.anchor):
            first = tensor[:, :1].expand(-1, size - batch_size, -1)
            assert torch.equal(tensor[:, batch_size:], first)
    for run, (seed, epoch) in enumerate(seed_epochs):
        items = data.draw("train", seed, epoch)[0]
        joined = torch.cat([x[run, :batch_size] for x, _ in batches])
        assert torch.equal(joined, items[: len(joined)])
        assert count - len(joined) < batch_size


@pytest.mark.parametrize("batch_size", [128, 100, 33, 32, 1])
def test_minibatches_do_not_depend_on_the_runs_beside(batch_size: int) -> None:
    data = Numbers()
    seed_epochs = [(1, 4), (2, 4), (1, 4), (3, 9), (1, 5)]
    together = epoch_of(data, batch_size, seed_epochs)
    backwards = epoch_of(data, batch_size, seed_epochs[::-1])
    for run, seed_epoch in enumerate(seed_epochs):
        alone = epoch_of(data, batch_size, [seed_epoch])
        assert len(alone) == len(together)
        for one, many, back in zip(alone, together, backwards, strict=True):
            assert torch.equal(one[0][0], many[0][run])
            assert torch.equal(one[0][0], back[0][-1 - run])
            for name in NAMES:
                own = getattr(one[1], name)[0]
                assert torch.equal(own, getattr(many[1], name)[run])
                assert torch.equal(own, getattr(back[1], name)[-1 - run])


def test_memory_is_feature_major_and_aligned() -> None:
    for batch_size in (128, 100, 33):
        for x, noise in epoch_of(Numbers(), batch_size, [(1, 1), (2, 1), (3, 1)]):
            for tensor in (x, noise.z, noise.x):
                assert tensor.mT.is_contiguous()
                assert tensor.data_ptr() % 64 == 0


def test_unwanted_noise_is_none_and_what_is_wanted_does_not_depend_on_it() -> None:
    few, all_of_it = (epoch_of(Numbers(), 128, [(1, 1)], names) for names in (("z",), NAMES))
    for (_, one), (_, other) in zip(few, all_of_it, strict=True):
        assert one.anchor is one.x is one.z_marginal is None
        assert torch.equal(one.z, other.z)


def test_runs_of_one_seed_share_the_drawing_of_data() -> None:
    data = Numbers()
    epoch_of(data, 128, [(1, 1), (2, 1), (1, 1), (1, 2)])
    assert data.drawn == [("train", 1, 1), ("train", 2, 1), ("train", 1, 2)]


def test_data_do_not_depend_on_z_dim_or_batch_size() -> None:
    data = Numbers()
    items = []
    for batch_size, z_dim in ((128, 2), (64, 5)):
        source = Sampler(data, batch_size, z_dim, torch.device("cpu"))
        batches = minibatches(source, "train", [(1, 1)], ("z",))
        items.append(torch.cat([x[0, :batch_size] for x, _ in batches]))
    assert torch.equal(items[0][:384], items[1][:384])


def test_all_noise_is_standard_normal_and_drawn_once() -> None:
    """Over names, splits, seeds, epochs and the parts of a long epoch."""
    data = Numbers(count=ITEMS_AT_ONCE * 2 + 500)
    source = Sampler(data, 100, 2, torch.device("cpu"))
    assert source.count("train") == 205  # parts of 100, 100 and 5 minibatches
    streams = []
    for split, seed_epoch in [
        ("train", (1, 1)),
        ("train", (1, 2)),
        ("train", (2, 1)),
        ("test", (1, 1)),
    ]:
        batches = list(minibatches(source, split, [seed_epoch], NAMES))
        streams += [
            torch.cat([getattr(noise, name)[0, :100].flatten() for _, noise in batches])
            for name in NAMES
        ]
    values = torch.cat(streams)
    joined = torch.cat([stream.view(205, -1)[:, :100] for stream in streams])
    assert len(joined.unique(dim=0)) == len(joined)
    firsts = torch.stack([stream[:40_000] for stream in streams])
    assert torch.corrcoef(firsts).fill_diagonal_(0).abs().max() < 5 / 40_000**0.5
    assert stats.kstest(values[:: len(values) // 20_000].numpy(), "norm").pvalue > 1e-3


def test_parts_join_without_seam() -> None:
    data = Numbers(count=ITEMS_AT_ONCE * 2 + 500)
    batches = epoch_of(data, 100, [(1, 1), (2, 3)])
    for run, seed_epoch in enumerate([(1, 1), (2, 3)]):
        joined = torch.cat([x[run, :100] for x, _ in batches])
        assert torch.equal(joined, data.draw("train", *seed_epoch)[0][:20_500])
