"""Measures the KSG estimate against k-d trees, and KNN accuracy against scikit-learn, on one core.

    python benchmarks/ksg_cost.py [--dims 2 5 10 20] [--points 10000] [--repeats 3]

CPU time of one thread, the least of several repeats taken in turn. KSG: correlated Gaussians in
d + d dimensions, float64; the reference is scipy's `cKDTree` (estimator 1, k = 5, max-norm), the
difference is in nats. KNN: latents of a mixture of ten Gaussians in d dimensions, 10,000 to
classify by 10,000 and by 60,000; the reference is scikit-learn's `KNeighborsClassifier`, one search
for k = 1, 3, 5, 10, the difference is the largest of an accuracy.
"""

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from machine import in_one_thread, machine, table
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma

Points = NDArray[np.float64]
T = TypeVar("T")
K, KS = 5, (1, 3, 5, 10)


def reference_ksg(x: Points, z: Points) -> float:
    """Returns the mutual information of x and z in nats, by k-d trees."""
    joint = np.hstack([x, z])
    radii = cKDTree(joint).query(joint, K + 1, p=np.inf)[0][:, -1]
    inside = np.nextafter(radii, 0)
    total = 0.0
    for points in (x, z):
        tree = cKDTree(points)
        close = tree.query_ball_point(points, inside, p=np.inf, return_length=True)
        total += float(np.mean(digamma(close)))
    return float(digamma(K) + digamma(len(x)) - total)


def reference_knn(
    train: Points, labels: NDArray[np.int64], test: Points, truth: NDArray[np.int64]
) -> dict[int, float]:
    """Returns the accuracy for each k, by scikit-learn."""
    from sklearn.neighbors import KNeighborsClassifier

    order = KNeighborsClassifier(max(KS)).fit(train, labels).kneighbors(test)[1]
    votes = np.eye(labels.max() + 1, dtype=np.int64)[labels[order]].cumsum(axis=1)
    return {k: float(np.mean(votes[:, k - 1].argmax(axis=1) == truth)) for k in KS}


def timed(functions: list[Callable[[], T]], repeats: int) -> list[tuple[float, T]]:
    """Returns the least CPU time that each takes, and its result."""
    results = [function() for function in functions]  # compiles
    best = [float("inf")] * len(functions)
    for _ in range(repeats):
        for index, function in enumerate(functions):
            start = time.process_time()
            function()
            best[index] = min(best[index], time.process_time() - start)
    return list(zip(best, results, strict=True))


def ksg_row(dims: int, points: int, repeats: int) -> list[str]:
    """Returns a line on the KSG estimate."""
    from mimsweep.models.measures.ksg import ksg_mutual_information

    x, noise = np.random.default_rng(dims).normal(size=(2, points, dims))
    z = 0.8 * x + 0.6 * noise
    (tree, expected), (ours, found) = timed(
        [lambda: reference_ksg(x, z), lambda: ksg_mutual_information(x, z)], repeats
    )
    return [
        f"{dims}+{dims}", f"{tree:.3f}", f"{ours:.3f}", f"{tree / ours:.1f}×",
        f"{abs(found - expected):.0e}",
    ]  # fmt: skip


def knn_row(dims: int, train_points: int, test_points: int, repeats: int) -> list[str]:
    """Returns a line on KNN accuracy."""
    from mimsweep.models.measures.knn import knn_accuracy

    rng = np.random.default_rng(dims)
    labels, truth = (rng.integers(10, size=n) for n in (train_points, test_points))
    centres = rng.normal(size=(10, dims))
    train, test = (
        (centres[of] + 0.5 * rng.normal(size=(len(of), dims))).astype(np.float32)
        for of in (labels, truth)
    )
    (theirs, expected), (ours, found) = timed(
        [
            lambda: reference_knn(train.astype(float), labels, test.astype(float), truth),
            lambda: knn_accuracy(train, labels, test, truth, KS),
        ],
        repeats,
    )
    apart = max(abs(found[k] - expected[k]) for k in KS)
    return [
        f"{dims}, of {train_points:,}", f"{theirs:.3f}", f"{ours:.3f}", f"{theirs / ours:.1f}×",
        f"{apart:.0e}",
    ]  # fmt: skip


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 5, 10, 20])
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    in_one_thread()
    print(f"{machine()}\n")
    heads = ["KSG, dimensions", "cKDTree, s", "ours, s", "ratio", "difference"]
    rows = [ksg_row(dims, options.points, options.repeats) for dims in options.dims]
    print(f"{table(heads, rows)}\n")
    heads = ["KNN, dimensions", "scikit-learn, s", *heads[2:]]
    rows = [
        knn_row(dims, points, 10_000, options.repeats)
        for points in (10_000, 60_000)
        for dims in options.dims
    ]
    print(table(heads, rows))


if __name__ == "__main__":
    main()
