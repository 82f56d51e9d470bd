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
from typing import Any

VARIABLE = "MIMSWEEP_IMPORT"
GROUP = "mimsweep.extensions"


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


def add_data(
    name: str,
    dims: int,
    load: Callable[[Path], Any],
    *,
    binary: bool = False,
    known: bool = False,
) -> None:
    """Registers a data set, a value of `dataset`; arguments as for `Data`."""
    DATA[name] = Data(dims, load, binary, known)


def add_loss(name: str, function: Callable[..., Any], *, decoder_samples: bool = False) -> None:
    """Registers a loss, a value of `model`; arguments as for `Loss`."""
    LOSSES[name] = Loss(function, decoder_samples)


def add_density(name: str, make: Callable[..., Any]) -> None:
    """Registers a distribution, a value of `p_z` and `q_x`.

    Args:
        name: the value.
        make: (prefix of names of weights, dims, components, min_scale) to an object with `shapes`,
            `start` and `__call__` as `models.densities.learned.Gaussian` has them.
    """
    DENSITIES[name] = make


@cache
def load() -> None:
    """Imports the modules that register, once."""
    modules = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
    if modules and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for name in modules:
        importlib.import_module(name)
    for point in entry_points(group=GROUP):
        point.load()
