"""What users add: data sets, losses, networks and distributions by name (docs/extending.md).

Modules named in MIMSWEEP_IMPORT (comma-separated; `mimsweep --import` sets it) and those of the
entry points `mimsweep.extensions` are imported, once a process, when a name is looked up that is
none of ours; in a worker, which inherits the environment, before it trains. Knows no torch: sweep
files are checked without it.
"""

import importlib
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from mimsweep.models import places
from mimsweep.models.fingerprints import fingerprint
from mimsweep.models.parts import (
    NO_FIELDS,
    NO_NOISE,
    Data,
    Density,
    Loss,
    Network,
    Shape,
    Value,
    problem_of,
    problem_of_loss,
    problem_of_noise,
)
from mimsweep.models.places import UserError, raised_at, shown

VARIABLE = "MIMSWEEP_IMPORT"
GROUP = "mimsweep.extensions"

# The names that are ours: `orchestrator.files.choices` says what each stands for.
OUR_DATA = re.compile(
    r"toy(0|-?[1-9]\d*)(_\d+)?|toy[A-Za-z][A-Za-z0-9]*|pca-fashion-mnist\d+(-study)?"
    r"|(dynamic_)?mnist|fashion-mnist|dynamic_fashion_mnist|omniglot",
    re.IGNORECASE,
)
OUR_MODELS = re.compile(r"[ac]?mim|vae|ae|(conv|pixel)hvae_2level(-[as]?mim)?")
OUR_NETWORKS = re.compile(r"mlp")
OUR_DENSITIES = re.compile(r"anchor|prior|marginal|gmm-marginal")


class RegistrationError(UserError):
    """A module that registers can't be imported; the message names its file and line."""


DATA: dict[str, Data] = {}
LOSSES: dict[str, Loss] = {}
NETWORKS: dict[str, Network] = {}
DENSITIES: dict[str, Density] = {}

_NAME = re.compile(r"[A-Za-z][\w.+-]{0,63}", re.ASCII)
CODE: dict[tuple[str, str], str] = {}
"""Of each kind and name, the fingerprint of the code that was registered; "" without a file."""

_origins: dict[tuple[str, str], tuple[str, str, str]] = {}
"""Of each kind and name, the module's file (its name where it has none), `file:line`, its name."""

_importing: list[str] = []
"""The modules that are being imported by `load`: each of their lines is run once."""


def data(
    name: str,
    dims: int,
    load: Callable[[Path], Any],
    *,
    binary: bool = False,
    known: bool = False,
) -> None:
    """Registers a data set, a value of `dataset`; arguments as for `Data`."""
    _take("data set", name, OUR_DATA, DATA)
    DATA[name] = Data(dims, load, binary, known)


def loss(
    name: str,
    function: Callable[..., Any],
    *,
    noise: Mapping[str, Shape] = NO_NOISE,
    decoder_samples: bool = False,
    fields: Mapping[str, Value] = NO_FIELDS,
) -> None:
    """Registers a loss, a value of `model`; arguments as for `Loss`."""
    problem = problem_of(fields) or problem_of_noise(noise) or problem_of_loss(function, fields)
    at = _take("model", name, OUR_MODELS, LOSSES, problem)
    LOSSES[name] = Loss(function, noise, decoder_samples, fields, at)


def network(
    name: str, make: Callable[..., Any], *, fields: Mapping[str, Value] = NO_FIELDS
) -> None:
    """Registers a network, a value of `encoder` and `decoder`; arguments as for `Network`."""
    at = _take("network", name, OUR_NETWORKS, NETWORKS, problem_of(fields))
    NETWORKS[name] = Network(make, fields, at)


def density(name: str, make: Callable[..., Any], *, choice: bool = False) -> None:
    """Registers a distribution, a value of `p_z` and `q_x`; arguments as for `Density`."""
    _take("distribution", name, OUR_DENSITIES, DENSITIES)
    DENSITIES[name] = Density(make, choice)


def _take(
    kind: str,
    name: str,
    ours: re.Pattern[str],
    table: Mapping[str, object],
    problem: str = "",
) -> str:
    """Notes who has a name, unless it is one of ours or another's; returns its `file:line`.

    The same module may register it again: imported under a second name, reloaded, or a cell of a
    notebook that was edited.
    """
    frame = sys._getframe(2)
    file, called = frame.f_globals.get("__file__"), str(frame.f_globals.get("__name__"))
    module = os.path.realpath(file) if file else called
    at = f"{shown(frame.f_code.co_filename)}:{frame.f_lineno}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RegistrationError(
            f"{at}: {name!r} is not allowed as the name of a {kind}; it must begin with a letter, "
            "and have letters, digits, and . _ + - alone, at most 64"
        )
    if ours.fullmatch(name):
        raise RegistrationError(f"{at}: {name} is a {kind} of ours; give yours another name")
    if name in table:
        other, where, _ = _origins[kind, name]
        if other != module or (_importing and where != at):
            raise RegistrationError(
                f"{at}: the {kind} {name} is registered already, in {where}; give one of the two "
                "another name"
            )
    if problem:
        raise RegistrationError(f"{at}: the {kind} {name}: {problem}")
    _origins[kind, name] = (module, at, called)
    CODE[kind, name] = fingerprint(called, module) if file else ""
    return at


@cache
def load() -> None:
    """Imports the modules that register, once.

    Raises:
        RegistrationError: one can't be imported.
    """
    modules = _modules()
    if modules:
        with suppress(OSError):  # a folder that is gone has no modules
            if (here := os.getcwd()) not in sys.path:
                sys.path.append(here)
    for name in modules:
        _import(name, lambda name=name: importlib.import_module(name))  # type: ignore[misc]
    for point in entry_points(group=GROUP):
        _import(point.value, point.load)


def _import(name: str, load: Callable[[], object]) -> None:
    if "/" in name or name.endswith(".py"):
        raise RegistrationError(f"{name} is a file; give the module's name, {Path(name).stem}")
    _importing.append(name)
    try:
        with redirect_stdout(sys.stderr), undone():  # that output may be a table, or JSON
            load()
    except (Exception, SystemExit) as error:
        if not raised_at(error, packages()):  # the module itself isn't there
            raise RegistrationError(f"{name}: {error}") from error
        raise RegistrationError(told(error)) from error
    finally:
        _importing.remove(name)


@contextmanager
def undone() -> Iterator[None]:
    """Goes back to the folder that a user's code left, and from warnings that it made errors."""
    filters, folder = list(warnings.filters), None
    with suppress(OSError):
        folder = os.getcwd()
    try:
        yield
    finally:
        for each in list(warnings.filters):
            if each[0] == "error" and each not in filters:
                warnings.filters.remove(each)  # type: ignore[attr-defined]  # it is a list
        if folder is not None:
            with suppress(OSError):
                os.chdir(folder)


def registering() -> set[str]:
    """Returns the modules that have registered something here, by their names."""
    return {module for *_, module in _origins.values()}


def of_main(names: Collection[object]) -> list[str]:
    """Returns which of some names stand for what `__main__` has registered, a script or notebook.

    No other process can import that.
    """
    found = [each for each, (*_, module) in _origins.items() if module == "__main__"]
    return [f"the {kind} {name}" for kind, name in found if name in names]


def packages() -> set[str]:
    """Returns the top-level names of the modules that register, which may be installed."""
    names = [*_modules(), *(point.module for point in entry_points(group=GROUP))]
    return {name.partition(".")[0] for name in names}


def told(error: BaseException) -> str:
    """Returns what is wrong in a sentence, with its place if it is in a user's code."""
    return places.told(error, packages())


@contextmanager
def users_code(wrong: type[Exception]) -> Iterator[None]:
    """Runs a user's code in the program's own process.

    What it prints goes where our messages go, as the standard output may be a table or JSON.

    Args:
        wrong: the error that says, in a sentence, what the code raised.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        if isinstance(error, UserError) or raised_at(error, packages()):
            raise wrong(told(error)) from error
        raise


def _modules() -> list[str]:
    return [name for name in os.environ.get(VARIABLE, "").split(",") if name]
