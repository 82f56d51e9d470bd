"""Whether float32 can hold a data set's items: all finite, and the values of a column told apart.

Of a user's data set by code as of a data file. A value may change by a thousandth of its column's
span, which no model sees; of times in seconds since 1970 all values of a day become one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 50_000  # rows: of a file that is mapped so many are in memory
_EXACT = (np.float32, np.float16, np.bool_)


@dataclass(frozen=True)
class Misfit:
    """What float32 can't hold.

    Attributes:
        column: counted from 0.
        row: of the value, counted from 0; None if the column's values can't be told apart.
        value: the value.
    """

    column: int
    row: int | None = None
    value: Any = None


def fitted(x: NDArray[Any]) -> NDArray[np.float32] | Misfit:
    """Returns items as float32, with shape (N, D), or what it can't hold.

    Args:
        x: real numbers with shape (N, D).
    """
    items = x if x.dtype == np.float32 else np.empty(x.shape, np.float32)
    lost, low, high = np.zeros(x.shape[1]), np.full(x.shape[1], np.inf), np.zeros(x.shape[1])
    high -= np.inf
    for start in range(0, len(x), _AT_ONCE):
        exact, part = x[start : start + _AT_ONCE], items[start : start + _AT_ONCE]
        with np.errstate(over="ignore", invalid="ignore"):
            if items is not x:
                part[:] = exact
        finite = np.isfinite(part)
        if not finite.all():
            row, column = (int(index) for index in np.argwhere(~finite)[0])
            return Misfit(column, start + row, exact[row, column])
        if x.dtype.type not in _EXACT:
            wide = exact.astype(np.float64)
            lost = np.maximum(lost, np.abs(wide - part).max(0))
            low, high = np.minimum(low, wide.min(0)), np.maximum(high, wide.max(0))
    if x.dtype.type not in _EXACT and len(x):
        span = high - low
        # The span of a column that is one number may be what float64 itself rounds off.
        blurred = (lost > span / 1000) & (span > 1e-12 * np.maximum(np.abs(low), np.abs(high)))
        if blurred.any():
            return Misfit(int(blurred.argmax()))
    return items
