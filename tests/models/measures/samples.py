"""Pairs of points of all kinds, and a GPU where there is none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from mimsweep.models.measures import bounds, buckets, knn, tiles

Points = NDArray[np.float64]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Points, Points, int]:
    """Points in clusters far apart or near, on a grid (ties), with duplicates and constants."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, k = draw(st.integers(12, 400)), draw(st.integers(1, 10))
    label = rng.integers(draw(st.integers(1, 5)), size=count)
    spaces = []
    for _ in range(2):
        dims = draw(st.integers(1, 12))
        centres = rng.normal(size=(5, dims)) * draw(st.sampled_from([0.0, 1.0, 1e3]))
        p = centres[label] + rng.normal(size=(count, dims)) * draw(st.sampled_from([1e-9, 0.1, 1]))
        if draw(st.booleans()):
            p = np.round(p * draw(st.sampled_from([2.0, 20.0])))
        if draw(st.booleans()):
            p[:, rng.integers(dims)] = 3.0
        if draw(st.booleans()):
            p *= 10.0 ** rng.integers(-4, 5, size=dims)
        spaces.append(p)
    copies = draw(st.integers(0, count))
    source = rng.integers(count, size=copies)
    return spaces[0][[*range(count), *source]], spaces[1][[*range(count), *source]], k


@contextmanager
def pretended_gpu() -> Iterator[Callable[[Tensor], Tensor]]:
    """Yields what puts tensors on a GPU that has their shapes and no values.

    In here torch refuses what mixes devices as it does with a GPU.
    """
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield lambda tensor: mode.from_tensor(tensor).to("cuda")


def let_a_cpu_be_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets what is made for a GPU compute, on a CPU, wherever it's given tensors; nothing else."""
    monkeypatch.setattr(tiles, "on_gpu", lambda values: isinstance(values, Tensor))
    monkeypatch.delattr(buckets, "closer_counts")
    monkeypatch.delattr(knn, "_nearest")
    monkeypatch.delattr(bounds, "sums_of_gaussians")
