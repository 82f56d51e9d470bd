"""What users add: data sets, losses and distributions by name (docs/extending.md).

Modules named in MIMSWEEP_IMPORT (comma-separated; `mimsweep --import` sets it) and those of the
entry points `mimsweep.extensions` are imported, once a process, when a name is looked up that is
none of ours; in a worker, which inherits the environment, before it trains. Knows no torch: sweep
files are checked without it.
"""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from traceback import extract_tb
from typing import Any

VARIABLE = "MIMSWEEP_IMPORT"
GROUP = "mimsweep.extensions"


class RegistrationError(Exception):
    """A module that registers can't be imported; the message names its file and line."""


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
    """

    function: Callable[..., Any]
    decoder_samples: bool = False


DATA: dict[str, Data] = {}
LOSSES: dict[str, Loss] = {}
DENSITIES: dict[str, Callable[..., Any]] = {}


def data(
    name: str,
    dims: int,
    load: Callable[[Path], Any],
    *,
    binary: bool = False,
    known: bool = False,
) -> None:
    """Registers a data set, a value of `dataset`; arguments as for `Data`."""
    DATA[name] = Data(dims, load, binary, known)


def loss(name: str, function: Callable[..., Any], *, decoder_samples: bool = False) -> None:
    """Registers a loss, a value of `model`; arguments as for `Loss`."""
    LOSSES[name] = Loss(function, decoder_samples)


def density(name: str, make: Callable[..., Any]) -> None:
    """Registers a distribution, a value of `p_z` and `q_x`.

    Args:
        name: the value.
        make: (prefix of names of weights, dims, components, min_scale) to an object with `shapes`,
            `start` and `__call__` as `models.densities.learned.Gaussian` has them.
    """
    DENSITIES[name] = make


@cache
def load() -> None:
    """Imports the modules that register, once.

    Raises:
        RegistrationError: one can't be imported.
    """
    modules = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
    if modules and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for name in modules:
        _import(name, lambda name=name: importlib.import_module(name))  # type: ignore[misc]
    for point in entry_points(group=GROUP):
        _import(point.value, point.load)


def _import(name: str, load: Callable[[], object]) -> None:
    if "/" in name or name.endswith(".py"):
        raise RegistrationError(f"{name} is a file; give the module's name, {Path(name).stem}")
    try:
        load()
    except (Exception, SystemExit) as error:
        place = _place(error)
        if not place:  # the module itself isn't there
            raise RegistrationError(f"{name}: {error}") from error
        raise RegistrationError(f"{place}{type(error).__name__}: {error}") from error


def _place(error: BaseException) -> str:
    """Returns the file and line of a user's that an error is from, with a colon, or nothing."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: "
    frames = [f for f in extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    own = [f for f in frames if f.filename not in (__file__, importlib.__file__)]
    return f"{own[-1].filename}:{own[-1].lineno}: " if own else ""
