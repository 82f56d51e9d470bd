"""Counted numbers: the published vectors, an implementation in Python, and their distribution."""

import math

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from mimsweep.models.data.toys import toy_mixture
from mimsweep.models.philox import CHUNK, Word, Words, block, box_muller, fill
from mimsweep.models.streams import key

MASK = 0xFFFFFFFF
words = st.integers(0, MASK)


@numba.njit
def block_of(counter: Words, key: Words) -> tuple[np.uint32, ...]:
    return block(counter[0], counter[1], counter[2], counter[3], key[0], key[1])


@numba.njit(error_model="numpy")
def normals_of(first: Words, second: Words, out: NDArray[np.float32]) -> None:
    for i in range(len(first)):
        out[0, i], out[1, i] = box_muller(first[i], second[i])


def by_hand(counter: list[int], key: list[int]) -> list[int]:
    """Philox-4x32-10 in Python's integers, as the paper writes it."""
    left, right, (k0, k1) = [counter[0], counter[2]], [counter[1], counter[3]], key
    for _ in range(10):
        products = 0xD2511F53 * left[0], 0xCD9E8D57 * left[1]
        left = [(products[1] >> 32) ^ right[0] ^ k0, (products[0] >> 32) ^ right[1] ^ k1]
        right = [products[1] & MASK, products[0] & MASK]
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [left[0], right[0], left[1], right[1]]


ZEROS, ONES = " ".join(["00000000"] * 6), " ".join(["ffffffff"] * 6)
PI = "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0"
PUBLISHED = [
    (ZEROS, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (ONES, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (PI, "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("given_words", "expected"), PUBLISHED)
def test_the_published_vectors(given_words: str, expected: str) -> None:
    """Of Random123, the paper's own code: counter and key, and what comes of them."""
    numbers = np.array([int(word, 16) for word in given_words.split()], Word)
    assert [f"{word:08x}" for word in block_of(numbers[:4], numbers[4:])] == expected.split()


@settings(deadline=None)
@given(st.lists(words, min_size=4, max_size=4), st.lists(words, min_size=2, max_size=2))
def test_it_equals_an_implementation_by_hand(counter: list[int], key: list[int]) -> None:
    assert list(block_of(np.array(counter, Word), np.array(key, Word))) == by_hand(counter, key)


def filled(
    shape: tuple[int, ...],
    name: str = "a",
    epochs: tuple[int, ...] = (1,),
    first: int = 0,
    normal: bool = True,
) -> NDArray[np.float32]:
    out = np.empty((shape[0], len(epochs), *shape[1:]), np.float32)
    keys = np.stack([key("test", name)] * len(epochs))
    fill(out, shape[-1], keys, np.array(epochs, Word), first, normal)
    return out


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 2), st.integers(0, 299), st.integers(0, 2**31))
def test_a_number_is_that_of_its_counter(step: int, row: int, item: int, epoch: int) -> None:
    chunk, at = divmod(item, CHUNK)
    made = by_hand([32 * chunk + at % 32, row, step, epoch], key("test", "a").tolist())
    uniform = filled((6, 3, 300), epochs=(7, epoch), normal=False)
    assert uniform[step, 1, row, item] == (made[at // 32] >> 8) * 2.0**-24
    pair = made[:2] if at < 64 else made[2:]
    angle = 2 * math.pi * pair[1] / 2**32
    radius = math.sqrt(-2 * math.log(((pair[0] >> 1) + 0.5) / 2**31))
    expected = radius * (math.sin(angle) if at // 32 % 2 else math.cos(angle))
    normal = filled((6, 3, 300), epochs=(7, epoch))[step, 1, row, item]
    assert normal == pytest.approx(expected, rel=1e-5, abs=2e-6)


def test_normals_are_exact_to_float32() -> None:
    source = np.random.default_rng(1)
    extremes = np.array([0, 1, 2, 2**29, 2**30 - 1, 2**30, 2**31, 2**32 - 1], Word)
    first, second = (source.integers(0, 2**32, 200_000, dtype=Word) for _ in range(2))
    first[:64], second[:64] = np.repeat(extremes, 8), np.tile(extremes, 8)
    got = np.empty((2, len(first)), np.float32)
    normals_of(first, second, got)
    radius = np.sqrt(-2 * np.log(((first >> Word(1)) + 0.5) / 2**31))
    turn = 2 * np.pi * (second / 2**32)
    error = np.abs(got - radius * np.stack([np.cos(turn), np.sin(turn)]))
    # Next to u = 1 a float32 has no more digits, and the radius is next to 0.
    assert (error < np.where(radius < 1e-2, 1e-4, 2e-6)).all()


def test_numbers_do_not_depend_on_what_is_drawn_with_them() -> None:
    whole = filled((5, 4, 300), epochs=(3, 9))
    np.testing.assert_array_equal(
        filled((2, 3, 129), epochs=(9,), first=2), whole[2:4, 1:, :3, :129]
    )


def test_only_the_items_are_set() -> None:
    out = np.full((1, 1, 2, 160), 7, np.float32)
    fill(out, 100, key("a")[None], np.array([1], Word), 0, True)
    assert (out[..., 100:] == 7).all()
    assert (out[..., :100] != 7).all()


def streams() -> NDArray[np.float32]:
    """Rows of 20,000 normals that differ in one part of the name or the counter each."""
    names, items = ("a", "b", "c"), 20_000
    by_row = filled((1, 3, items))[0, 0]
    by_step = filled((3, 1, items), first=1)[:, 0, 0]
    by_epoch = filled((1, 1, items), epochs=(2, 3, 4))[0, :, 0]
    by_key = np.concatenate([filled((1, 1, items), name)[0, 0] for name in names[1:]])
    return np.concatenate([by_row, by_step, by_epoch, by_key])


def test_numbers_are_standard_normal_and_uncorrelated() -> None:
    rows = streams()
    for row in rows:
        assert stats.kstest(row, "norm").pvalue > 1e-4
        assert abs(np.corrcoef(row[:-1], row[1:])[0, 1]) < 5 / 20_000**0.5
        # A pair of Box and Muller's is 32 apart; neither they nor their squares are correlated.
        for power in (1, 2):
            pairs = row[:19_968].reshape(-1, 2, 32) ** power
            assert abs(np.corrcoef(pairs[:, 0].ravel(), pairs[:, 1].ravel())[0, 1]) < 0.05
    apart = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(apart).max() < 5 / 20_000**0.5
    assert len(np.unique(np.round(rows, 6))) > 0.9 * len(np.unique(rows))


def test_uniform_numbers_are_uniform() -> None:
    values = filled((3, 2, 20_000), normal=False).ravel()
    assert 0 <= values.min() < values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 1e-4


def test_tails_reach_as_far_as_they_should() -> None:
    values = np.abs(filled((40, 50, 1000)).ravel())
    for at in (3.0, 4.0, 4.5):
        expected = len(values) * 2 * stats.norm.sf(at)
        assert abs((values > at).sum() - expected) < 5 * expected**0.5


@pytest.mark.parametrize("name", ["toy4", "Toy4"])
def test_points_of_a_mixture_are_counted(name: str) -> None:
    mixture = toy_mixture(name, 4, 3)
    points, labels = mixture.draw("train", 5, 2)
    counted = key("data", name, "train", 5).tolist()
    for item in (0, 31, 32, 127, 128, 9_999):
        chunk, at = divmod(item, CHUNK)
        choice = by_hand([32 * chunk + at % 32, 0, 0, 2], counted)[at // 32]
        assert int(labels[item]) == choice * 5 >> 32
    normals = (points.view(len(points), -1, 3) - mixture.means[labels][:, None]) / mixture.scale
    out = np.empty((1, 1, 1 + points.shape[1], 10_000), np.float32)
    fill(out, 10_000, key("data", name, "train", 5)[None], np.array([2], Word), 0, True)
    expected = torch.from_numpy(out[0, 0, 1:]).T
    torch.testing.assert_close(normals.flatten(1).float(), expected, rtol=1e-3, atol=1e-4)
    assert stats.chisquare(labels.bincount().numpy()).pvalue > 1e-4
