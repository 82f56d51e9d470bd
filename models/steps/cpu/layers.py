"""A network of `models.steps.cpu.fused`, forward and backward.

Matrices are feature-major, (F, n), the n items of a minibatch contiguous: inner loops go over
items, which LLVM makes vectors of. Weights are scalars of a run's flat row `w`. Rows of output are
made in tiles that stay in the L1 cache from their first value to their last use.

For a layer a = W h + b, the activation f below it, and δ = ∂loss/∂a, backwards:

    ∂loss/∂W = δ hᵀ,   ∂loss/∂b = Σ_items δ,   δ of the layer below = f′ · Wᵀ δ
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimsweep.models.elementary import ZERO, Array
from mimsweep.models.steps.cpu.functions import Rows, activate, inner, multiply_by_slope

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
def _product(
    out: Array, rows: Rows, x: Array, cols: int, w: Array, at: int, down: int, step: int, bias: int
) -> None:
    """Sets the rows o of `out` to Σ_k w[at + o·down + k·step] x[k], k < cols, + w[bias + o].

    Args:
        out: with shape (·, n).
        rows: first row, and end.
        x: with shape (cols, n).
        cols: how many rows of x.
        w: a run's weights, with shape (P,).
        at: where they start.
        down: from an o to the next.
        step: from a k to the next.
        bias: where biases start; −1 for none.
    """
    k = 0
    while k < cols:
        if k + 8 <= cols:
            _add8(out, rows, x, k, w, at + k * step, down, step, bias)
            k += 8
        elif k + 4 <= cols:
            _add4(out, rows, x, k, w, at + k * step, down, step, bias)
            k += 4
        elif k + 2 <= cols:
            _add2(out, rows, x, k, w, at + k * step, down, step, bias)
            k += 2
        else:
            _add1(out, rows, x, k, w, at + k * step, down, bias)
            k += 1


@inner
def _add8(
    out: Array, rows: Rows, x: Array, k: int, w: Array, at: int, down: int, step: int, bias: int
) -> None:
    """Adds the terms k to k + 7; the first ones start with the bias instead."""
    for o in range(rows[0], rows[1]):
        base = w[bias + o] if bias >= 0 else ZERO
        p = at + o * down
        w0, w1, w2, w3 = w[p], w[p + step], w[p + 2 * step], w[p + 3 * step]
        p += 4 * step
        w4, w5, w6, w7 = w[p], w[p + step], w[p + 2 * step], w[p + 3 * step]
        for b in range(out.shape[1]):
            total = out[o, b] if k > 0 else base
            total += w0 * x[k, b] + w1 * x[k + 1, b] + w2 * x[k + 2, b] + w3 * x[k + 3, b]
            total += w4 * x[k + 4, b] + w5 * x[k + 5, b] + w6 * x[k + 6, b] + w7 * x[k + 7, b]
            out[o, b] = total


@inner
def _add4(
    out: Array, rows: Rows, x: Array, k: int, w: Array, at: int, down: int, step: int, bias: int
) -> None:
    for o in range(rows[0], rows[1]):
        base = w[bias + o] if bias >= 0 else ZERO
        p = at + o * down
        w0, w1, w2, w3 = w[p], w[p + step], w[p + 2 * step], w[p + 3 * step]
        for b in range(out.shape[1]):
            total = out[o, b] if k > 0 else base
            total += w0 * x[k, b] + w1 * x[k + 1, b] + w2 * x[k + 2, b] + w3 * x[k + 3, b]
            out[o, b] = total


@inner
def _add2(
    out: Array, rows: Rows, x: Array, k: int, w: Array, at: int, down: int, step: int, bias: int
) -> None:
    for o in range(rows[0], rows[1]):
        base = w[bias + o] if bias >= 0 else ZERO
        w0, w1 = w[at + o * down], w[at + o * down + step]
        for b in range(out.shape[1]):
            total = out[o, b] if k > 0 else base
            out[o, b] = total + w0 * x[k, b] + w1 * x[k + 1, b]


@inner
def _add1(
    out: Array, rows: Rows, x: Array, k: int, w: Array, at: int, down: int, bias: int
) -> None:
    for o in range(rows[0], rows[1]):
        base = w[bias + o] if bias >= 0 else ZERO
        w0 = w[at + o * down]
        for b in range(out.shape[1]):
            total = out[o, b] if k > 0 else base
            out[o, b] = total + w0 * x[k, b]


@inner
def _add_gradient(
    g: Array, at: int, outputs: int, inputs: int, delta: Array, rows: Rows, x: Array
) -> None:
    """Adds to a layer's gradient what some rows of δ give: δ xᵀ and Σ_items δ."""
    bias = at + outputs * inputs
    if inputs % 2 == 0:
        _dot2(delta, rows, x, 0, g, at, inputs, bias)
        k = 2
    else:
        _dot1(delta, rows, x, g, at, inputs, bias)
        k = 1
    while k < inputs:
        if k + 8 <= inputs:
            _dot8(delta, rows, x, k, g, at + k, inputs)
            k += 8
        else:
            _dot2(delta, rows, x, k, g, at + k, inputs, -1)
            k += 2


@inner
def _dot8(delta: Array, rows: Rows, x: Array, k: int, g: Array, at: int, down: int) -> None:
    """Adds to g[at + o·down + i] the products Σ_items δ[o] x[k + i], i < 8."""
    for o in range(rows[0], rows[1]):
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
            g[at + o * down + i] += s


@inner
def _dot2(
    delta: Array, rows: Rows, x: Array, k: int, g: Array, at: int, down: int, bias: int
) -> None:
    """As `_dot8`, i < 2; adds Σ_items δ[o] to g[bias + o], but where bias is −1."""
    for o in range(rows[0], rows[1]):
        s0 = s1 = total = ZERO
        for b in range(delta.shape[1]):
            s0 += delta[o, b] * x[k, b]
            s1 += delta[o, b] * x[k + 1, b]
            total += delta[o, b]
        g[at + o * down] += s0
        g[at + o * down + 1] += s1
        if bias >= 0:
            g[bias + o] += total


@inner
def _dot1(delta: Array, rows: Rows, x: Array, g: Array, at: int, down: int, bias: int) -> None:
    """As `_dot2`, of the first input alone."""
    for o in range(rows[0], rows[1]):
        s = total = ZERO
        for b in range(delta.shape[1]):
            s += delta[o, b] * x[0, b]
            total += delta[o, b]
        g[at + o * down] += s
        g[bias + o] += total


@inner
def forward(net: Net, act: int, w: Array, x: Array, tape: Tape) -> None:
    """Runs a network on x with shape (inputs, n); the tape gets all results."""
    last = net.shape[0] - 1
    for layer in range(last + 1):
        at, cols, rows = net[layer]
        source = x if layer == 0 else tape.hidden[layer - 1]
        target = tape.out if layer == last else tape.hidden[layer]
        for start in range(0, rows, TILE):
            tile = (start, min(start + TILE, rows))
            _product(target, tile, source, cols, w, at, cols, 1, at + rows * cols)
            if layer < last:
                activate(target, tile, tape.slopes[layer], act)


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
        _add_gradient(g, at, rows, cols, delta, (start, min(start + TILE, rows)), source)
    for layer in range(last - 1, -1, -1):
        above, _, rows_above = net[layer + 1]
        at, cols, rows = net[layer]
        source = x if layer == 0 else tape.hidden[layer - 1]
        target = deltas[layer % 2]
        for start in range(0, rows, TILE):
            tile = (start, min(start + TILE, rows))
            _product(target, tile, delta, rows_above, w, above, 1, rows, -1)
            multiply_by_slope(target, tile, tape.hidden[layer], tape.slopes[layer], act)
            _add_gradient(g, at, rows, cols, target, tile, source)
        delta = target
    if wanted:
        at, cols, rows = net[0]
        for start in range(0, cols, TILE):
            _product(dx, (start, min(start + TILE, cols)), delta, rows, w, at, 1, cols, -1)
