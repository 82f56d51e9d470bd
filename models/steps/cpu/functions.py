"""Activations, log-densities and the loss per item of `models.steps.cpu.fused`, in float32.

With μ, s the outputs of a network, σ = exp s + minimum, and u = (x − μ)/σ:

    log N(x; μ, σ) = −Σ_f (½u² + log σ + ½ log 2π)
    ∂/∂μ = u/σ,   ∂/∂s = (u² − 1)/σ · exp s
    at its own sample, x = μ + σ·noise:   ∂/∂σ = −1/σ, nothing else
"""

import numpy as np

from mimsweep.models.elementary import COMPILED, HALF, ONE, ZERO, Array, F, exp, log, tanh
from mimsweep.models.jit import njit

Rows = tuple[int, int]  # first of some rows, and end

TANH, RELU, SWISH = 0, 1, 2

# As `elementwise`, with sums in any order.
inner = njit(fastmath={"contract", "nsz", "reassoc"}, **COMPILED)

HALF_LOG_2PI = F(0.5 * np.log(2 * np.pi))
FIRST, SECOND, ANCHOR, MIXTURE = 0, 1, 2, 3  # columns of factors; rows of terms but the last


@inner
def activate(h: Array, rows: Rows, slopes: Array, act: int) -> None:
    """Applies the activation to some rows, in place; sets slopes if it is swish."""
    for o in range(rows[0], rows[1]):
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
def multiply_by_slope(delta: Array, rows: Rows, h: Array, slopes: Array, act: int) -> None:
    """Multiplies rows of δ by the activation's derivative, told from its value or slopes."""
    for o in range(rows[0], rows[1]):
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
def sample(
    out: Array, noise: Array, fixed: bool, minimum: np.float32, y: Array, term: Array
) -> None:
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
def gradient_of_sample(
    out: Array, noise: Array, fixed: bool, minimum: np.float32, dy: Array, slope: Array
) -> None:
    """Puts the gradient of `out` in its place.

    Args:
        out: as `sample` left it.
        noise: what `sample` had, with shape (F, n).
        fixed: the same.
        minimum: the same.
        dy: gradient of the sample, with shape (F, n).
        slope: gradient of its log-density, with shape (n,).
    """
    features = dy.shape[0]
    for f in range(features):
        for b in range(dy.shape[1]):
            out[f, b] = dy[f, b]
        if not fixed:
            for b in range(dy.shape[1]):
                e = out[features + f, b]
                out[features + f, b] = (dy[f, b] * noise[f, b] - slope[b] / (e + minimum)) * e


@inner
def density(out: Array, x: Array, minimum: np.float32, term: Array) -> None:
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
def anchor(z: Array, term: Array) -> None:
    """Sets log N(z; 0, I)."""
    term[:] = -F(z.shape[0]) * HALF_LOG_2PI
    for f in range(z.shape[0]):
        for b in range(z.shape[1]):
            term[b] -= HALF * z[f, b] * z[f, b]


@inner
def linear_loss(terms: Array, slopes: Array, c: Array, items: int) -> np.float32:
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
def mixture_loss(
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
