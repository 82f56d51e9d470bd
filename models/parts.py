"""What a user's part is: data set, loss or network, and the fields that it adds to a run's.

Knows no torch: sweep files are checked without it.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

Value = bool | int | float | str
"""A value of a field that a part declares."""

NO_FIELDS: Mapping[str, Value] = MappingProxyType({})

_FIELD = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)


@dataclass(frozen=True)
class Data:
    """A data set of a user's.

    Attributes:
        dims: D, the size of an item.
        load: data folder to the data set, a `models.data.base.DataSet`.
        binary: whether items are probabilities of bits.
        known: whether its `log_prob` tells the true log P(x), so that q(x) can be its anchor.
    """

    dims: int
    load: Callable[[Path], Any]
    binary: bool = False
    known: bool = False


@dataclass(frozen=True)
class Loss:
    """A loss of a user's.

    Attributes:
        function: a `models.losses.base.LossFunction`.
        decoder_samples: whether it gets noise for samples of the decoder, once β = 1.
        fields: the fields that it adds to those of a run, and their defaults.
        at: where it is registered, `file:line`.
    """

    function: Callable[..., Any]
    decoder_samples: bool = False
    fields: Mapping[str, Value] = field(default_factory=dict)
    at: str = ""


@dataclass(frozen=True)
class Network:
    """A network of a user's, for one run.

    Attributes:
        make: (inputs, outputs, fields) to a module of torch.
        fields: the fields that it adds to those of a run, and their defaults.
        at: where it is registered, `file:line`.
    """

    make: Callable[..., Any]
    fields: Mapping[str, Value] = field(default_factory=dict)
    at: str = ""


def problem_of(fields: Mapping[str, Value]) -> str:
    """Returns why a part can't declare these fields, in a sentence; "" if it can.

    Args:
        fields: names and defaults, as a user gave them.
    """
    if not isinstance(fields, Mapping):
        return f"its fields are {fields!r}; they must be a mapping of names to defaults"
    for name, default in fields.items():
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            return (
                f"{name!r} is not allowed as the name of a field; it must begin with a letter, and "
                "have letters, digits and _ alone, at most 64"
            )
        finite = not isinstance(default, float) or math.isfinite(default)
        if type(default) not in (bool, int, float, str) or not finite:
            return (
                f"{default!r} is not allowed as the default of its field {name}; it must be True, "
                "False, a finite number, or text"
            )
    return ""
