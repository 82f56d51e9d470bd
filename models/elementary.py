"""tanh, exp and log in float32, made of operations that LLVM turns into vector instructions.

Without branches, and without a library that may or may not be there. No flag here lets the compiler
assume that there is no NaN or infinity. Functions are compiled into who calls them, without
counting references to arrays (`_nrt`), which would take a fifth of a training step: so they can't
make or return arrays.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimsweep.models.jit import njit

F, Int = np.float32, np.int32
Array = NDArray[np.float32]

# Inlined by force: a function that is compiled apart, too, would be called as it is there, with
# sums in another order, but only in the process that compiles and not where code is loaded.
COMPILED: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "forceinline": True}
# Reassociation would fold (t + MAGIC) − MAGIC, which rounds t to an integer, to t.
elementwise = njit(fastmath={"contract", "nsz"}, **COMPILED)

ZERO, HALF, ONE = F(0), F(0.5), F(1)

# tanh x = x P(x²)/Q(x²) up to the edge, where it is 1 − 4e-7: minimax, to 1.3e-7 in exact numbers.
EDGE = F(7.90531110763549805)
P0, P1 = F(0.9999998807907104), F(0.1293395608663559)
P2, P3 = F(0.00295997504144907), F(1.1526361049618572e-05)
Q1, Q2 = F(0.46267181634902954), F(0.02385205402970314)
Q3, Q4 = F(0.00023994110233616084), F(2.490776296326658e-07)

# exp x = 2ⁿ exp r, n = round(x/ln 2), |r| <= ½ ln 2; ln 2 in two parts, polynomial: Cephes.
MAGIC, MAGIC_BITS = F(12582912), Int(0x4B400000)  # 1.5·2²³ leaves no bits for a fraction
LOG2_E, LN2_HIGH, LN2_LOW = F(1.44269504088896341), F(0.693359375), F(-2.12194440e-4)
LOWEST, HIGHEST = F(-104), F(89)  # where exp is 0 and infinity
E0, E1, E2 = F(1.9875691500e-4), F(1.3981999507e-3), F(8.3334519073e-3)
E3, E4, E5 = F(4.1665795894e-2), F(1.6666665459e-1), F(5.0000001201e-1)

# log x = e ln 2 + log(1 + m), √½ <= 1 + m < √2, polynomial: Cephes.
NORMAL, UP, LOG2_UP = F(1.1754943508e-38), F(8388608), F(23)
ROOT_HALF_BITS, FRACTION = Int(0x3F3504F3), Int(0x7FFFFF)
BIAS, FRACTION_BITS = Int(127), Int(23)
L0, L1, L2 = F(7.0376836292e-2), F(-1.1514610310e-1), F(1.1676998740e-1)
L3, L4, L5 = F(-1.2420140846e-1), F(1.4249322787e-1), F(-1.6668057665e-1)
L6, L7, L8 = F(2.0000714765e-1), F(-2.4999993993e-1), F(3.3333331174e-1)
INFINITY, NAN = F(np.inf), F(np.nan)


@elementwise
def tanh(x: np.float32) -> np.float32:
    """Returns tanh x, with a relative error below 5e-7 where it is no subnormal number."""
    x = EDGE if x > EDGE else x
    x = -EDGE if x < -EDGE else x
    s = x * x
    p = ((P3 * s + P2) * s + P1) * s + P0
    return x * p / ((((Q4 * s + Q3) * s + Q2) * s + Q1) * s + ONE)


@elementwise
def exp(x: np.float32) -> np.float32:
    """Returns exp x, with a relative error below 2e-7 where it is no subnormal number."""
    x = HIGHEST if x > HIGHEST else x
    x = LOWEST if x < LOWEST else x
    shifted = x * LOG2_E + MAGIC
    n = Int(F(shifted).view(Int) - MAGIC_BITS)
    t = shifted - MAGIC
    r = x - t * LN2_HIGH - t * LN2_LOW
    y = (((((E0 * r + E1) * r + E2) * r + E3) * r + E4) * r + E5) * (r * r) + r + ONE
    half = Int(n >> Int(1))  # 2ⁿ itself may be out of range where exp x isn't
    return y * _two_to(half) * _two_to(Int(n - half))


@elementwise
def nearest(x: np.float32) -> np.int32:
    """Returns the integer next to x, the even one of two, |x| < 2²²."""
    return Int(F(x + MAGIC).view(Int) - MAGIC_BITS)


@elementwise
def _two_to(n: np.int32) -> np.float32:
    return Int((n + BIAS) << FRACTION_BITS).view(F)


@elementwise
def log(x: np.float32) -> np.float32:
    """Returns ln x, with a relative error below 2e-7; −∞ at 0, NaN below."""
    small = x < NORMAL
    y = log_of_normal(x * UP if small else x, LOG2_UP if small else ZERO)
    y = x if x == INFINITY else y
    y = -INFINITY if x == ZERO else y
    return y if x >= ZERO else NAN


@elementwise
def log_of_normal(x: np.float32, down: np.float32) -> np.float32:
    """Returns ln (x·2⁻ᵈᵒʷⁿ) of a positive x that is no subnormal number."""
    bits = Int(F(x).view(Int) - ROOT_HALF_BITS)
    e = F(Int(bits >> FRACTION_BITS)) - down
    m = Int(Int(bits & FRACTION) + ROOT_HALF_BITS).view(F) - ONE
    s = m * m
    y = (((((((L0 * m + L1) * m + L2) * m + L3) * m + L4) * m + L5) * m + L6) * m + L7) * m + L8
    return m + (y * m * s + e * LN2_LOW - HALF * s) + e * LN2_HIGH
