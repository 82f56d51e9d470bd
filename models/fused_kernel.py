"""The loops of `models.fused`: steps of one run after the other, each in the core's own cache.

Matrices are feature-major, (F, n) with the n items of a minibatch contiguous: all inner loops go
over items. `Net` is a network's layout in a row of weights, a row (offset, in, out) per layer:
weight (out, in) at the offset, the bias behind it.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from models.fused_math import HALF, ONE, F, exp, log, tanh
from models.jit import compiled

Array = NDArray[np.float32]
Net = NDArray[np.int64]

inner = numba.njit(
    fastmath={"contract", "nsz", "reassoc", "arcp"}, error_model="numpy", nogil=True
)

TANH, RELU, SWISH = 0, 1, 2
TILE = 32  # rows of output that stay in the L1 cache while rows of input stream by
LOG_2PI = F(np.log(2 * np.pi))
ZERO = F(0)


@inner
def _add8(out: Array, o: int, x: Array, k: int, w: Array, at: int, step: int) -> None:
    w0, w1, w2, w3 = w[at], w[at + step], w[at + 2 * step], w[at + 3 * step]
    w4, w5, w6, w7 = w[at + 4 * step], w[at + 5 * step], w[at + 6 * step], w[at + 7 * step]
    for b in range(out.shape[1]):
        out[o, b] += (
            w0 * x[k, b] + w1 * x[k + 1, b] + w2 * x[k + 2, b] + w3 * x[k + 3, b]
            + w4 * x[k + 4, b] + w5 * x[k + 5, b] + w6 * x[k + 6, b] + w7 * x[k + 7, b]
        )


@inner
def _add4(out: Array, o: int, x: Array, k: int, w: Array, at: int, step: int) -> None:
    w0, w1, w2, w3 = w[at], w[at + step], w[at + 2 * step], w[at + 3 * step]
    for b in range(out.shape[1]):
        out[o, b] += w0 * x[k, b] + w1 * x[k + 1, b] + w2 * x[k + 2, b] + w3 * x[k + 3, b]


@inner
def _add2(out: Array, o: int, x: Array, k: int, w: Array, at: int, step: int) -> None:
    w0, w1 = w[at], w[at + step]
    for b in range(out.shape[1]):
        out[o, b] += w0 * x[k, b] + w1 * x[k + 1, b]


@inner
def _add1(out: Array, o: int, x: Array, k: int, w: Array, at: int, step: int) -> None:
    w0 = w[at]
    for b in range(out.shape[1]):
        out[o, b] += w0 * x[k, b]


@inner
def _product(out: Array, x: Array, w: Array, at: int, o_step: int, k_step: int, rows: int, cols: int) -> None:
    """Adds to out[o] Σ_k w[at + o·o_step + k·k_step] x[k], o < rows, k < cols."""
    for tile in range(0, rows, TILE):
        end = min(tile + TILE, rows)
        k = 0
        while k < cols:
            if k + 8 <= cols:
                for o in range(tile, end):
                    _add8(out, o, x, k, w, at + o * o_step + k * k_step, k_step)
                k += 8
            elif k + 4 <= cols:
                for o in range(tile, end):
                    _add4(out, o, x, k, w, at + o * o_step + k * k_step, k_step)
                k += 4
            elif k + 2 <= cols:
                for o in range(tile, end):
                    _add2(out, o, x, k, w, at + o * o_step + k * k_step, k_step)
                k += 2
            else:
                for o in range(tile, end):
                    _add1(out, o, x, k, w, at + o * o_step + k * k_step, k_step)
                k += 1


@inner
def _dot8(g: Array, o: int, x: Array, k: int, out: Array, at: int) -> None:
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = ZERO
    for b in range(g.shape[1]):
        v = g[o, b]
        s0 += v * x[k, b]
        s1 += v * x[k + 1, b]
        s2 += v * x[k + 2, b]
        s3 += v * x[k + 3, b]
        s4 += v * x[k + 4, b]
        s5 += v * x[k + 5, b]
        s6 += v * x[k + 6, b]
        s7 += v * x[k + 7, b]
    out[at] += s0
    out[at + 1] += s1
    out[at + 2] += s2
    out[at + 3] += s3
    out[at + 4] += s4
    out[at + 5] += s5
    out[at + 6] += s6
    out[at + 7] += s7


@inner
def _dot2(g: Array, o: int, x: Array, k: int, out: Array, at: int) -> None:
    s0 = s1 = ZERO
    for b in range(g.shape[1]):
        s0 += g[o, b] * x[k, b]
        s1 += g[o, b] * x[k + 1, b]
    out[at] += s0
    out[at + 1] += s1


@inner
def _dot1(g: Array, o: int, x: Array, k: int, out: Array, at: int) -> None:
    s = ZERO
    for b in range(g.shape[1]):
        s += g[o, b] * x[k, b]
    out[at] += s


@inner
def _sum(g: Array, o: int) -> np.float32:
    s = ZERO
    for b in range(g.shape[1]):
        s += g[o, b]
    return s


@inner
def _products(out: Array, at: int, g: Array, x: Array, rows: int, cols: int) -> None:
    """Adds to out[at + o·cols + k] the products Σ_b g[o, b] x[k, b], and the biases' Σ_b g[o, b]."""
    for tile in range(0, rows, TILE):
        end = min(tile + TILE, rows)
        for o in range(tile, end):
            out[at + rows * cols + o] += _sum(g, o)
        k = 0
        while k < cols:
            if k + 8 <= cols:
                for o in range(tile, end):
                    _dot8(g, o, x, k, out, at + o * cols + k)
                k += 8
            elif k + 2 <= cols:
                for o in range(tile, end):
                    _dot2(g, o, x, k, out, at + o * cols + k)
                k += 2
            else:
                for o in range(tile, end):
                    _dot1(g, o, x, k, out, at + o * cols + k)
                k += 1


@inner
def _activate(h: Array, slope: Array, act: int) -> None:
    """Applies the activation to h in place; slope gets its derivative."""
    for k in range(h.shape[0]):
        if act == TANH:
            for b in range(h.shape[1]):
                h[k, b] = tanh(h[k, b])
        elif act == RELU:
            for b in range(h.shape[1]):
                h[k, b] = ZERO if h[k, b] < ZERO else h[k, b]
        else:
            for b in range(h.shape[1]):
                s = ONE / (ONE + exp(-h[k, b]))
                slope[k, b] = s * (ONE + h[k, b] * (ONE - s))
                h[k, b] = h[k, b] * s


@inner
def _deactivate(delta: Array, h: Array, slope: Array, act: int) -> None:
    """Multiplies delta in place by the activation's derivative at what gave h."""
    for k in range(h.shape[0]):
        if act == TANH:
            for b in range(h.shape[1]):
                delta[k, b] *= ONE - h[k, b] * h[k, b]
        elif act == RELU:
            for b in range(h.shape[1]):
                delta[k, b] = ZERO if h[k, b] <= ZERO else delta[k, b]
        else:
            for b in range(h.shape[1]):
                delta[k, b] *= slope[k, b]


@inner
def _forward(net: Net, act: int, w: Array, x: Array, hidden: Array, slopes: Array, out: Array) -> None:
    """Sets out (F, n), and what the backward pass needs: hidden (layers - 1, H, n), slopes too."""
    last = net.shape[0] - 1
    for layer in range(last + 1):
        at, cols, rows = net[layer]
        source = x if layer == 0 else hidden[layer - 1]
        target = out if layer == last else hidden[layer]
        for o in range(rows):
            target[o, :] = w[at + rows * cols + o]
        _product(target, source, w, at, cols, 1, rows, cols)
        if layer < last:
            _activate(target, slopes[layer], act)


@inner
def _backward(
    net: Net, act: int, w: Array, g: Array, x: Array, hidden: Array, slopes: Array,
    d_out: Array, deltas: Array, dx: Array, want_dx: bool
) -> None:
    """Adds to g the gradient of the weights, d_out (F, n) given; sets dx (F, n) if wanted."""
    delta = d_out
    for layer in range(net.shape[0] - 1, -1, -1):
        at, cols, rows = net[layer]
        source = x if layer == 0 else hidden[layer - 1]
        _products(g, at, delta, source, rows, cols)
        if layer > 0 or want_dx:
            target = dx if layer == 0 else deltas[layer & 1]
            target[:cols] = ZERO
            _product(target, delta, w, at, 1, cols, cols, rows)
            if layer > 0:
                _deactivate(target, source, slopes[layer - 1], act)
            delta = target


@inner
def _sample(out: Array, noise: Array, heads: int, minimum: np.float32, y: Array, log_p: Array) -> None:
    """Sets y = mean + scale·noise and its log-density; log-scales in out turn to their exp."""
    features = y.shape[0]
    log_p[:] = -HALF * F(features) * LOG_2PI
    if heads == 1:
        log_p[:] -= F(features) * log(minimum)
    for f in range(features):
        if heads == 1:
            for b in range(y.shape[1]):
                y[f, b] = out[f, b] + minimum * noise[f, b]
                log_p[b] -= HALF * noise[f, b] * noise[f, b]
        else:
            for b in range(y.shape[1]):
                e = exp(out[features + f, b])
                out[features + f, b] = e
                y[f, b] = out[f, b] + (e + minimum) * noise[f, b]
                log_p[b] -= HALF * noise[f, b] * noise[f, b] + log(e + minimum)


@inner
def _density(out: Array, target: Array, minimum: np.float32, log_p: Array) -> None:
    """Sets the log-density of target; its gradient takes the place of out."""
    features = target.shape[0]
    log_p[:] = -HALF * F(features) * LOG_2PI
    for f in range(features):
        for b in range(target.shape[1]):
            e = exp(out[features + f, b])
            scale = e + minimum
            u = (target[f, b] - out[f, b]) / scale
            log_p[b] -= HALF * u * u + log(scale)
            out[f, b] = u / scale
            out[features + f, b] = (u * u - ONE) / scale * e


@inner
def _anchor(z: Array, log_p: Array) -> None:
    """Sets log N(z; 0, I)."""
    log_p[:] = -HALF * F(z.shape[0]) * LOG_2PI
    for f in range(z.shape[0]):
        for b in range(z.shape[1]):
            log_p[b] -= HALF * z[f, b] * z[f, b]


@inner
def _item_losses(terms: Array, d_terms: Array, c: Array, items: int) -> np.float32:
    """Returns the mean loss; terms (3, n): of sample, of target, anchor; d_terms its gradient."""
    scale = ONE / F(items)
    total = ZERO
    d_terms[:, :] = ZERO
    for b in range(items):
        loss = ZERO
        for t in range(3):
            if c[t] != ZERO:
                loss += c[t] * terms[t, b]
                d_terms[t, b] = c[t] * scale
        total += loss
    return total * scale


@inner
def _mix(terms: Array, d_terms: Array, factor: np.float32, a: int, c: int, items: int) -> np.float32:
    """Returns the mean of factor·log(½ p(x,z) + ½ q(x,z)) and adds its gradient to d_terms."""
    scale = ONE / F(items)
    total = ZERO
    for b in range(items):
        p = terms[a, b] + terms[2, b]
        q = terms[a, b] + terms[c, b]
        high = p if p > q else q
        low = q if p > q else p
        e = exp(low - high)
        total += high + log(HALF * (ONE + e))
        share = ONE / (ONE + exp(q - p))
        d_terms[a, b] += factor * scale
        d_terms[2, b] += factor * scale * share
        d_terms[c, b] += factor * scale * (ONE - share)
    return factor * total * scale


@inner
def _adam(w: Array, first: Array, second: Array, g: Array, size: np.float32, factor: np.float32) -> None:
    for p in range(w.shape[0]):
        first[p] += F(1 - 0.9) * (g[p] - first[p])
        second[p] = F(0.999) * second[p] + F(1 - 0.999) * g[p] * g[p]
        w[p] -= first[p] / (np.sqrt(second[p]) * factor + F(1e-8)) * size


@inner
def _direction(
    nets: Any, act: int, w: Array, g: Array, x: Array, noise: Array, heads: int, minimum: np.float32,
    c: Array, items: int, encoder_first: bool, learn: bool, scratch: Any
) -> np.float32:
    first, second = nets
    hidden1, slopes1, hidden2, slopes2, out1, out2, y, dy, deltas, terms, d_terms = scratch
    _forward(first, act, w, x, hidden1, slopes1, out1)
    _sample(out1, noise, heads, minimum, y, terms[0])
    _forward(second, act, w, y, hidden2, slopes2, out2)
    _density(out2, x, minimum, terms[1])
    _anchor(y if encoder_first else x, terms[2])
    loss = _item_losses(terms, d_terms, c, items)
    if c[3] != ZERO:
        loss += _mix(terms, d_terms, c[3], int(encoder_first), int(not encoder_first), items)
    if learn:
        features = x.shape[0]
        for f in range(2 * features):
            for b in range(x.shape[1]):
                out2[f, b] *= d_terms[1, b]
        _backward(second, act, w, g, y, hidden2, slopes2, out2, deltas, dy, True)
        features = y.shape[0]
        for f in range(features):
            if encoder_first:
                for b in range(y.shape[1]):
                    dy[f, b] -= d_terms[2, b] * y[f, b]
            if heads == 2:
                for b in range(y.shape[1]):
                    e = out1[features + f, b]
                    out1[features + f, b] = (dy[f, b] * noise[f, b] - d_terms[0, b] / (e + minimum)) * e
        for f in range(features):
            out1[f] = dy[f]
        _backward(first, act, w, g, x, hidden1, slopes1, out1, deltas, dy, False)
    return loss


@inner
def _scratch(first: Net, second: Net, act: int, n: int) -> Any:
    layers = first.shape[0]
    hidden = first[0, 2] if layers > 1 else 1
    swish = hidden if act == SWISH else 1
    samples = second[0, 1]
    return (
        np.empty((max(layers - 1, 1), hidden, n), F), np.empty((max(layers - 1, 1), swish, n), F),
        np.empty((max(layers - 1, 1), hidden, n), F), np.empty((max(layers - 1, 1), swish, n), F),
        np.empty((first[layers - 1, 2], n), F), np.empty((second[layers - 1, 2], n), F),
        np.empty((samples, n), F), np.empty((samples, n), F),
        np.empty((2, hidden, n), F), np.empty((3, n), F), np.empty((3, n), F),
    )


@compiled
def run_parts(
    encoder: Net, decoder: Net, act: int, heads: int, minimum: np.float32, items: int, learn: bool,
    both: bool, weights: Array, first: Array, second: Array, size: Array, factor: Array,
    coefficients: Array, x: Array, noise_z: Array, anchor: Array, noise_x: Array
) -> Array:
    totals = np.zeros(x.shape[1], F)
    gradient = np.zeros(weights.shape[1], F)
    scratch_e = _scratch(encoder, decoder, act, x.shape[3])
    scratch_d = _scratch(decoder, encoder, act, x.shape[3])
    for r in range(x.shape[1]):
        w = weights[r]
        for s in range(x.shape[0]):
            gradient[:] = ZERO
            loss = _direction(
                (encoder, decoder), act, w, gradient, x[s, r], noise_z[s, r], heads, minimum,
                coefficients[r, 0], items, True, learn, scratch_e)
            if both:
                loss += _direction(
                    (decoder, encoder), act, w, gradient, anchor[s, r], noise_x[s, r], 2, minimum,
                    coefficients[r, 1], items, False, learn, scratch_d)
                loss *= HALF
            if learn:
                _adam(w, first[r], second[r], gradient, size[s, r], factor[s, r])
            totals[r] += loss
    return totals
