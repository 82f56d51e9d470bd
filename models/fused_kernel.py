"""The kernel of `models.fused`: steps of one run after the other, each in the core's own cache.

Both directions of MIM are one function, `_direction`: a first network makes a sample y of an input
x, a second gives the density of x at y. On encoder samples they are encoder and decoder, on decoder
samples decoder and encoder. Names and formulas are those of `models.fused`.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models import fused_layers, fused_math
from models.fused_layers import (
    ONE,
    SWISH,
    ZERO,
    Array,
    Net,
    Tape,
    backward,
    forward,
    inner,
    input_gradient,
)
from models.fused_math import F, exp, log
from models.jit import compiled

HALF, HALF_LOG_2PI = F(0.5), F(0.5 * np.log(2 * np.pi))
FIRST, SECOND, ANCHOR, MIXTURE = 0, 1, 2, 3  # columns of `Problem.factors`, rows of terms
LINE = 64  # bytes of a cache line, and of the widest vector


class Problem(NamedTuple):
    """What is minimised.

    Attributes:
        encoder: its place in a row of weights.
        decoder: the same.
        act: activation, a constant of `models.fused_layers`.
        fixed_scale: whether the encoder's scale is `minimum`, and its only outputs are means.
        minimum: smallest scale.
        factors: c of the loss, with shape (R, 2, 4): on encoder samples, on decoder samples.
        both: whether there are decoder samples.
        items: B, of which the n columns of a minibatch count.
    """

    encoder: Net
    decoder: Net
    act: int
    fixed_scale: bool
    minimum: np.float32
    factors: Array
    both: bool
    items: int


class Batches(NamedTuple):
    """Minibatches and their noise, with shape (S, R, ·, n); the last two if there are `both`."""

    x: Array
    z: Array
    anchor: Array
    noise_x: Array


class State(NamedTuple):
    """Weights and Adam's moments, with shape (R, P), and its coefficients for S steps, (S, R)."""

    weights: Array
    first: Array
    second: Array
    size: Array
    factor: Array


class Scratch(NamedTuple):
    """Room for one direction: y and dy with shape (·, n), terms and their gradient (3, n)."""

    first: Tape
    second: Tape
    deltas: Array
    y: Array
    dy: Array
    terms: Array
    slopes: Array


@inner
def _sample(out: Array, noise: Array, fixed: bool, minimum: np.float32, y: Array, term: Array) -> None:
    """Sets y = mean + σ·noise and its log-density; log-scales in `out` become their exp."""
    features = y.shape[0]
    term[:] = -F(features) * (HALF_LOG_2PI + (log(minimum) if fixed else ZERO))
    for f in range(features):
        if fixed:
            for b in range(y.shape[1]):
                y[f, b] = out[f, b] + minimum * noise[f, b]
                term[b] -= HALF * noise[f, b] * noise[f, b]
        else:
            for b in range(y.shape[1]):
                e = exp(out[features + f, b])
                out[features + f, b] = e
                y[f, b] = out[f, b] + (e + minimum) * noise[f, b]
                term[b] -= HALF * noise[f, b] * noise[f, b] + log(e + minimum)


@inner
def _density(out: Array, x: Array, minimum: np.float32, term: Array) -> None:
    """Sets the log-density of x; its gradient takes the place of `out`."""
    features = x.shape[0]
    term[:] = -F(features) * HALF_LOG_2PI
    for f in range(features):
        for b in range(x.shape[1]):
            e = exp(out[features + f, b])
            inverse = ONE / (e + minimum)
            u = (x[f, b] - out[f, b]) * inverse
            term[b] -= HALF * u * u + log(e + minimum)
            out[f, b] = u * inverse
            out[features + f, b] = (u * u - ONE) * inverse * e


@inner
def _anchor(z: Array, term: Array) -> None:
    """Sets log N(z; 0, I)."""
    term[:] = -F(z.shape[0]) * HALF_LOG_2PI
    for f in range(z.shape[0]):
        for b in range(z.shape[1]):
            term[b] -= HALF * z[f, b] * z[f, b]


@inner
def _linear_loss(terms: Array, slopes: Array, c: Array, items: int) -> np.float32:
    """Returns the mean of Σ c·term, and sets `slopes` to its gradient; terms without c are left."""
    total = ZERO
    for t in range(3):
        slopes[t, :] = ZERO
        if c[t] != ZERO:
            for b in range(items):
                total += c[t] * terms[t, b]
            slopes[t, :items] = c[t] / F(items)
    return total / F(items)


@inner
def _mixture_loss(
    terms: Array, slopes: Array, c: np.float32, p: int, q: int, items: int
) -> np.float32:
    """Returns the mean of c·log ½(p(x, z) + q(x, z)), and adds its gradient to `slopes`.

    Args:
        terms: with shape (3, n).
        slopes: with shape (3, n).
        c: its factor.
        p: row of log p(x|z).
        q: row of log q(z|x).
        items: B.
    """
    total, each = ZERO, c / F(items)
    for b in range(items):
        difference = terms[q, b] - terms[ANCHOR, b]
        high = difference if difference > ZERO else ZERO
        low = ZERO if difference > ZERO else difference
        total += terms[p, b] + terms[ANCHOR, b] + high + log(HALF * (ONE + exp(low - high)))
        share = ONE / (ONE + exp(difference))
        slopes[p, b] += each
        slopes[ANCHOR, b] += each * share
        slopes[q, b] += each * (ONE - share)
    return total * each


@inner
def _direction(
    problem: Problem, c: Array, of_encoder: bool, w: Array, x: Array, noise: Array, room: Scratch
) -> np.float32:
    """Returns the mean loss on encoder samples, or on decoder samples; fills `room`."""
    first, second = problem.encoder, problem.decoder
    if not of_encoder:
        first, second = second, first
    fixed = problem.fixed_scale and of_encoder
    forward(first, problem.act, w, x, room.first)
    _sample(room.first.out, noise, fixed, problem.minimum, room.y, room.terms[FIRST])
    forward(second, problem.act, w, room.y, room.second)
    _density(room.second.out, x, problem.minimum, room.terms[SECOND])
    _anchor(room.y if of_encoder else x, room.terms[ANCHOR])
    loss = _linear_loss(room.terms, room.slopes, c, problem.items)
    if c[MIXTURE] != ZERO:
        p, q = (SECOND, FIRST) if of_encoder else (FIRST, SECOND)
        loss += _mixture_loss(room.terms, room.slopes, c[MIXTURE], p, q, problem.items)
    return loss


@inner
def _gradient(
    problem: Problem, of_encoder: bool, w: Array, x: Array, noise: Array, room: Scratch, g: Array
) -> None:
    """Adds to g the gradient of what `_direction` returned; spoils `room`."""
    first, second = problem.encoder, problem.decoder
    if not of_encoder:
        first, second = second, first
    out = room.second.out
    for f in range(out.shape[0]):
        for b in range(out.shape[1]):
            out[f, b] *= room.slopes[SECOND, b]
    delta = backward(second, problem.act, w, g, room.y, room.second, room.deltas)
    input_gradient(second, w, delta, room.dy)
    y, dy, out = room.y, room.dy, room.first.out
    features = y.shape[0]
    for f in range(features):
        for b in range(y.shape[1]):
            if of_encoder:
                dy[f, b] -= room.slopes[ANCHOR, b] * y[f, b]
            out[f, b] = dy[f, b]
        if not (problem.fixed_scale and of_encoder):
            for b in range(y.shape[1]):
                e = out[features + f, b]
                d_scale = dy[f, b] * noise[f, b] - room.slopes[FIRST, b] / (e + problem.minimum)
                out[features + f, b] = d_scale * e
    backward(first, problem.act, w, g, x, room.first, room.deltas)


@inner
def _adam(state: State, s: int, r: int, g: Array, constants: Array) -> None:
    """Makes step s of run r, as `models.optim.Adam.step_`."""
    rate1, keep2, rate2, epsilon = constants[0], constants[1], constants[2], constants[3]
    size, factor = state.size[s, r], state.factor[s, r]
    w, first, second = state.weights[r], state.first[r], state.second[r]
    for p in range(g.shape[0]):
        first[p] += rate1 * (g[p] - first[p])
        second[p] = keep2 * second[p] + rate2 * g[p] * g[p]
        w[p] -= first[p] / (np.sqrt(second[p]) * factor + epsilon) * size
