"""A network with one hidden layer in Triton, forward and backward, tile by tile of hidden units.

All tensors are feature-major, (F, N), as in `models.steps.cpu.layers`, whose formulas these are.
Features are padded to `FP`, a power of two of at least 16; of rows beyond F weights are 0. Nothing
of the width H is kept: backward computes a tile's hidden units again, which is cheaper than to keep
them. A network has the heads mean and, but for a fixed scale, log-scale, each with F outputs.
"""

import triton
import triton.language as tl

from mimsweep.models import elementary

TANH, RELU = tl.constexpr(0), tl.constexpr(1)  # as in models.steps.cpu.functions; else swish
EDGE = tl.constexpr(float(elementary.EDGE))
P0, P1, P2, P3 = (tl.constexpr(float(getattr(elementary, f"P{i}"))) for i in range(4))
Q1, Q2, Q3, Q4 = (tl.constexpr(float(getattr(elementary, f"Q{i}"))) for i in range(1, 5))


@triton.jit
def activated(a, ACT: tl.constexpr):
    """Returns the activation of a, and its derivative there."""
    if ACT == TANH:
        x = tl.where(a > EDGE, EDGE, a)
        x = tl.where(x < -EDGE, -EDGE, x)
        s = x * x
        p = ((P3 * s + P2) * s + P1) * s + P0
        h = x * p / ((((Q4 * s + Q3) * s + Q2) * s + Q1) * s + 1.0)
        slope = 1.0 - h * h
    elif ACT == RELU:
        h = tl.where(a < 0, 0.0, a)
        slope = tl.where(a <= 0, 0.0, 1.0)
    else:
        sigmoid = 1.0 / (1.0 + tl.exp(-a))
        h = a * sigmoid
        slope = sigmoid * (1.0 + a * (1.0 - sigmoid))
    return h, slope


@triton.jit
def below(w, I, H, hidden, IP: tl.constexpr):
    """Returns where a tile's weights to the inputs are, (HT, IP), and which of them are any."""
    i = tl.arange(0, IP)
    return w + hidden[:, None] * I + i[None, :], (hidden[:, None] < H) & (i[None, :] < I)


@triton.jit
def above(w, I, H, F, head, hidden, FP: tl.constexpr):
    """Returns where a head's weights to a tile are, (FP, HT), and which of them are any."""
    f = tl.arange(0, FP)
    at = w + H * I + H + head * F * H
    return at + f[:, None] * H + hidden[None, :], (f[:, None] < F) & (hidden[None, :] < H)


@triton.jit
def tile(w, x, I, H, hidden, IP: tl.constexpr, ACT: tl.constexpr):
    """Returns the weights of a tile to its inputs, its hidden units (HT, N), and their slopes."""
    at, any_ = below(w, I, H, hidden, IP)
    weight = tl.load(at, mask=any_, other=0.0)
    bias = tl.load(w + H * I + hidden, mask=hidden < H, other=0.0)
    h, slope = activated(tl.dot(weight, x, input_precision="ieee") + bias[:, None], ACT)
    return weight, h, slope


@triton.jit
def forward(
    w, x, I, H, F,
    IP: tl.constexpr, FP: tl.constexpr, HT: tl.constexpr, ACT: tl.constexpr, HEADS: tl.constexpr,
):  # fmt: skip
    """Returns mean and log-scale with shape (FP, N), the latter 0 where there is no head of it.

    Args:
        w: where the network's weights are.
        x: inputs with shape (IP, N).
        I: how many inputs.
        H: how many hidden units.
        F: how many features a head has.
        IP: I, padded.
        FP: F, padded.
        HT: hidden units in a tile.
        ACT: the activation.
        HEADS: one or two.
    """
    f = tl.arange(0, FP)
    biases = w + H * I + H + HEADS * F * H
    mean = tl.zeros((FP, x.shape[1]), tl.float32)
    log_scale = tl.zeros((FP, x.shape[1]), tl.float32)
    mean += tl.load(biases + f, mask=f < F, other=0.0)[:, None]
    if HEADS == 2:
        log_scale += tl.load(biases + F + f, mask=f < F, other=0.0)[:, None]
    for start in range(0, H, HT):
        hidden = start + tl.arange(0, HT)
        _, h, _ = tile(w, x, I, H, hidden, IP, ACT)
        at, any_ = above(w, I, H, F, 0, hidden, FP)
        mean += tl.dot(tl.load(at, mask=any_, other=0.0), h, input_precision="ieee")
        if HEADS == 2:
            at, any_ = above(w, I, H, F, 1, hidden, FP)
            log_scale += tl.dot(tl.load(at, mask=any_, other=0.0), h, input_precision="ieee")
    return mean, log_scale


@triton.jit
def add(at, any_, values):
    """Adds values to what is stored."""
    tl.store(at, tl.load(at, mask=any_, other=0.0) + values, mask=any_)


@triton.jit
def backward(
    w, g, x, d_mean, d_log_scale, I, H, F,
    IP: tl.constexpr, FP: tl.constexpr, HT: tl.constexpr, ACT: tl.constexpr, HEADS: tl.constexpr,
    WANTED: tl.constexpr,
):  # fmt: skip
    """Adds the gradient of the weights to g; returns that of x with shape (IP, N), if WANTED.

    Args:
        w: as `forward`.
        g: where the gradient is, laid out as the weights.
        x: as `forward`, and so are all others.
        d_mean: the loss's gradient, with shape (FP, N).
        d_log_scale: likewise.
        I: see `forward`.
        H: likewise.
        F: likewise.
        IP: likewise.
        FP: likewise.
        HT: likewise.
        ACT: likewise.
        HEADS: likewise.
        WANTED: whether the gradient of x is.
    """
    f = tl.arange(0, FP)
    biases = g + H * I + H + HEADS * F * H
    add(biases + f, f < F, tl.sum(d_mean, 1))
    if HEADS == 2:
        add(biases + F + f, f < F, tl.sum(d_log_scale, 1))
    d_x = tl.zeros((IP, x.shape[1]), tl.float32)
    for start in range(0, H, HT):
        hidden = start + tl.arange(0, HT)
        weight, h, slope = tile(w, x, I, H, hidden, IP, ACT)
        at, any_ = above(w, I, H, F, 0, hidden, FP)
        mean_weight = tl.load(at, mask=any_, other=0.0)
        d_h = tl.dot(tl.trans(mean_weight), d_mean, input_precision="ieee")
        at, any_ = above(g, I, H, F, 0, hidden, FP)
        add(at, any_, tl.dot(d_mean, tl.trans(h), input_precision="ieee"))
        if HEADS == 2:
            at, any_ = above(w, I, H, F, 1, hidden, FP)
            scale_weight = tl.load(at, mask=any_, other=0.0)
            d_h += tl.dot(tl.trans(scale_weight), d_log_scale, input_precision="ieee")
            at, any_ = above(g, I, H, F, 1, hidden, FP)
            add(at, any_, tl.dot(d_log_scale, tl.trans(h), input_precision="ieee"))
        d_a = d_h * slope
        at, any_ = below(g, I, H, hidden, IP)
        add(at, any_, tl.dot(d_a, tl.trans(x), input_precision="ieee"))
        add(g + H * I + hidden, hidden < H, tl.sum(d_a, 1))
        if WANTED:
            d_x += tl.dot(tl.trans(weight), d_a, input_precision="ieee")
    return d_x
