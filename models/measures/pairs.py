"""The densities q(z_i|x_j) of all pairs i, j, summed over j ≠ i by compiled loops, in float64.

q(z|x_j) is a mixture of K Gaussians with weights w, means μ and standard deviations σ, K = 1 for
one that is none:

    log w_k N(z; μ_k, σ_k) = log w_k − Σ_d (½ u_d² + log σ_kd + ½ log 2π),   u = (z − μ_k)/σ_k

The difference is taken before it's divided: σ may be a millionth of |μ|, where products of
matrices, z²/σ² − 2zμ/σ² + μ²/σ², have no digit left. Items j are looked at in blocks that stay in
the core's own cache, all z_i at one block. For each i the largest term so far is kept, and sums
relative to it; a block all of whose terms are below it by more than `NEGLIGIBLE` is left out.

exp x = 2ⁿ Σ rᵐ/m!, m up to 11, n = round(x/ln 2), |r| <= ½ ln 2: a relative error of 1e-14.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimsweep.models.elementary import COMPILED, elementwise
from mimsweep.models.jit import compiled, njit

Array = NDArray[np.float64]

BLOCK = 64  # items in a row; a multiple of any vector register's width
NEGLIGIBLE = 40.0  # nats: 10⁴ terms so far below the largest change no digit that is told
LOWEST = -700.0  # where exp is as good as 0, and no subnormal number yet
LOG2_E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 0.6931471803691238, 1.9082149292705877e-10
MAGIC, MAGIC_BITS = 6755399441055744.0, np.int64(0x4338000000000000)  # 1.5·2⁵²
BIAS, FRACTION_BITS = np.int64(1023), np.int64(52)
F2, F3, F4, F5, F6, F7, F8, F9, F10, F11 = (1 / math.factorial(m) for m in range(2, 12))

# A sum in vector registers, in their order.
reduction = njit(fastmath={"contract", "nsz", "reassoc"}, **COMPILED)


class Gaussians(NamedTuple):
    """The densities of items j in blocks, the last filled up with items of density 0.

    Attributes:
        mean: μ with shape (blocks, K, Z, BLOCK).
        inverse: 1/σ, likewise.
        constant: what isn't ½u² in the log-density, with shape (blocks, K, BLOCK).
    """

    mean: Array
    inverse: Array
    constant: Array


class Sums(NamedTuple):
    """What the densities at each z_i come to, in nats, each with shape (N,).

    Attributes:
        own: log q(z_i|x_i).
        others: log Σ_j q(z_i|x_j) over j ≠ i.
        likeliest: the largest log q(z_i|x_j) of j ≠ i.
    """

    own: Array
    others: Array
    likeliest: Array


def sums_of_gaussians(z: Array, log_weight: Array, mean: Array, scale: Array) -> Sums:
    """Returns the sums over all pairs.

    Args:
        z: z_i with shape (N, Z).
        log_weight: log w with shape (K, N).
        mean: μ with shape (K, N, Z).
        scale: σ with shape (K, N, Z).
    """
    constant = log_weight - np.log(scale).sum(-1) - z.shape[1] * 0.5 * math.log(2 * math.pi)
    gaussians = Gaussians(
        _blocks(mean.swapaxes(1, 2), 0.0),
        _blocks(1 / scale.swapaxes(1, 2), 0.0),
        _blocks(constant, -np.inf),
    )
    largest = np.full(len(z), -np.inf)
    total, top = np.zeros(len(z)), np.zeros(len(z))
    own = np.empty((len(z), len(mean)))
    _sum(z, gaussians, own, largest, total, top)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Sums(
            np.logaddexp.reduce(own, axis=1), largest + np.log(total), largest + np.log(top)
        )


def _blocks(values: Array, filling: float) -> Array:
    """Cuts values (K, ..., N) into blocks (blocks, K, ..., BLOCK)."""
    count = values.shape[-1]
    missing = -count % BLOCK
    width = [(0, 0)] * (values.ndim - 1) + [(0, missing)]
    whole = np.pad(values, width, constant_values=filling)
    whole = whole.reshape(*values.shape[:-1], -1, BLOCK)
    return np.ascontiguousarray(np.moveaxis(whole, -2, 0))


@elementwise
def _exp(x: float) -> float:
    """Returns exp x of x <= 0."""
    x = LOWEST if x < LOWEST else x
    shifted = x * LOG2_E + MAGIC
    n = np.int64(np.float64(shifted).view(np.int64) - MAGIC_BITS)
    t = shifted - MAGIC
    r = x - t * LN2_HIGH - t * LN2_LOW
    y = ((((F11 * r + F10) * r + F9) * r + F8) * r + F7) * r + F6
    y = (((((y * r + F5) * r + F4) * r + F3) * r + F2) * r + 1.0) * r + 1.0
    return y * np.int64((n + BIAS) << FRACTION_BITS).view(np.float64)


@elementwise
def _terms(z: Array, mean: Array, inverse: Array, constant: Array, term: Array) -> None:
    """Sets the terms (BLOCK,) of a component at z (Z,); arguments as in `Gaussians`."""
    for b in range(BLOCK):
        term[b] = 0.0
    for d in range(len(z)):
        here = z[d]
        for b in range(BLOCK):
            u = (here - mean[d, b]) * inverse[d, b]
            term[b] += u * u
    for b in range(BLOCK):
        term[b] = constant[b] - 0.5 * term[b]


@elementwise
def _any_above(values: Array, bound: float) -> bool:
    count = np.int64(0)  # counted: a sum runs in vector registers, a maximum doesn't
    for b in range(len(values)):
        count += np.int64(values[b] > bound)
    return bool(count > 0)


@elementwise
def _largest(values: Array, largest: float) -> float:
    """Returns the largest of values and `largest`."""
    if _any_above(values, largest):
        for b in range(len(values)):
            largest = max(largest, values[b])
    return largest


@reduction
def _total(values: Array) -> float:
    total = 0.0
    for b in range(len(values)):
        total += values[b]
    return total


@compiled
def _sum(
    z: Array, gaussians: Gaussians, own: Array, largest: Array, total: Array, top: Array
) -> None:
    """Adds up the terms.

    Args:
        z: with shape (N, Z).
        gaussians: of the N items.
        own: set to the terms of the item's own K components, with shape (N, K).
        largest: −∞; set to the largest of all others, with shape (N,).
        total: 0; set to their sum, divided by exp `largest`, with shape (N,).
        top: 0; set to the largest density of another item, likewise.
    """
    mean, inverse, constant = gaussians
    blocks, components = constant.shape[:2]
    term, density = np.empty((components, BLOCK)), np.empty(BLOCK)
    for block in range(blocks):
        for i in range(len(z)):
            for k in range(components):
                _terms(z[i], mean[block, k], inverse[block, k], constant[block, k], term[k])
            if i // BLOCK == block:
                own[i] = term[:, i % BLOCK]
                term[:, i % BLOCK] = -np.inf
            near = False
            high = largest[i]
            for k in range(components):
                near |= _any_above(term[k], largest[i] - NEGLIGIBLE)
                high = _largest(term[k], high)
            if not near:
                continue
            if high > largest[i]:
                shrunk = math.exp(largest[i] - high)
                total[i] *= shrunk
                top[i] *= shrunk
                largest[i] = high
            density[:] = 0.0
            for k in range(components):
                for b in range(BLOCK):
                    density[b] += _exp(term[k, b] - largest[i])
            total[i] += _total(density)
            top[i] = _largest(density, top[i])
