"""`models.philox` in Triton: the same integers, and the same polynomials for normals."""

import triton
import triton.language as tl

from mimsweep.models import elementary, philox

# Triton takes constants of a module if they are marked as such.
CHUNK = tl.constexpr(philox.CHUNK)
EIGHTH = tl.constexpr(int(philox.EIGHTH))
RADIANS, TO_UNIT = tl.constexpr(float(philox.RADIANS)), tl.constexpr(float(philox.TO_UNIT))
S1, S2, S3 = (tl.constexpr(float(c)) for c in (philox.S1, philox.S2, philox.S3))
C1, C2, C3 = (tl.constexpr(float(c)) for c in (philox.C1, philox.C2, philox.C3))
ROOT_HALF_BITS = tl.constexpr(int(elementary.ROOT_HALF_BITS))
FRACTION = tl.constexpr(int(elementary.FRACTION))
LN2_HIGH = tl.constexpr(float(elementary.LN2_HIGH))
LN2_LOW = tl.constexpr(float(elementary.LN2_LOW))
L0, L1, L2, L3, L4, L5, L6, L7, L8 = (
    tl.constexpr(float(getattr(elementary, f"L{i}"))) for i in range(9)
)


@triton.jit
def log_of_normal(x):
    """Returns ln x of positive numbers that are no subnormal ones, with the shape of x."""
    bits = x.to(tl.int32, bitcast=True) - ROOT_HALF_BITS
    e = (bits >> 23).to(tl.float32)
    m = ((bits & FRACTION) + ROOT_HALF_BITS).to(tl.float32, bitcast=True) - 1.0
    s = m * m
    y = (((((((L0 * m + L1) * m + L2) * m + L3) * m + L4) * m + L5) * m + L6) * m + L7) * m + L8
    return m + (y * m * s + e * LN2_LOW - 0.5 * s) + e * LN2_HIGH


@triton.jit
def box_muller(w0, w1):
    """Returns two standard normals for each two words."""
    u = ((w0 >> 1).to(tl.int32, bitcast=True).to(tl.float32) + 0.5) * TO_UNIT
    radius = tl.sqrt_rn(-2.0 * log_of_normal(u))
    quarter = (w1 + EIGHTH) >> 30
    t = ((w1 << 2).to(tl.int32, bitcast=True) >> 2).to(tl.float32) * RADIANS
    s = t * t
    sine = ((S3 * s + S2) * s + S1) * s * t + t
    cosine = ((C3 * s + C2) * s + C1) * s * s - 0.5 * s + 1.0
    odd = (quarter & 1) == 1
    first, second = tl.where(odd, sine, cosine), tl.where(odd, cosine, sine)
    first = tl.where(((quarter + 1) & 2) == 2, -first, first)
    second = tl.where((quarter & 2) == 2, -second, second)
    return radius * first, radius * second


@triton.jit
def in_order(a, b, c, d, rows: tl.constexpr, items: tl.constexpr):
    """Returns what is made of the words 0 to 3 of blocks, each (rows, items/4), as (rows, items).

    In each chunk of 128 items, word j of block i is that of item i + 32·j.
    """
    chunks: tl.constexpr = items // CHUNK
    low = tl.join(tl.reshape(a, (rows, chunks, 32)), tl.reshape(b, (rows, chunks, 32)))
    high = tl.join(tl.reshape(c, (rows, chunks, 32)), tl.reshape(d, (rows, chunks, 32)))
    every = tl.permute(tl.join(low, high), (0, 1, 4, 3, 2))
    return tl.reshape(every, (rows, items))


@triton.jit
def words(key, start, row, step, epoch, rows: tl.constexpr, items: tl.constexpr):
    """Returns the words of blocks: four tensors with shape (rows, items/4).

    Args:
        key: of 64 bits.
        start: the first block.
        row: the first row.
        step: of the counter.
        epoch: likewise.
        rows: how many rows, a power of two.
        items: four a block, a power of two.
    """
    zeros = tl.zeros((rows, items // 4), tl.uint32)
    c0 = zeros + (start + tl.arange(0, items // 4)).to(tl.uint32)[None, :]
    c1 = zeros + (row + tl.arange(0, rows)).to(tl.uint32)[:, None]
    c2, c3 = zeros + step.to(tl.uint32), zeros + epoch.to(tl.uint32)
    return tl.philox(key, c0, c1, c2, c3)


@triton.jit
def normals(key, start, row, step, epoch, rows: tl.constexpr, items: tl.constexpr):
    """Returns standard normals with shape (rows, items), as `philox.draw_rows` draws them."""
    w0, w1, w2, w3 = words(key, start, row, step, epoch, rows, items)
    n0, n1 = box_muller(w0, w1)
    n2, n3 = box_muller(w2, w3)
    return in_order(n0, n1, n2, n3, rows, items)
