"""The kernel of `models.fused`: steps of one run after the other, each in the core's own cache.

Both directions of MIM are one function, `_direction`: a first network makes a sample y of an input
x, a second gives the density of x at y. On encoder samples they are encoder and decoder, on decoder
samples decoder and encoder. Names and formulas are those of `models.fused`.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numba
import numpy as np

from models import fused_layers, fused_math
from models.fused_layers import Net, Tape, backward, forward
from models.fused_math import (
    ANCHOR,
    FIRST,
    MIXTURE,
    SECOND,
    SWISH,
    ZERO,
    Array,
    F,
    anchor,
    density,
    gradient_of_sample,
    inner,
    linear_loss,
    mixture_loss,
    sample,
)
from models.jit import compiled

allocating = numba.njit(nogil=True)

LINE = 16  # floats in a cache line, and in the widest vector


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


class Direction(NamedTuple):
    """The encoder's samples or the decoder's: what is computed, and room for it.

    Attributes:
        of_encoder: whether encoder samples.
        fixed: whether the first network's scale is fixed.
        nets: the first network and the second.
        tapes: theirs.
        deltas: room for `backward`.
        y: samples, with shape (·, n).
        dy: their gradient, with shape (·, n).
        terms: log-densities by the first network, the second, and the anchor, with shape (3, n).
        slopes: the loss's gradient with respect to them, with shape (3, n).
    """

    of_encoder: bool
    fixed: bool
    nets: tuple[Net, Net]
    tapes: tuple[Tape, Tape]
    deltas: Array
    y: Array
    dy: Array
    terms: Array
    slopes: Array


@inner
def _loss(
    problem: Problem, c: Array, way: Direction, w: Array, x: Array, noise: Array
) -> np.float32:
    """Returns the mean loss of a direction on x, given the noise of its samples, both (·, n)."""
    first, second = way.tapes
    forward(way.nets[0], problem.act, w, x, first)
    sample(first.out, noise, way.fixed, problem.minimum, way.y, way.terms[FIRST])
    forward(way.nets[1], problem.act, w, way.y, second)
    density(second.out, x, problem.minimum, way.terms[SECOND])
    anchor(way.y if way.of_encoder else x, way.terms[ANCHOR])
    loss = linear_loss(way.terms, way.slopes, c, problem.items)
    if c[MIXTURE] != ZERO:
        p, q = (SECOND, FIRST) if way.of_encoder else (FIRST, SECOND)
        loss += mixture_loss(way.terms, way.slopes, c[MIXTURE], p, q, problem.items)
    return loss


@inner
def _add_gradient(
    problem: Problem, way: Direction, w: Array, x: Array, noise: Array, g: Array
) -> None:
    """Adds to g the gradient of what `_loss` has just returned."""
    first, second = way.tapes
    for f in range(second.out.shape[0]):
        for b in range(second.out.shape[1]):
            second.out[f, b] *= way.slopes[SECOND, b]
    backward(way.nets[1], problem.act, w, g, way.y, second, way.deltas, way.dy, True)
    if way.of_encoder:
        for f in range(way.y.shape[0]):
            for b in range(way.y.shape[1]):
                way.dy[f, b] -= way.slopes[ANCHOR, b] * way.y[f, b]
    gradient_of_sample(first.out, noise, way.fixed, problem.minimum, way.dy, way.slopes[FIRST])
    backward(way.nets[0], problem.act, w, g, x, first, way.deltas, way.dy, False)


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


@allocating
def _zeros(shape: tuple[int, ...]) -> Array:
    """Returns zeros that start at a cache line: a vector that lies across two costs twice."""
    flat = np.zeros(np.prod(np.array(shape)) + LINE, F)
    skipped = (-flat.ctypes.data // 4) % LINE
    return flat[skipped : skipped + flat.size - LINE].reshape(shape)


@allocating
def _tape(net: Net, act: int, n: int) -> Tape:
    last, width = net.shape[0] - 1, net[0, 2]
    return Tape(
        _zeros((last, width, n)),
        _zeros((last, width if act == SWISH else 1, n)),
        _zeros((net[last, 2], n)),
    )


@allocating
def _direction(problem: Problem, of_encoder: bool, n: int) -> Direction:
    nets = (problem.encoder, problem.decoder)
    if not of_encoder:
        nets = (problem.decoder, problem.encoder)
    samples = nets[1][0, 1]
    return Direction(
        of_encoder,
        problem.fixed_scale and of_encoder,
        nets,
        (_tape(nets[0], problem.act, n), _tape(nets[1], problem.act, n)),
        _zeros((2, nets[0][0, 2], n)),
        _zeros((samples, n)),
        _zeros((samples, n)),
        _zeros((3, n)),
        _zeros((3, n)),
    )


def _of_sources(sources: int) -> Callable[..., Array]:
    """Returns `run_part`. Kept compiled code is found by this file's time and by `sources`."""

    @compiled
    def run_part(
        problem: Problem, batches: Batches, state: State, constants: Array, learn: bool
    ) -> Array:
        """Makes S steps, or tests on S minibatches; returns sums of losses with shape (R,)."""
        _ = sources
        steps, runs, _, n = batches.x.shape
        totals, g = np.zeros(runs, F), np.zeros(state.weights.shape[1], F)
        ways = (_direction(problem, True, n), _direction(problem, False, n))
        count = 2 if problem.both else 1
        for r in range(runs):
            w = state.weights[r]
            for s in range(steps):
                g[:] = ZERO
                for d in range(count):
                    x, noise = batches.x[s, r], batches.z[s, r]
                    if d == 1:
                        x, noise = batches.anchor[s, r], batches.noise_x[s, r]
                    loss = _loss(problem, problem.factors[r, d], ways[d], w, x, noise)
                    totals[r] += loss / F(count)
                    if learn:
                        _add_gradient(problem, ways[d], w, x, noise, g)
                if learn:
                    _adam(state, s, r, g, constants)
        return totals

    return run_part


def _checksum(*modules: ModuleType) -> int:
    return zlib.crc32(b"".join(Path(str(module.__file__)).read_bytes() for module in modules))


run_part = _of_sources(_checksum(fused_layers, fused_math))
