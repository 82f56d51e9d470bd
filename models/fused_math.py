"""tanh, exp and log of float32 from operations that LLVM turns into vector instructions.

Without branches, and without a library that may or may not be there. NaN stays NaN; none of the
flags here lets the compiler assume that there is none. `reassoc` isn't allowed: it would fold
(t + MAGIC) − MAGIC, which rounds t to an integer.
"""

import numba
import numpy as np

F = np.float32
elementwise = numba.njit(fastmath={"contract", "nsz"}, error_model="numpy", nogil=True)

ONE, HALF = F(1), F(0.5)

# tanh x ≈ x P(x²)/Q(x²) on |x| <= TANH_EDGE, where it rounds to ±1 (Eigen's approximation).
TANH_EDGE = F(7.90531110763549805)
P0, P1, P2, P3 = (
    F(4.89352455891786e-03),
    F(6.37261928875436e-04),
    F(1.48572235717979e-05),
    F(5.12229709037114e-08),
)
P4, P5, P6 = F(-8.60467152213735e-11), F(2.00018790482477e-13), F(-2.76076847742355e-16)
Q0, Q1, Q2, Q3 = (
    F(4.89352518554385e-03),
    F(2.26843463243900e-03),
    F(1.18534705686654e-04),
    F(1.19825839466702e-06),
)

# exp x = 2ⁿ eʳ, n = round(x/ln 2), |r| <= ½ ln 2; ln 2 = LN2_HIGH + LN2_LOW (Cephes' polynomial).
MAGIC = F(12582912)  # 1.5·2²³: adding it leaves no bits for a fraction
MAGIC_BITS = np.int32(0x4B400000)
LOG2_E, LN2_HIGH, LN2_LOW = F(1.44269504088896341), F(0.693359375), F(-2.12194440e-4)
EXP_LOW, EXP_HIGH = F(-104), F(89)
E0, E1, E2 = F(1.9875691500e-4), F(1.3981999507e-3), F(8.3334519073e-3)
E3, E4, E5 = F(4.1665795894e-2), F(1.6666665459e-1), F(5.0000001201e-1)

# log x = e ln 2 + log(1 + m), with 1 + m in [√½, √2) (Cephes' polynomial).
TINY, UP, LOG_UP = F(1.1754943508e-38), F(8388608), F(23)
ROOT_HALF_BITS = np.int32(0x3F3504F3)
ONE_BITS = np.int32(0x3F800000)
L0, L1, L2 = F(7.0376836292e-2), F(-1.1514610310e-1), F(1.1676998740e-1)
L3, L4, L5 = F(-1.2420140846e-1), F(1.4249322787e-1), F(-1.6668057665e-1)
L6, L7, L8 = F(2.0000714765e-1), F(-2.4999993993e-1), F(3.3333331174e-1)
INFINITY, NAN = F(np.inf), F(np.nan)
BIAS, MANTISSA = np.int32(127), np.int32(23)


@elementwise
def tanh(x: np.float32) -> np.float32:
    """Returns tanh x, to 3e-7."""
    x = TANH_EDGE if x > TANH_EDGE else x
    x = -TANH_EDGE if x < -TANH_EDGE else x
    s = x * x
    p = (((((P6 * s + P5) * s + P4) * s + P3) * s + P2) * s + P1) * s + P0
    q = ((Q3 * s + Q2) * s + Q1) * s + Q0
    return x * p / q


@elementwise
def exp(x: np.float32) -> np.float32:
    """Returns eˣ, to 2e-7 of itself."""
    x = EXP_HIGH if x > EXP_HIGH else x
    x = EXP_LOW if x < EXP_LOW else x
    t = x * LOG2_E + MAGIC
    n = np.float32(t).view(np.int32) - MAGIC_BITS
    t = t - MAGIC
    r = x - t * LN2_HIGH - t * LN2_LOW
    y = (((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5) * (r * r) + r + ONE
    low = np.int32(n) >> np.int32(1)  # 2ⁿ itself may overflow, or be subnormal, where eˣ is neither
    high = np.int32(n) - np.int32(low)
    return y * two_to(np.int32(low)) * two_to(np.int32(high))


@elementwise
def two_to(n: np.int32) -> np.float32:
    """Returns 2ⁿ for n from -126 to 127."""
    return np.int32((np.int32(n) + BIAS) << MANTISSA).view(np.float32)


@elementwise
def log(x: np.float32) -> np.float32:
    """Returns ln x, to 1e-7 of itself or absolute; −∞ at 0, NaN below."""
    small = x < TINY
    scaled = x * UP if small else x
    bits = np.int32(np.float32(scaled).view(np.int32) - ROOT_HALF_BITS)
    e = np.float32(np.int32(bits >> MANTISSA))
    m = np.int32(np.int32(bits & np.int32(0x7FFFFF)) + ROOT_HALF_BITS).view(np.float32) - ONE
    e = e - LOG_UP if small else e
    s = m * m
    y = (((((((L0 * m + L1) * m + L2) * m + L3) * m + L4) * m + L5) * m + L6) * m + L7) * m + L8
    y = y * m * s + e * LN2_LOW - HALF * s
    y = m + y + e * LN2_HIGH
    y = x if x == INFINITY else y
    y = -INFINITY if x == 0 else y
    return y if x >= 0 else NAN
