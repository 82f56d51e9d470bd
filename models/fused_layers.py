"""Layers of `models.fused`: products of weights and items, activations, a network and its gradient.

Matrices are feature-major, (F, n), the n items of a minibatch contiguous: inner loops go over items,
which LLVM makes vectors of. Weights are scalars of a run's flat row `w`. Rows of output are made
in tiles that stay in the L1 cache from their first value to their last use.

For a layer a = W h + b, its activation f, and δ = ∂loss/∂a, backwards:

    ∂loss/∂W = δ hᵀ,   ∂loss/∂b = Σ_items δ,   ∂loss/∂h = Wᵀ δ,   δ of the layer below = f′ · ∂loss/∂h
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from models.fused_math import F, exp, tanh

Array = NDArray[np.float32]
Net = NDArray[np.int64]
"""A network's place in a row of weights: offset, inputs, outputs per layer, with shape (layers, 3).
The weight (outputs, inputs) is at the offset, the bias behind it."""

# None of the flags lets the compiler assume that there is no NaN or infinity.
inner = numba.njit(fastmath={"contract", "nsz", "reassoc"}, error_model="numpy", nogil=True)

TANH, RELU, SWISH = 0, 1, 2
TILE = 32
ZERO, ONE = F(0), F(1)


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
def _add8(out: Array, o: int, x: Array, k: int, w: Array, at: int, step: int) -> None:
    """Adds to out[o] Σ_i w[at + i·step] x[k + i], i < 8."""
    w0, w1, w2, w3 = w[at], w[at + step], w[at + 2 * step], w[at + 3 * step]
    at += 4 * step
    w4, w5, w6, w7 = w[at], w[at + step], w[at + 2 * step], w[at + 3 * step]
    for b in range(out.shape[1]):
        low = w0 * x[k, b] + w1 * x[k + 1, b] + w2 * x[k + 2, b] + w3 * x[k + 3, b]
        high = w4 * x[k + 4, b] + w5 * x[k + 5, b] + w6 * x[k + 6, b] + w7 * x[k + 7, b]
        out[o, b] += low + high


@inner
def _add2(out: Array, o: int, x: Array, k: int, w: Array, at: int, step: int) -> None:
    w0, w1 = w[at], w[at + step]
    for b in range(out.shape[1]):
        out[o, b] += w0 * x[k, b] + w1 * x[k + 1, b]


@inner
def _add1(out: Array, o: int, x: Array, k: int, w: Array, at: int) -> None:
    for b in range(out.shape[1]):
        out[o, b] += w[at] * x[k, b]


@inner
def _product(
    out: Array, start: int, stop: int, x: Array, cols: int, w: Array, at: int, down: int, step: int
) -> None:
    """Adds to out[o] Σ_k w[at + o·down + k·step] x[k], start <= o < stop, k < cols."""
    k = 0
    while k < cols:
        if k + 8 <= cols:
            for o in range(start, stop):
                _add8(out, o, x, k, w, at + o * down + k * step, step)
            k += 8
        elif k + 2 <= cols:
            for o in range(start, stop):
                _add2(out, o, x, k, w, at + o * down + k * step, step)
            k += 2
        else:
            for o in range(start, stop):
                _add1(out, o, x, k, w, at + o * down + k * step)
            k += 1


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
def _activate(h: Array, start: int, stop: int, slopes: Array, act: int) -> None:
    for o in range(start, stop):
        if act == TANH:
            for b in range(h.shape[1]):
                h[o, b] = tanh(h[o, b])
        elif act == RELU:
            for b in range(h.shape[1]):
                h[o, b] = ZERO if h[o, b] < ZERO else h[o, b]
        else:
            for b in range(h.shape[1]):
                sigmoid = ONE / (ONE + exp(-h[o, b]))
                slopes[o, b] = sigmoid * (ONE + h[o, b] * (ONE - sigmoid))
                h[o, b] *= sigmoid


@inner
def _multiply_by_slope(
    delta: Array, start: int, stop: int, h: Array, slopes: Array, act: int
) -> None:
    for o in range(start, stop):
        if act == TANH:
            for b in range(h.shape[1]):
                delta[o, b] *= ONE - h[o, b] * h[o, b]
        elif act == RELU:
            for b in range(h.shape[1]):
                delta[o, b] = ZERO if h[o, b] <= ZERO else delta[o, b]
        else:
            for b in range(h.shape[1]):
                delta[o, b] *= slopes[o, b]


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
            for o in range(start, stop):
                target[o, :] = w[at + rows * cols + o]
            _product(target, start, stop, source, cols, w, at, cols, 1)
            if layer < last:
                _activate(target, start, stop, tape.slopes[layer], act)


@inner
def backward(
    net: Net, act: int, w: Array, g: Array, x: Array, tape: Tape, deltas: Array
) -> Array:
    """Adds to g the gradient of the weights; returns δ of the first layer, with shape (rows, n).

    Args:
        net: the network.
        act: its activation.
        w: a run's weights, with shape (P,).
        g: their gradient, with shape (P,).
        x: what `forward` had, with shape (inputs, n).
        tape: what `forward` left, the gradient of `out` in its place.
        deltas: room for two layers' δ, with shape (2, H, n).
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
            target[start:stop] = ZERO
            _product(target, start, stop, delta, rows_above, w, above, 1, rows)
            _multiply_by_slope(target, start, stop, tape.hidden[layer], tape.slopes[layer], act)
            _add_gradient(g, at, rows, cols, target, start, stop, source)
        delta = target
    return delta


@inner
def input_gradient(net: Net, w: Array, delta: Array, dx: Array) -> None:
    """Sets dx with shape (inputs, n) to Wᵀ δ of the first layer."""
    at, cols, rows = net[0]
    for start in range(0, cols, TILE):
        stop = min(start + TILE, cols)
        dx[start:stop] = ZERO
        _product(dx, start, stop, delta, rows, w, at, 1, cols)
