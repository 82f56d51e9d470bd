"""KNN accuracy against scikit-learn's classifier."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from mimsweep.models.measures.knn import _nearest, knn_accuracy
from tests.models.measures.samples import let_a_cpu_be_the_gpu

KS = (1, 3, 5, 10)


def points(
    count: int, dims: int, classes: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Overlapping clusters, as float32 latents, with their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    centres = np.random.default_rng(dims).normal(size=(classes, dims))
    return (centres[labels] + rng.normal(size=(count, dims))).astype(np.float32), labels


@pytest.mark.parametrize("dims", [1, 2, 8, 20])
@pytest.mark.parametrize("count", [10, 127, 128, 129, 3000])
def test_equals_scikit_learn(dims: int, count: int) -> None:
    train, train_labels = points(count, dims, 5, 1)
    test, test_labels = points(500, dims, 5, 2)
    ours = knn_accuracy(train, train_labels, test, test_labels, KS)
    for k in KS:
        theirs = KNeighborsClassifier(k, algorithm="kd_tree").fit(train, train_labels)
        assert ours[k] == theirs.score(test, test_labels)


def test_neighbours_far_from_the_origin() -> None:
    """Clusters far apart and tight: float32 still tells the neighbours in them."""
    rng = np.random.default_rng(0)
    centres = 1e3 * rng.normal(size=(5, 4))
    train = (centres[rng.integers(5, size=2000)] + 0.01 * rng.normal(size=(2000, 4))).astype("f4")
    test = (centres[rng.integers(5, size=300)] + 0.01 * rng.normal(size=(300, 4))).astype("f4")
    apart = ((test[:, None].astype("f8") - train[None].astype("f8")) ** 2).sum(axis=2)
    ours = np.take_along_axis(apart, _nearest(train, test, 10), axis=1)
    np.testing.assert_array_equal(ours, np.sort(apart, axis=1)[:, :10])


@pytest.mark.parametrize("dims", [1, 2, 4, 12])
def test_of_points_equally_far_the_earlier_is_nearer(dims: int) -> None:
    rng = np.random.default_rng(dims)
    train = rng.integers(3, size=(1000, dims)).astype("f4")
    test = rng.integers(3, size=(300, dims)).astype("f4")
    apart = ((test[:, None].astype("f8") - train[None].astype("f8")) ** 2).sum(axis=2)
    expected = np.argsort(apart, axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(_nearest(train, test, 10), expected)


def test_values_that_float32_squares_to_infinity() -> None:
    train = np.linspace(-3e38, 3e38, 400, dtype="f4")[:, None] * np.ones((1, 2), "f4")
    nearest = _nearest(train, train, 3)
    assert (nearest[:, 0] == np.arange(400)).all()
    assert (np.abs(nearest - np.arange(400)[:, None]) <= 2).all()


def test_ties_go_to_the_smallest_label() -> None:
    train = np.array([[0.0], [1.0], [3.0], [4.0]])
    labels = np.array([7, 2, 2, 7])
    test = np.array([[0.1], [3.9]])
    accuracy = knn_accuracy(train, labels, test, np.array([7, 2]), ks=(1, 2, 4))
    assert accuracy == {1: 0.5, 2: 0.5, 4: 0.5}
    model = KNeighborsClassifier(2).fit(train, labels)
    assert model.score(test, np.array([7, 2])) == accuracy[2]


def test_chance_where_latents_know_nothing() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 10
    accuracy = knn_accuracy(rng.normal(size=(2000, 5)), labels, rng.normal(size=(2000, 5)), labels)
    assert list(accuracy) == list(KS)
    assert list(accuracy.values()) == pytest.approx([0.1] * 4, abs=0.03)


def test_neighbours_of_a_gpu_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    train, train_labels = points(3000, 8, 5, 1)
    test, test_labels = points(500, 8, 5, 2)
    expected = knn_accuracy(train, train_labels, test, test_labels, KS)
    let_a_cpu_be_the_gpu(monkeypatch)
    tensors = torch.from_numpy(train), torch.from_numpy(test).double()
    assert knn_accuracy(tensors[0], train_labels, tensors[1], test_labels, KS) == expected


@pytest.mark.gpu
@pytest.mark.parametrize("tied", [False, True])
def test_a_gpu_says_the_same(tied: bool) -> None:
    train, train_labels = points(60_000, 20, 5, 1)
    test, test_labels = points(2000, 20, 5, 2)
    if tied:
        train, test = train.round(), test.round()
    on_gpu = torch.from_numpy(train).cuda(), torch.from_numpy(test).cuda()
    found = knn_accuracy(on_gpu[0], train_labels, on_gpu[1], test_labels, KS)
    assert found == knn_accuracy(train, train_labels, test, test_labels, KS)


def test_refuses_what_has_no_neighbours() -> None:
    train, labels = points(9, 2, 3, 0)
    with pytest.raises(ValueError, match="from 1 to 9"):
        knn_accuracy(train, labels, train, labels)
    with pytest.raises(ValueError, match="from 1 to 9"):
        knn_accuracy(train, labels, train, labels, ks=(0, 3))
    with pytest.raises(ValueError, match="finite"):
        knn_accuracy(train, labels, train * np.nan, labels, ks=(1,))
