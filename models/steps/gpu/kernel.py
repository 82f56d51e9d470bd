"""An epoch of runs on a GPU as one launch: a program a run, all of its steps.

Names and formulas are those of `models.steps.cpu.kernel`. Weights, moments and gradient stay in the
cache of the run's own processor; noise, and the items of toys, are made in the step, from the same
counters as on a CPU. Runs with and without decoder samples are programs of the same launch.
"""

import triton
import triton.language as tl

from mimsweep.models.steps.gpu.counted import in_order, normals, words
from mimsweep.models.steps.gpu.network import backward, forward

HALF_LOG_2PI = tl.constexpr(0.9189385332046727)


@triton.jit
def direction(
    w, g, c, first, second, x, noise, I, H, F, minimum,
    IP: tl.constexpr, FP: tl.constexpr, HT: tl.constexpr, ACT: tl.constexpr,
    HEADS: tl.constexpr, OF_ENCODER: tl.constexpr, LEARN: tl.constexpr, ITEMS: tl.constexpr,
):  # fmt: skip
    """Returns the mean loss of a direction, and adds its gradient to g if LEARN.

    Args:
        w: where the run's weights are.
        g: where its gradient is.
        c: where the four factors of the direction are.
        first: where the first network starts in a row.
        second: the same of the second.
        x: items, or samples of the prior, with shape (IP, N).
        noise: of the samples y that the first network makes, with shape (FP, N).
        I: how many features x has.
        H: how many hidden units.
        F: how many features y has.
        minimum: smallest scale.
        IP: I, padded.
        FP: F, padded.
        HT: hidden units in a tile.
        ACT: the activation.
        HEADS: of the first network.
        OF_ENCODER: whether that is the encoder.
        LEARN: whether there is a gradient.
        ITEMS: B, of which N columns are padded.
    """
    mean, log_scale = forward(w + first, x, I, H, F, IP, FP, HT, ACT, HEADS)
    e = tl.exp(log_scale) if HEADS == 2 else tl.zeros_like(log_scale)
    sigma = e + minimum
    is_y = (tl.arange(0, FP) < F)[:, None]
    y = tl.where(is_y, mean + sigma * noise, 0.0)
    by_first = tl.sum(tl.where(is_y, -0.5 * noise * noise - tl.log(sigma) - HALF_LOG_2PI, 0.0), 0)

    mean2, log_scale2 = forward(w + second, y, F, H, I, FP, IP, HT, ACT, 2)
    e2 = tl.exp(log_scale2)
    inverse = 1.0 / (e2 + minimum)
    is_x = (tl.arange(0, IP) < I)[:, None]
    u = (x - mean2) * inverse
    by_second = -0.5 * u * u - tl.log(e2 + minimum) - HALF_LOG_2PI
    by_second = tl.sum(tl.where(is_x, by_second, 0.0), 0)
    if OF_ENCODER:
        by_anchor = tl.sum(tl.where(is_y, -0.5 * y * y - HALF_LOG_2PI, 0.0), 0)
    else:
        by_anchor = tl.sum(tl.where(is_x, -0.5 * x * x - HALF_LOG_2PI, 0.0), 0)

    c0, c1, c2, c3 = tl.load(c), tl.load(c + 1), tl.load(c + 2), tl.load(c + 3)
    item = tl.arange(0, x.shape[1]) < ITEMS
    each = tl.where(c0 == 0, 0.0, c0 * by_first) + tl.where(c1 == 0, 0.0, c1 * by_second)
    each += tl.where(c2 == 0, 0.0, c2 * by_anchor)
    # log ½(p(x, z) + q(x, z))
    log_p, log_q = (by_second, by_first) if OF_ENCODER else (by_first, by_second)
    difference = log_q - by_anchor
    high, low = tl.maximum(difference, 0.0), tl.minimum(difference, 0.0)
    mixture = log_p + by_anchor + high + tl.log(0.5 * (1.0 + tl.exp(low - high)))
    each += tl.where(c3 == 0, 0.0, c3 * mixture)
    loss = tl.sum(tl.where(item, each, 0.0), 0) / ITEMS
    if LEARN:
        share = tl.where(c3 == 0, 0.0, 1.0 / (1.0 + tl.exp(difference)))
        of_p = tl.where(item, c3, 0.0) / ITEMS
        of_q = tl.where(item, tl.where(c3 == 0, 0.0, c3 * (1.0 - share)), 0.0) / ITEMS
        of_first = tl.where(item, c0, 0.0) / ITEMS + (of_q if OF_ENCODER else of_p)
        of_second = tl.where(item, c1, 0.0) / ITEMS + (of_p if OF_ENCODER else of_q)
        of_anchor = tl.where(item, c2 + c3 * share, 0.0) / ITEMS
        d_mean = tl.where(is_x, of_second[None, :] * u * inverse, 0.0)
        d_log_scale = tl.where(is_x, of_second[None, :] * (u * u - 1.0) * inverse * e2, 0.0)
        d_y = backward(
            w + second, g + second, y, d_mean, d_log_scale, F, H, I, FP, IP, HT, ACT, 2, True
        )
        if OF_ENCODER:
            d_y -= of_anchor[None, :] * y
        d_log_scale = tl.where(is_y, (d_y * noise - of_first[None, :] / sigma) * e, 0.0)
        d_mean = tl.where(is_y, d_y, 0.0)
        backward(
            w + first, g + first, x, d_mean, d_log_scale, I, H, F, IP, FP, HT, ACT, HEADS, False
        )
    return loss


@triton.jit
def mixture(key, means, scale, s, epoch, M, D, DP: tl.constexpr, N: tl.constexpr):
    """Returns the items of step s, with shape (DP, N), as `philox.fill_mixture` draws them."""
    start = s * (N // 4)
    zero = s * 0
    w0, w1, w2, w3 = words(key, start, 0, zero, epoch, 1, N)
    chosen = tl.math.umulhi(in_order(w0, w1, w2, w3, 1, N), tl.zeros((1, N), tl.uint32) + M)
    d = tl.arange(0, DP)
    at = chosen.to(tl.int32) * D + d[:, None]
    mean = tl.load(means + at, mask=d[:, None] < D, other=0.0)
    spread = tl.load(scale + d, mask=d < D, other=0.0)
    return mean + spread[:, None] * normals(key, start, 1, zero, epoch, DP, N)


@triton.jit
def items(x, s, r, R, D, n, ITEMS: tl.constexpr, DP: tl.constexpr, N: tl.constexpr):
    """Returns the given items of step s of run r, with shape (DP, N)."""
    d, b = tl.arange(0, DP)[:, None], tl.arange(0, N)[None, :]
    column = tl.where(b < ITEMS, b, 0)
    return tl.load(x + ((s * R + r) * D + d) * n + column, mask=d < D, other=0.0)


@triton.jit
def adam(w, first, second, g, P, size, factor, RATE1, KEEP2, RATE2, EPSILON, BLOCK: tl.constexpr):
    """Makes a step of a run, as `models.steps.adam.Adam.step_`, and leaves a gradient of 0."""
    for start in range(0, P, BLOCK):
        at = start + tl.arange(0, BLOCK)
        is_weight = at < P
        gradient = tl.load(g + at, mask=is_weight, other=0.0)
        m = tl.load(first + at, mask=is_weight, other=0.0)
        m += RATE1 * (gradient - m)
        v = tl.load(second + at, mask=is_weight, other=0.0)
        v = KEEP2 * v + RATE2 * gradient * gradient
        weight = tl.load(w + at, mask=is_weight, other=0.0)
        weight -= m / (tl.sqrt_rn(v) * factor + EPSILON) * size
        tl.store(first + at, m, mask=is_weight)
        tl.store(second + at, v, mask=is_weight)
        tl.store(w + at, weight, mask=is_weight)
        tl.store(g + at, tl.zeros((BLOCK,), tl.float32), mask=is_weight)


@triton.jit
def epoch_of_runs(
    weights, first, second, gradient, totals, sizes, correction, factors, both, keys, epochs,
    x, means, scale, S, R, P, D, Z, H, M, n, start, minimum, RATE1, KEEP2, RATE2, EPSILON,
    DP: tl.constexpr, ZP: tl.constexpr, HT: tl.constexpr, N: tl.constexpr, ITEMS: tl.constexpr,
    ACT: tl.constexpr, HEADS: tl.constexpr, BOTH: tl.constexpr, LEARN: tl.constexpr,
    GIVEN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Makes S steps of run `program_id(0)`, or tests on S minibatches, and adds up the losses.

    Args:
        weights: with shape (R, P), and so the moments and a gradient of 0; unused if not LEARN.
        first: see weights.
        second: likewise.
        gradient: likewise.
        totals: gets the sums, with shape (R,).
        sizes: of Adam's steps, with shape (S, R).
        correction: of its bias, with shape (S, R).
        factors: with shape (R, 2, 4).
        both: whether a run has decoder samples, 0 or 1, with shape (R,), if BOTH.
        keys: of z, anchor, x and data, with shape (4, R), 64 bits each.
        epochs: with shape (R,).
        x: items with shape (S, R, D, n), if GIVEN.
        means: of a mixture, with shape (M, D), if not.
        scale: likewise, with shape (D,).
        S: how many steps.
        R: how many runs.
        P: how many weights.
        D: features of an item.
        Z: of a latent.
        H: hidden units.
        M: components.
        n: columns of x.
        start: number of the first step.
        minimum: smallest scale.
        RATE1: Adam's constants.
        KEEP2: likewise.
        RATE2: likewise.
        EPSILON: likewise.
        DP: D, padded.
        ZP: Z, padded.
        HT: hidden units in a tile.
        N: columns, a power of two of at least 128.
        ITEMS: B.
        ACT: the activation.
        HEADS: of the encoder.
        BOTH: whether any run has decoder samples.
        LEARN: whether steps are made.
        GIVEN: whether items are.
        BLOCK: weights that Adam sees at once.
    """
    r = tl.program_id(0)
    w, g, c = weights + r * P, gradient + r * P, factors + r * 8
    epoch = tl.load(epochs + r)
    decoder = H * D + H + HEADS * Z * H + HEADS * Z
    total = 0.0
    for s in range(S):
        step = start + s
        if GIVEN:
            data = items(x, s, r, R, D, n, ITEMS, DP, N)
        else:
            data = mixture(tl.load(keys + 3 * R + r), means, scale, step, epoch, M, D, DP, N)
        noise = normals(tl.load(keys + r), 0, 0, step, epoch, ZP, N)
        loss = direction(
            w, g, c, 0, decoder, data, noise, D, H, Z, minimum,
            DP, ZP, HT, ACT, HEADS, True, LEARN, ITEMS,
        )  # fmt: skip
        if BOTH:  # noqa: SIM102 -- what the compiler knows, and what it doesn't
            if tl.load(both + r) == 1:
                tl.debug_barrier()  # what threads have stored, others read
                prior = normals(tl.load(keys + R + r), 0, 0, step, epoch, ZP, N)
                prior = tl.where((tl.arange(0, ZP) < Z)[:, None], prior, 0.0)
                noise_x = normals(tl.load(keys + 2 * R + r), 0, 0, step, epoch, DP, N)
                loss += direction(
                    w, g, c + 4, decoder, 0, prior, noise_x, Z, H, D, minimum,
                    ZP, DP, HT, ACT, 2, False, LEARN, ITEMS,
                )  # fmt: skip
                loss *= 0.5
        total += loss
        if LEARN:
            tl.debug_barrier()
            size, factor = tl.load(sizes + s * R + r), tl.load(correction + s * R + r)
            adam(
                w, first + r * P, second + r * P, g, P, size, factor,
                RATE1, KEEP2, RATE2, EPSILON, BLOCK,
            )  # fmt: skip
            tl.debug_barrier()
    tl.store(totals + r, total)
