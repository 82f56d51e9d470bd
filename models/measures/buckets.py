"""The counts of the KSG estimate on a CPU: exact in float64, 64 pairs in one instruction.

Beyond ten dimensions a k-d tree looks at nearly every pair, one at a time. Here each column is cut
into buckets at its quantiles, and for each cut a bit per point says whether the point lies below
it. The points of a range of buckets are then the XOR of two rows of bits, and those of a box the
AND over the columns. A box rounded outwards to cuts holds all points of the ball, a box rounded
inwards only points of it: just the few between the two are measured. Points are sorted by the
coordinate that spreads widest, so that of their bits only a stretch is looked at: in few dimensions
it's a short one.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mimsweep.models.jit import compiled

Values = TypeVar("Values", NDArray[np.float64], NDArray[np.int64])

BUCKETS = 128  # more: fewer points to measure; fewer: bits that stay in the cache
SLACK = 4 * np.finfo(np.float64).eps  # of a box's edge, relative: outweighs its rounding


def closer_counts(x: NDArray[np.float64], z: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Returns n_x and n_z of each pair, with shape (2, N): others strictly closer than r_i.

    Args:
        x: with shape (N, D).
        z: with shape (N, d).
        k: which neighbour in the joint space is r_i away, by the max-norm; below N.
    """
    joint = np.concatenate((x, z), axis=1)
    radii = _in_order(joint, lambda points, _: _kth_distances(points, *_index(points), k))
    close = [
        _in_order(
            points, lambda points, order: _strictly_closer(points, *_index(points), radii[order])
        )
        for points in (x, z)
    ]
    return np.stack(close)


def _in_order(
    points: NDArray[np.float64], of: Callable[[NDArray[np.float64], NDArray[np.int64]], Values]
) -> Values:
    """Returns what `of` says of points (N, D) that lie in the order of their widest column.

    Args:
        points: in any order.
        of: of points in that order, and the order, with shape (N,), to a value of each.
    """
    columns = np.argsort(-points.var(axis=0), kind="stable")
    order = np.argsort(points[:, columns[0]], kind="stable")
    values = of(np.ascontiguousarray(points[order][:, columns]), order)
    result = np.empty_like(values)
    result[order] = values
    return result


def _index(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """Returns the cuts and the bits of every column.

    Args:
        points: with shape (N, D).

    Returns:
        cuts with shape (D, BUCKETS + 1), ascending, the first at the smallest value and the last
        above the largest; bits with shape (D, BUCKETS + 2, words): bit n of row b is set where
        point n is less than b cuts up. A value v lies `searchsorted(cuts, v, "right")` cuts up.
    """
    count, dims = points.shape
    ranks = np.arange(BUCKETS) * count // BUCKETS
    cuts = np.empty((dims, BUCKETS + 1))
    cuts[:, :-1] = np.sort(points, axis=0)[ranks].T
    cuts[:, -1] = np.nextafter(points.max(axis=0), np.inf)
    bits = np.zeros((dims, BUCKETS + 2, -(-count // 64)), dtype=np.uint64)
    _fill(points, cuts, bits)
    return cuts, bits


@compiled
def _ones(word: np.uint64) -> np.int64:
    """Returns the number of set bits (LLVM knows the pattern and makes one instruction of it)."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    low = np.uint64(0x3333333333333333)
    word = (word & low) + ((word >> np.uint64(2)) & low)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled
def _cuts_up(cuts: NDArray[np.float64], value: float) -> int:
    """Returns the number of cuts not above `value`; cuts with shape (BUCKETS + 1,)."""
    low, high = 0, len(cuts)
    while low < high:
        middle = (low + high) // 2
        if cuts[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _distance(a: NDArray[np.float64], b: NDArray[np.float64], bound: float) -> float:
    """Returns the max-norm distance of two points, or infinity if it's not below `bound`."""
    largest = 0.0
    for c in range(len(a)):
        apart = abs(a[c] - b[c])
        if apart >= bound:
            return np.inf
        largest = max(largest, apart)
    return largest


@compiled
def _insert_distance(best: NDArray[np.float64], value: float) -> None:
    """Puts `value` into the ascending k smallest so far, if it's one of them."""
    place = len(best) - 1
    if value < best[place]:
        while place > 0 and best[place - 1] > value:
            best[place] = best[place - 1]
            place -= 1
        best[place] = value


@compiled
def _box(
    centre: NDArray[np.float64],
    radius: float,
    cuts: NDArray[np.float64],
    bits: NDArray[np.uint64],
    inwards: int,
    inside: NDArray[np.uint64],
    start: int,
    stop: int,
) -> None:
    """Sets the words `start` to `stop` of `inside` to the points in a box around `centre`.

    Args:
        centre: with shape (D,).
        radius: half of the box's side, as long as the buckets' cuts allow.
        cuts: with shape (D, BUCKETS + 1).
        bits: with shape (D, BUCKETS + 2, words).
        inwards: 1 rounds the box inwards, 0 outwards.
        inside: written; with shape (words,).
        start: the first word.
        stop: the word after the last.
    """
    rows = bits.shape[1] - 1
    inside[start:stop] = bits[0, rows, start:stop]
    for c in range(len(centre)):
        slack = SLACK * (abs(centre[c]) + radius)
        edge = radius - slack if inwards else radius + slack
        low = _cuts_up(cuts[c], centre[c] - edge) + inwards
        high = min(_cuts_up(cuts[c], centre[c] + edge) + 1 - inwards, rows)
        if low >= high:
            inside[start:stop] = 0
            return
        if low > 1 or high < rows:
            for w in range(start, stop):
                inside[w] &= bits[c, high, w] ^ bits[c, low, w]


@compiled
def _fill(points: NDArray[np.float64], cuts: NDArray[np.float64], bits: NDArray[np.uint64]) -> None:
    """Sets the bits of `_index`."""
    for n in range(points.shape[0]):
        bit = np.uint64(1) << np.uint64(n & 63)
        for c in range(points.shape[1]):
            bits[c, _cuts_up(cuts[c], points[n, c]) + 1, n >> 6] |= bit
    for c in range(bits.shape[0]):
        for b in range(1, bits.shape[1]):
            for w in range(bits.shape[2]):
                bits[c, b, w] |= bits[c, b - 1, w]


@compiled
def _stretch(column: NDArray[np.float64], i: int, radius: float) -> tuple[int, int]:
    """Returns the words, first and after the last, with all points within `radius` of point i.

    Args:
        column: their first coordinates, ascending, with shape (N,).
        i: the point.
        radius: in that coordinate.
    """
    edge = radius + SLACK * (abs(column[i]) + radius)
    first = np.searchsorted(column, column[i] - edge)
    return first >> 6, (_cuts_up(column, column[i] + edge) + 63) >> 6


@compiled
def _kth_distances(
    points: NDArray[np.float64], cuts: NDArray[np.float64], bits: NDArray[np.uint64], k: int
) -> NDArray[np.float64]:
    """Returns every point's max-norm distance to its k-th neighbour, with shape (N,).

    A bound from the points beside it in the order of the first coordinate is narrowed on a
    sixteenth of all, around it, then on those before and after.
    """
    count, words = len(points), bits.shape[2]
    result, best, inside = np.empty(count), np.empty(k), np.empty(words, np.uint64)
    column = points[:, 0].copy()
    reach, around = max(k, 32), (words + 31) // 32
    for i in range(count):
        best[:] = np.inf
        for j in range(max(0, i - reach), min(count, i + reach + 1)):
            if j != i:
                _insert_distance(best, _distance(points[i], points[j], best[-1]))
        best[:] = best[-1]  # found again below, those that count
        before, after = max(0, (i >> 6) - around), min(words, (i >> 6) + around + 1)
        for low, high in ((before, after), (0, before), (after, words)):
            first, last = _stretch(column, i, best[-1])
            start, stop = max(low, first), min(high, last)
            if start >= stop:
                continue
            _box(points[i], best[-1], cuts, bits, 0, inside, start, stop)
            for w in range(start, stop):
                word = inside[w]
                while word:
                    low_bit = word & (~word + np.uint64(1))
                    word ^= low_bit
                    j = 64 * w + _ones(low_bit - np.uint64(1))
                    if j != i:
                        _insert_distance(best, _distance(points[i], points[j], best[-1]))
        result[i] = best[-1]
    return result


@compiled
def _strictly_closer(
    points: NDArray[np.float64],
    cuts: NDArray[np.float64],
    bits: NDArray[np.uint64],
    radii: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Returns how many others lie strictly closer to a point than its radius, with shape (N,)."""
    count, words = len(points), bits.shape[2]
    result = np.zeros(count, np.int64)
    outer, inner = np.empty(words, np.uint64), np.empty(words, np.uint64)
    column = points[:, 0].copy()
    for i in range(count):
        if radii[i] == 0:
            continue
        start, stop = _stretch(column, i, radii[i])
        _box(points[i], radii[i], cuts, bits, 0, outer, start, stop)
        _box(points[i], radii[i], cuts, bits, 1, inner, start, stop)
        total = -1  # itself
        for w in range(start, stop):
            total += _ones(inner[w])
            word = outer[w] & ~inner[w]
            while word:
                low_bit = word & (~word + np.uint64(1))
                word ^= low_bit
                j = 64 * w + _ones(low_bit - np.uint64(1))
                total += _distance(points[i], points[j], radii[i]) < radii[i]
        result[i] = total
    return result
