"""The kernel of `models.steps.cpu.fused`: steps of one run after the other.

Each run is in the core's own cache. Samples of the encoder and of the decoder go through one
function, `_loss`: a first network makes a sample y of an input x, a second gives the density of x
at y. On encoder samples they are encoder and decoder, on decoder samples decoder and encoder. Names
and formulas are those of `models.steps.cpu.fused`.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from mimsweep.models import elementary, philox
from mimsweep.models.elementary import ZERO, Array, F
from mimsweep.models.jit import compiled, njit
from mimsweep.models.philox import CHUNK, Words, draw_rows
from mimsweep.models.steps.cpu import functions as fused_math
from mimsweep.models.steps.cpu import layers as fused_layers
from mimsweep.models.steps.cpu.functions import (
    ANCHOR,
    FIRST,
    MIXTURE,
    SECOND,
    SWISH,
    anchor,
    density,
    gradient_of_sample,
    inner,
    linear_loss,
    mixture_loss,
    sample,
)
from mimsweep.models.steps.cpu.layers import Net, Tape, backward, forward

allocating = njit(nogil=True)

LINE = 16  # floats in a cache line, and in the widest vector


class Problem(NamedTuple):
    """What is minimised.

    Attributes:
        encoder: its place in a row of weights.
        decoder: the same.
        act: activation, a constant of `models.steps.cpu.layers`.
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


class MinibatchArrays(NamedTuple):
    """S minibatches, and what their noise is drawn from: z; if there are `both` anchor, noise_x.

    Attributes:
        x: with shape (S, R, D, n).
        z_dim: Z.
        keys: of the three, with shape (3, R, 2).
        epochs: with shape (R,).
        first: number of the first minibatch.
    """

    x: Array
    z_dim: int
    keys: Words
    epochs: Words
    first: int


class StackArrays(NamedTuple):
    """Weights and Adam's moments, with shape (R, P), and its coefficients for S steps, (S, R)."""

    weights: Array
    first: Array
    second: Array
    size: Array
    factor: Array


class Workspace(NamedTuple):
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
    problem: Problem, c: Array, space: Workspace, w: Array, x: Array, noise: Array
) -> np.float32:
    """Returns the mean loss of a direction on x, given the noise of its samples, both (·, n)."""
    first, second = space.tapes
    forward(space.nets[0], problem.act, w, x, first)
    sample(first.out, noise, space.fixed, problem.minimum, space.y, space.terms[FIRST])
    forward(space.nets[1], problem.act, w, space.y, second)
    density(second.out, x, problem.minimum, space.terms[SECOND])
    anchor(space.y if space.of_encoder else x, space.terms[ANCHOR])
    loss = linear_loss(space.terms, space.slopes, c, problem.items)
    if c[MIXTURE] != ZERO:
        p, q = (SECOND, FIRST) if space.of_encoder else (FIRST, SECOND)
        loss += mixture_loss(space.terms, space.slopes, c[MIXTURE], p, q, problem.items)
    return loss


@inner
def _add_gradient(
    problem: Problem, space: Workspace, w: Array, x: Array, noise: Array, g: Array
) -> None:
    """Adds to g the gradient of what `_loss` has just returned."""
    first, second = space.tapes
    for f in range(second.out.shape[0]):
        for b in range(second.out.shape[1]):
            second.out[f, b] *= space.slopes[SECOND, b]
    backward(space.nets[1], problem.act, w, g, space.y, second, space.deltas, space.dy, True)
    if space.of_encoder:
        for f in range(space.y.shape[0]):
            for b in range(space.y.shape[1]):
                space.dy[f, b] -= space.slopes[ANCHOR, b] * space.y[f, b]
    gradient_of_sample(
        first.out, noise, space.fixed, problem.minimum, space.dy, space.slopes[FIRST]
    )
    backward(space.nets[0], problem.act, w, g, x, first, space.deltas, space.dy, False)


@inner
def _adam(state: StackArrays, s: int, r: int, g: Array, constants: Array) -> None:
    """Makes step s of run r, as `models.steps.adam.Adam.step_`."""
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
def _workspace(problem: Problem, of_encoder: bool, n: int) -> Workspace:
    nets = (problem.encoder, problem.decoder)
    if not of_encoder:
        nets = (problem.decoder, problem.encoder)
    samples = nets[1][0, 1]
    return Workspace(
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
    """Returns `run_steps`. Kept compiled code is found by this file's time and by `sources`."""

    @compiled
    def run_steps(
        problem: Problem,
        batches: MinibatchArrays,
        state: StackArrays,
        constants: Array,
        learn: bool,
    ) -> Array:
        """Makes S steps, or tests on S minibatches; returns sums of losses with shape (R,)."""
        _ = sources
        steps, runs, x_dim, n = batches.x.shape
        totals, g = np.zeros(runs, F), np.zeros(state.weights.shape[1], F)
        spaces = (_workspace(problem, True, n), _workspace(problem, False, n))
        noise_z, anchors = _zeros((batches.z_dim, n)), _zeros((batches.z_dim, n))
        noise_x = _zeros((x_dim, n))
        room, count = _zeros((CHUNK,)), 2 if problem.both else 1
        for r in range(runs):
            w, epoch = state.weights[r], batches.epochs[r]
            for s in range(steps):
                g[:] = ZERO
                for kind, noise in enumerate((noise_z, anchors, noise_x)):
                    if kind == 0 or problem.both:
                        k0, k1 = batches.keys[kind, r, 0], batches.keys[kind, r, 1]
                        draw_rows(noise, problem.items, room, batches.first + s, epoch, k0, k1)
                        for b in range(problem.items, n):
                            noise[:, b] = noise[:, 0]
                for d in range(count):
                    x, noise = batches.x[s, r], noise_z
                    if d == 1:
                        x, noise = anchors, noise_x
                    loss = _loss(problem, problem.factors[r, d], spaces[d], w, x, noise)
                    totals[r] += loss / F(count)
                    if learn:
                        _add_gradient(problem, spaces[d], w, x, noise, g)
                if learn:
                    _adam(state, s, r, g, constants)
        return totals

    return run_steps


def _checksum(*modules: ModuleType) -> int:
    return zlib.crc32(b"".join(Path(str(module.__file__)).read_bytes() for module in modules))


run_steps = _of_sources(_checksum(elementary, philox, fused_layers, fused_math))
