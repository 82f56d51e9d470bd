"""What a user's part is: data set, loss, network or distribution, and the fields that it adds.

Knows no torch: sweep files are checked without it.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

Value = bool | int | float | str
"""A value of a field that a part declares."""

NO_FIELDS: Mapping[str, Value] = MappingProxyType({})

Shape = str | int | tuple[int, str | int]
"""What an item gets of a noise: how many standard normals, by number or as one of `SIZES`; with the
number K of samples before it, each of K samples gets so many."""

NO_NOISE: Mapping[str, Shape] = MappingProxyType({})

SIZES = ("z_dim", "x_dim", "q_z", "p_z", "p_x")
"""Z and D; and what a sample of q(z|x), of p(z) and of p(x|z) takes, which of a mixture is a number
more, uniform in [0, 1), that chooses the component."""

_GIVEN = ("anchor", "x")
"""The noise of `decoder_samples`."""

_FIELD = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)
_MOST, _LARGEST = 10_000, 10**18

MOST_CHARACTERS = 100
"""Of a field that is text: it is part of names."""


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
    """A loss of a user's, for one run.

    Attributes:
        function: what `models.losses.users.UsersLoss` calls.
        noise: what it is given of noise besides the z of one sample of q(z|x), or in its place: by
            name, what an item gets of it.
        decoder_samples: whether it gets noise for samples of the decoder, once β = 1.
        fields: the fields that it adds to those of a run, and their defaults.
        at: where it is registered, `file:line`.
    """

    function: Callable[..., Any]
    noise: Mapping[str, Shape] = field(default_factory=dict)
    decoder_samples: bool = False
    fields: Mapping[str, Value] = field(default_factory=dict)
    at: str = ""


@dataclass(frozen=True)
class Density:
    """A distribution of a user's.

    Attributes:
        make: (prefix of names of weights, dims, components, min_scale) to an object with `shapes`,
            `start` and `__call__` as `models.densities.learned.Gaussian` has them.
        choice: whether a sample of it takes, after F standard normals, a number uniform in [0, 1)
            that chooses a component. With components (`p_z_gmm`) it does anyway.
    """

    make: Callable[..., Any]
    choice: bool = False


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
        if isinstance(default, str):
            fits = len(default) <= MOST_CHARACTERS
        else:
            fits = type(default) in (bool, int, float) and abs(default) < _LARGEST
        if not fits:
            return (
                f"{default!r} is not allowed as the default of its field {name}; it must be True, "
                f"False, a number smaller than 10^18, or text of {MOST_CHARACTERS} characters"
            )
    return ""


def problem_of_loss(function: Callable[..., Any], fields: Mapping[str, Value]) -> str:
    """Returns why a function can't be called as a loss with these fields; "" if it can."""
    try:
        inspect.signature(function).bind(*[None] * 4, **fields)
    except TypeError as error:
        keywords = ", ".join(["", "*", *fields]) if fields else ""
        return f"it is called as f(model, x, noise, beta{keywords}), but {error}"
    except ValueError:  # of a builtin Python may not know
        pass
    return ""


def problem_of_noise(noise: Mapping[str, Shape]) -> str:
    """Returns why a loss can't be given such noise, in a sentence; "" if it can."""
    if not isinstance(noise, Mapping):
        return f"its noise is {noise!r}; it must be a mapping of names to shapes"
    for name, shape in noise.items():
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            return f"{name!r} is not allowed as the name of a noise; write a name as of a variable"
        if name in _GIVEN:
            return f"the noise {name} is that of decoder_samples; give yours another name"
        samples, size = shape if isinstance(shape, tuple) and len(shape) == 2 else (1, shape)
        counted = all(type(n) is not int or 1 <= n <= _MOST for n in (samples, size))
        if type(samples) is not int or not counted or (type(size) is not int and size not in SIZES):
            return (
                f"{shape!r} is not allowed as the shape of its noise {name}; it must be a number "
                f"from 1 to {_MOST:,}, one of {', '.join(SIZES)}, or such a number K of samples "
                "and one of these, (K, 'q_z')"
            )
    return ""
