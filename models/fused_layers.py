"""A network of `models.fused`, forward and backward.

Matrices are feature-major, (F, n), the n items of a minibatch contiguous: inner loops go over
items, which LLVM makes vectors of. Weights are scalars of a run's flat row `w`. Rows of output are
made in tiles that stay in the L1 cache from their first value to their last use.

For a layer a = W h + b, the activation f below it, and δ = ∂loss/∂a, backwards:

    ∂loss/∂W = δ hᵀ,   ∂loss/∂b = Σ_items δ,   δ of the layer below = f′ · Wᵀ δ
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.fused_math import ZERO, Array, activate, inner, multiply_by_slope

Net = NDArray[np.int64]
"""A network's place in a row of weights: offset, inputs, outputs per layer, with shape (layers, 3).
The weight (outputs, inputs) is at the offset, the bias behind it."""

TILE = 32


class Tape(NamedTuple):
    """What a network's pass forward leaves.

    Attributes:
        hidden: activations, with shape (layers − 1, H, n).
        slopes: their derivatives, where the activation doesn't tell: (layers − 1, H or 1, n).
        out: what the network returns, with shape (F, n); its gradient takes its place.
    """

    hidden: Array
    slopes: Array
    out: Array


@inner
def _add8(
    out: Array, o: int, x: Array, k: int, w: Array, at: int, step: int, base: np.float32
) -> None:
    """Adds Σ_i w[at + i·step] x[k + i], i < 8, to out[o]; to `base` if k is 0."""
    w0, w1, w2, w3 = w[at], w[at + step], w[at + 2 * step], w[at + 3 * step]
    at += 4 * step
    w4, w5, w6, w7 = w[at], w[at + step], w[at + 2 * step], w[at + 3 * step]
    for b in range(out.shape[1]):
        total = base if k == 0 else out[o, b]
        total += w0 * x[k, b] + w1 * x[k + 1, b] + w2 * x[k + 2, b] + w3 * x[k + 3, b]
        total += w4 * x[k + 4, b] + w5 * x[k + 5, b] + w6 * x[k + 6, b] + w7 * x[k + 7, b]
        out[o, b] = total


@inner
def _add4(
    out: Array, o: int, x: Array, k: int, w: Array, at: int, step: int, base: np.float32
) -> None:
    w0, w1, w2, w3 = w[at], w[at + step], w[at + 2 * step], w[at + 3 * step]
    for b in range(out.shape[1]):
        total = base if k == 0 else out[o, b]
        total += w0 * x[k, b] + w1 * x[k + 1, b] + w2 * x[k + 2, b] + w3 * x[k + 3, b]
        out[o, b] = total


@inner
def _add2(
    out: Array, o: int, x: Array, k: int, w: Array, at: int, step: int, base: np.float32
) -> None:
    w0, w1 = w[at], w[at + step]
    for b in range(out.shape[1]):
        total = base if k == 0 else out[o, b]
        out[o, b] = total + w0 * x[k, b] + w1 * x[k + 1, b]


@inner
def _add1(out: Array, o: int, x: Array, k: int, w: Array, at: int, base: np.float32) -> None:
    for b in range(out.shape[1]):
        total = base if k == 0 else out[o, b]
        out[o, b] = total + w[at] * x[k, b]


@inner
def _product(
    out: Array,
    start: int,
    stop: int,
    x: Array,
    cols: int,
    w: Array,
    at: int,
    down: int,
    step: int,
    bias: int,
) -> None:
    """Sets out[o] to its bias + Σ_k w[at + o·down + k·step] x[k], start <= o < stop, k < cols."""
    k = 0
    while k < cols:
        left = cols - k
        for o in range(start, stop):
            base = ZERO if bias < 0 else w[bias + o]
            first = at + o * down + k * step
            if left >= 8:
                _add8(out, o, x, k, w, first, step, base)
            elif left >= 4:
                _add4(out, o, x, k, w, first, step, base)
            elif left >= 2:
                _add2(out, o, x, k, w, first, step, base)
            else:
                _add1(out, o, x, k, w, first, base)
        k += 8 if left >= 8 else 4 if left >= 4 else 2 if left >= 2 else 1


@inner
def _dot8(delta: Array, o: int, x: Array, k: int, g: Array, at: int) -> None:
    """Adds to g[at + i] Σ_items delta[o] x[k + i], i < 8."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = ZERO
    for b in range(delta.shape[1]):
        s0 += delta[o, b] * x[k, b]
        s1 += delta[o, b] * x[k + 1, b]
        s2 += delta[o, b] * x[k + 2, b]
        s3 += delta[o, b] * x[k + 3, b]
        s4 += delta[o, b] * x[k + 4, b]
        s5 += delta[o, b] * x[k + 5, b]
        s6 += delta[o, b] * x[k + 6, b]
        s7 += delta[o, b] * x[k + 7, b]
    for i, s in enumerate((s0, s1, s2, s3, s4, s5, s6, s7)):
        g[at + i] += s


@inner
def _dot2(delta: Array, o: int, x: Array, k: int, g: Array, at: int) -> None:
    s0 = s1 = ZERO
    for b in range(delta.shape[1]):
        s0 += delta[o, b] * x[k, b]
        s1 += delta[o, b] * x[k + 1, b]
    g[at] += s0
    g[at + 1] += s1


@inner
def _dot1(delta: Array, o: int, x: Array, k: int, g: Array, at: int) -> None:
    s = ZERO
    for b in range(delta.shape[1]):
        s += delta[o, b] * x[k, b]
    g[at] += s


@inner
def _add_gradient(
    g: Array, at: int, rows: int, cols: int, delta: Array, start: int, stop: int, x: Array
) -> None:
    """Adds δ xᵀ and Σ_items δ, rows start to stop, to the gradient of a layer's W and b."""
    for o in range(start, stop):
        total = ZERO
        for b in range(delta.shape[1]):
            total += delta[o, b]
        g[at + rows * cols + o] += total
    k = 0
    while k < cols:
        if k + 8 <= cols:
            for o in range(start, stop):
                _dot8(delta, o, x, k, g, at + o * cols + k)
            k += 8
        elif k + 2 <= cols:
            for o in range(start, stop):
                _dot2(delta, o, x, k, g, at + o * cols + k)
            k += 2
        else:
            for o in range(start, stop):
                _dot1(delta, o, x, k, g, at + o * cols + k)
            k += 1


@inner
def forward(net: Net, act: int, w: Array, x: Array, tape: Tape) -> None:
    """Runs a network on x with shape (inputs, n); the tape gets all results."""
    last = net.shape[0] - 1
    for layer in range(last + 1):
        at, cols, rows = net[layer]
        source = x if layer == 0 else tape.hidden[layer - 1]
        target = tape.out if layer == last else tape.hidden[layer]
        for start in range(0, rows, TILE):
            stop = min(start + TILE, rows)
            _product(target, start, stop, source, cols, w, at, cols, 1, at + rows * cols)
            if layer < last:
                activate(target, start, stop, tape.slopes[layer], act)


@inner
def backward(
    net: Net,
    act: int,
    w: Array,
    g: Array,
    x: Array,
    tape: Tape,
    deltas: Array,
    dx: Array,
    wanted: bool,
) -> None:
    """Adds to g the gradient of the weights, and sets dx with shape (inputs, n) if it is wanted.

    Args:
        net: the network.
        act: its activation.
        w: a run's weights, with shape (P,).
        g: their gradient, with shape (P,).
        x: what `forward` had, with shape (inputs, n).
        tape: what `forward` left, the gradient of `out` in its place.
        deltas: room for two layers' δ, with shape (2, H, n).
        dx: gets the gradient of x.
        wanted: whether it does.
    """
    last = net.shape[0] - 1
    at, cols, rows = net[last]
    delta = tape.out
    source = x if last == 0 else tape.hidden[last - 1]
    for start in range(0, rows, TILE):
        _add_gradient(g, at, rows, cols, delta, start, min(start + TILE, rows), source)
    for layer in range(last - 1, -1, -1):
        above, _, rows_above = net[layer + 1]
        at, cols, rows = net[layer]
        source = x if layer == 0 else tape.hidden[layer - 1]
        target = deltas[layer % 2]
        for start in range(0, rows, TILE):
            stop = min(start + TILE, rows)
            _product(target, start, stop, delta, rows_above, w, above, 1, rows, -1)
            multiply_by_slope(target, start, stop, tape.hidden[layer], tape.slopes[layer], act)
            _add_gradient(g, at, rows, cols, target, start, stop, source)
        delta = target
    if wanted:
        at, cols, rows = net[0]
        for start in range(0, cols, TILE):
            _product(dx, start, min(start + TILE, cols), delta, rows, w, at, 1, cols, -1)
