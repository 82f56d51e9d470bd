"""Measures of how well the latents tell the labels apart.

A test point gets the label that most of its k nearest training points have, by Euclidean distance
and with equal weights; of labels equally frequent the smallest, as scikit-learn has it. Of points
equally far the earlier one is nearer.

On a GPU all pairs are measured (`models.measures.tiles`). On a CPU training points lie in blocks of
near ones, in vector order. A block whose bounding box is further than the neighbours so far is left
out, as is one all of whose points are too far by some of their columns; else it's measured in
float32, and the few points that may be among the nearest again in float64. In 2 dimensions one
block in fifty is looked at, in 20 of Fashion-MNIST one in three.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mimsweep.models.elementary import ZERO, Int, elementwise
from mimsweep.models.jit import compiled
from mimsweep.models.measures import tiles

BLOCK = 128  # training points measured in a row; a multiple of any vector register's width
COLUMNS = 4  # after so many it's asked whether a block can be left out
TOGETHER = 16  # test points that a block is read for, once; their distances fit the cache
MARGIN = 1 + 1e-4  # outweighs float32's rounding in a sum of up to 1,000 squares


def knn_accuracy(
    train_z: ArrayLike,
    train_labels: ArrayLike,
    test_z: ArrayLike,
    test_labels: ArrayLike,
    ks: Sequence[int] = (1, 3, 5, 10),
) -> dict[int, float]:
    """Returns, for each k, the part of the test points that their neighbours label rightly.

    Args:
        train_z: latents with shape (N, d), taken as float32; a GPU's are searched there.
        train_labels: with shape (N,).
        test_z: latents with shape (n, d), taken as float32, of the same device.
        test_labels: with shape (n,).
        ks: numbers of neighbours, each from 1 to N.

    Raises:
        ValueError: a k is out of range, or a latent isn't finite.
    """
    train, test = _float32(train_z), _float32(test_z)
    if not 1 <= min(ks) <= max(ks) <= len(train):
        raise ValueError(f"ks = {tuple(ks)} must lie from 1 to {len(train)}, the training points")
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise ValueError("the latents must be finite")
    classes, labels = np.unique(np.asarray(train_labels), return_inverse=True)
    if tiles.on_gpu(train_z) and tiles.on_gpu(test_z):
        nearest = tiles.nearest(train_z.float(), test_z.float(), max(ks)).cpu().numpy()
    else:
        nearest = _nearest(train, test, max(ks))
    votes = labels[nearest]
    truth = np.asarray(test_labels)
    ballots = votes + len(classes) * np.arange(len(test))[:, None]
    accuracy = {}
    for k in ks:
        counts = np.bincount(ballots[:, :k].ravel(), minlength=len(test) * len(classes))
        counts = counts.reshape(len(test), len(classes))
        accuracy[k] = float(np.mean(classes[counts.argmax(axis=1)] == truth))
    return accuracy


def _float32(values: ArrayLike) -> NDArray[np.float32]:
    """Returns `values` on the CPU."""
    return np.asarray(values.cpu() if isinstance(values, Tensor) else values, dtype=np.float32)


def _nearest(train: NDArray[np.float32], test: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Returns the k nearest training points of every test point, nearest first, shape (n, k).

    Args:
        train: with shape (N, d).
        test: with shape (n, d).
        k: at most N.
    """
    # Columns that tell points apart soonest come first.
    widest = np.argsort(-train.var(axis=0, dtype=np.float64), kind="stable")
    train, test = train[:, widest], test[:, widest]
    order = _tiled(train)
    blocks, dims = -(-len(train) // BLOCK), train.shape[1]
    points = np.full((blocks * BLOCK, dims), np.inf, dtype=np.float32)
    points[: len(train)] = train[order]
    columns = np.zeros((blocks, -(-dims // COLUMNS) * COLUMNS, BLOCK), np.float32)
    columns[:, :dims] = points.reshape(blocks, BLOCK, dims).transpose(0, 2, 1)
    low = columns[:, :dims].min(axis=2).T.copy()
    starts = np.arange(0, len(train), BLOCK)
    high = np.maximum.reduceat(points[: len(train)], starts, axis=0).T.copy()
    wide = np.zeros((len(test), columns.shape[1]), np.float32)
    wide[:, :dims] = test
    return _search(points[: len(train)], order, columns, (low, high), wide, _tiled(test), k)


@compiled
def _tiled(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns an order of points in which each `BLOCK` of them are near each other, shape (N,).

    They are halved at a multiple of `BLOCK`, across the coordinate that spreads widest, and so on.
    """
    order = np.arange(len(points))
    parts = [(0, len(points))]
    while len(parts) > 0:
        start, stop = parts.pop()
        if stop - start <= BLOCK:
            continue
        widest, width = 0, np.float32(-1)
        for c in range(points.shape[1]):
            low = high = points[order[start], c]
            for n in range(start + 1, stop):
                low = min(low, points[order[n], c])
                high = max(high, points[order[n], c])
            if high - low > width:
                widest, width = c, high - low
        half = (stop - start + BLOCK - 1) // BLOCK // 2 * BLOCK
        part = order[start:stop].copy()
        order[start:stop] = part[np.argpartition(points[:, widest][part], half)]
        parts.append((start, start + half))
        parts.append((start + half, stop))
    return order


@compiled
def _measure(
    columns: NDArray[np.float32],
    block: int,
    point: NDArray[np.float32],
    bound: np.float32,
    apart: NDArray[np.float32],
) -> bool:
    """Sets `apart`, shape (BLOCK,), to squared distances from columns (blocks, d, BLOCK).

    Returns:
        whether one isn't above `bound`; if not, the distances may lack some columns.
    """
    for c in range(0, columns.shape[1], COLUMNS):
        if _add_columns(columns, block, c, point, bound, apart) == 0:
            return False
    return True


@elementwise
def _add_columns(
    columns: NDArray[np.float32],
    block: int,
    c: int,
    point: NDArray[np.float32],
    bound: np.float32,
    apart: NDArray[np.float32],
) -> np.int32:
    """Adds four columns' part to `apart`; returns how many are not above `bound`."""
    p0, p1, p2, p3 = point[c], point[c + 1], point[c + 2], point[c + 3]
    within = Int(0)  # counted: a sum runs in vector registers
    for j in range(BLOCK):
        g0, g1 = columns[block, c, j] - p0, columns[block, c + 1, j] - p1
        g2, g3 = columns[block, c + 2, j] - p2, columns[block, c + 3, j] - p3
        total = (apart[j] if c > 0 else ZERO) + g0 * g0 + g1 * g1 + g2 * g2 + g3 * g3
        apart[j] = total
        within = Int(within + Int(total <= bound))
    return within


@compiled
def _box_distances(
    box: tuple[NDArray[np.float32], NDArray[np.float32]],
    point: NDArray[np.float32],
    far: NDArray[np.float32],
) -> None:
    """Sets `far`, shape (blocks,), to squared distances from boxes, corners (d, blocks) each."""
    low, high = box
    far[:] = 0
    for c in range(len(point)):
        here = point[c]
        for b in range(len(far)):
            gap = max(low[c, b] - here, here - high[c, b], np.float32(0))
            far[b] += gap * gap


@compiled
def _insert_neighbour(
    best: NDArray[np.float64],
    indices: NDArray[np.int64],
    train: NDArray[np.float32],
    point: NDArray[np.float32],
    row: int,
    n: int,
) -> None:
    """Puts row `row` of `train`, point `n`, among the nearest so far if it's one of them."""
    apart = 0.0
    for c in range(len(point)):
        apart += (np.float64(train[row, c]) - np.float64(point[c])) ** 2
    place = len(best) - 1
    if apart > best[place] or (apart == best[place] and n > indices[place]):
        return
    while place > 0 and (
        best[place - 1] > apart or (best[place - 1] == apart and indices[place - 1] > n)
    ):
        best[place], indices[place] = best[place - 1], indices[place - 1]
        place -= 1
    best[place], indices[place] = apart, n


@compiled
def _search(
    train: NDArray[np.float32],
    order: NDArray[np.int64],
    columns: NDArray[np.float32],
    box: tuple[NDArray[np.float32], NDArray[np.float32]],
    test: NDArray[np.float32],
    turns: NDArray[np.int64],
    k: int,
) -> NDArray[np.int64]:
    """Returns what `_nearest` does.

    Args:
        train: in blocks of near points, with shape (N, d).
        order: the index of each of them, with shape (N,).
        columns: `train` with shape (blocks, d', BLOCK), columns of 0 behind its own.
        box: smallest and largest values of each block, with shape (d, blocks) each.
        test: with shape (n, d'), likewise.
        turns: an order of the test points, near ones one after the other, with shape (n,).
        k: at most N.
    """
    blocks, dims = len(columns), train.shape[1]
    result = np.full((len(test), k), len(train), np.int64)
    best, bound = np.empty((TOGETHER, k)), np.empty(TOGETHER, np.float32)
    far, apart = np.empty((TOGETHER, blocks), np.float32), np.empty(BLOCK, np.float32)
    first = np.empty(TOGETHER, np.int64)
    for start in range(0, len(test), TOGETHER):
        some = turns[start : start + TOGETHER]
        best[:], bound[:] = np.inf, np.inf
        for g in range(len(some)):
            _box_distances(box, test[some[g], :dims], far[g])
            first[g] = np.argmin(far[g])
        for turn in range(-1, blocks):
            for g in range(len(some)):
                b = first[g] if turn < 0 else turn
                if turn == first[g] or far[g, b] > bound[g]:
                    continue
                point, indices = test[some[g]], result[some[g]]
                if _measure(columns, b, point, bound[g], apart):
                    for j in range(min(BLOCK, len(train) - b * BLOCK)):
                        if apart[j] <= bound[g]:
                            r = b * BLOCK + j
                            _insert_neighbour(best[g], indices, train, point[:dims], r, order[r])
                            bound[g] = np.float32(best[g, -1] * MARGIN)
    return result
