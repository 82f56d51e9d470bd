"""Random numbers as functions of a counter: Philox-4x32-10, and normals by Box–Muller.

A block of four words is a bijection of a counter of four words under a key of two (Salmon et al.
2011, "Parallel random numbers: as easy as 1, 2, 3", doi 10.1145/2063384.2063405). A key stands for
what the numbers are for (`models.streams.key`), the counter for one of them: that of block i < 32
of the chunk c of 128 items is

    (32·c + i, row, step, epoch),   its words j being those of the items i + 32·j of the chunk

so any number can be made by itself, in any order, by any device, and a loop over a chunk is made of
vectors. With the words w₀, w₁ of two items, u = (⌊w₀/2⌋ + ½)/2³¹ and an angle of w₁/2³² turns, two
standard normals are √(−2 ln u)·(cos, sin) (Box and Muller 1958). Integers are the same everywhere.
Normals, in float32 by the polynomials below, are the same on one kind of processor.
"""

import numpy as np
from numpy.typing import NDArray

from mimsweep.models.elementary import HALF, ONE, ZERO, Array, F, Int, elementwise, log_of_normal
from mimsweep.models.jit import compiled

Word, Long = np.uint32, np.uint64
Words = NDArray[np.uint32]

CHUNK, BLOCKS = 128, 32
EIGHTH = Word(1 << 29)  # of a turn

# The multipliers and key increments of Philox-4x32.
FACTOR_0, FACTOR_1 = Long(0xD2511F53), Long(0xCD9E8D57)
ADDED_0, ADDED_1 = Word(0x9E3779B9), Word(0xBB67AE85)
ROUNDS, HIGH, LOW = 10, Long(32), Long(0xFFFFFFFF)

# On ±π/4, by Cephes.
S1, S2, S3 = F(-1.6666654611e-1), F(8.3321608736e-3), F(-1.9515295891e-4)
C1, C2, C3 = F(4.166664568298827e-2), F(-1.388731625493765e-3), F(2.443315711809948e-5)
RADIANS, TO_UNIT, TO_HALF_OPEN = F(np.pi / 2 * 2.0**-30), F(2.0**-31), F(2.0**-24)


@elementwise
def block(
    c0: np.uint32, c1: np.uint32, c2: np.uint32, c3: np.uint32, k0: np.uint32, k1: np.uint32
) -> tuple[np.uint32, np.uint32, np.uint32, np.uint32]:
    """Returns the four words of a counter under a key."""
    # In halves of 64 bits whose high half is rubbish, which a product of the low halves ignores.
    a, b, c, d = Long(c0), Long(c1), Long(c2), Long(c3)
    for _ in range(ROUNDS):
        p0, p1 = FACTOR_0 * (a & LOW), FACTOR_1 * (c & LOW)
        a, b = (p1 >> HIGH) ^ b ^ Long(k0), p1
        c, d = (p0 >> HIGH) ^ d ^ Long(k1), p0
        k0, k1 = Word(k0 + ADDED_0), Word(k1 + ADDED_1)
    return Word(a), Word(b), Word(c), Word(d)


@elementwise
def box_muller(w0: np.uint32, w1: np.uint32) -> tuple[np.float32, np.float32]:
    """Returns two standard normals of two words."""
    radius = np.sqrt(F(-2) * log_of_normal((F(Int(Word(w0 >> Word(1)))) + HALF) * TO_UNIT, ZERO))
    # The quarter turn that is nearest, and the angle from it, −π/4 to π/4.
    quarter = Word(Word(w1 + EIGHTH) >> Word(30))
    t = F(Int(Int(Word(w1 << Word(2))) >> Int(2))) * RADIANS
    s = t * t
    sine = ((S3 * s + S2) * s + S1) * s * t + t
    cosine = ((C3 * s + C2) * s + C1) * s * s - HALF * s + ONE
    odd = Word(quarter & Word(1)) == Word(1)
    first, second = (sine if odd else cosine), (cosine if odd else sine)
    minus_first = Int(Word(Word(Word(quarter + Word(1)) & Word(2)) << Word(30)))
    minus_second = Int(Word(Word(quarter & Word(2)) << Word(30)))
    cos = Int(F(first).view(Int) ^ minus_first).view(F)
    sin = Int(F(second).view(Int) ^ minus_second).view(F)
    return radius * cos, radius * sin


@elementwise
def chunk_words(
    out: Words, chunk: int, row: int, step: int, epoch: int, k0: np.uint32, k1: np.uint32
) -> None:
    """Sets out, with shape (128,), to the words of a chunk's items."""
    first = Word(BLOCKS * chunk)
    c1, c2, c3 = Word(row), Word(step), Word(epoch)
    for i in range(BLOCKS):
        w0, w1, w2, w3 = block(Word(first + Word(i)), c1, c2, c3, k0, k1)
        out[i], out[BLOCKS + i], out[2 * BLOCKS + i], out[3 * BLOCKS + i] = w0, w1, w2, w3


@elementwise
def chunk_normals(
    out: Array, chunk: int, row: int, step: int, epoch: int, k0: np.uint32, k1: np.uint32
) -> None:
    """Sets out, with shape (128,), to the standard normals of a chunk's items."""
    first = Word(BLOCKS * chunk)
    c1, c2, c3 = Word(row), Word(step), Word(epoch)
    for i in range(BLOCKS):
        w0, w1, w2, w3 = block(Word(first + Word(i)), c1, c2, c3, k0, k1)
        out[i], out[BLOCKS + i] = box_muller(w0, w1)
        out[2 * BLOCKS + i], out[3 * BLOCKS + i] = box_muller(w2, w3)


@elementwise
def draw_rows(
    out: Array, items: int, space: Array, step: int, epoch: int, k0: np.uint32, k1: np.uint32
) -> None:
    """Sets the first items of out, with shape (F, N), to standard normals.

    Args:
        out: gets a row for each row of the counter.
        items: how many of N.
        space: room, with shape (128,).
        step: of the counter.
        epoch: likewise.
        k0: first word of the key.
        k1: the second.
    """
    for row in range(out.shape[0]):
        for start in range(0, items, CHUNK):
            chunk_normals(space, start // CHUNK, row, step, epoch, k0, k1)
            for i in range(min(CHUNK, items - start)):
                out[row, start + i] = space[i]


@elementwise
def unit(word: np.uint32) -> np.float32:
    """Returns a word as a number in [0, 1), a multiple of 2⁻²⁴."""
    return F(Int(Word(word >> Word(8)))) * TO_HALF_OPEN


@compiled
def fill(out: Array, items: int, keys: Words, epochs: Words, first_step: int, normal: bool) -> None:
    """Sets the first items of out, with shape (S, R, F, N), to what is drawn for them.

    Args:
        out: gets standard normals, or numbers uniform in [0, 1).
        items: how many of N.
        keys: of each run, with shape (R, 2).
        epochs: of each run, with shape (R,).
        first_step: the first of the S steps.
        normal: which of the two.
    """
    steps, runs, rows, _ = out.shape
    words, normals = np.empty(CHUNK, Word), np.empty(CHUNK, F)
    for s, r in np.ndindex(steps, runs):
        step, epoch, k0, k1 = first_step + s, epochs[r], keys[r, 0], keys[r, 1]
        if normal:
            draw_rows(out[s, r], items, normals, step, epoch, k0, k1)
            continue
        for row in range(rows):
            for start in range(0, items, CHUNK):
                chunk_words(words, start // CHUNK, row, step, epoch, k0, k1)
                for i in range(min(CHUNK, items - start)):
                    out[s, r, row, start + i] = unit(words[i])


@compiled
def fill_mixture(
    points: Array, labels: NDArray[np.int64], means: Array, scale: Array, key: Words, epoch: int
) -> None:
    """Draws points from a mixture of M Gaussians of equal weight.

    Row 0 of the counted numbers chooses components, the rows after it are the features'.

    Args:
        points: gets them, with shape (D, N), or pairs of one component each, (2D, N).
        labels: gets their components, with shape (N,).
        means: μ with shape (M, D).
        scale: σ with shape (D,).
        key: of the numbers, with shape (2,).
        epoch: theirs.
    """
    count, dims = means.shape
    words, normals = np.empty(CHUNK, Word), np.empty(CHUNK, F)
    for start in range(0, len(labels), CHUNK):
        chunk, items = start // CHUNK, min(CHUNK, len(labels) - start)
        chunk_words(words, chunk, 0, 0, epoch, key[0], key[1])
        for i in range(items):
            labels[start + i] = (Long(words[i]) * Long(count)) >> HIGH
        for row in range(len(points)):
            chunk_normals(normals, chunk, row + 1, 0, epoch, key[0], key[1])
            feature = row % dims
            for i in range(items):
                mean = means[labels[start + i], feature]
                points[row, start + i] = mean + scale[feature] * normals[i]
