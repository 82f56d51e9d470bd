"""What the program finds around it: variables that others have set, and a system that refuses.

What notebooks, editors and other tools set is undone here alone; workers and processes that draw
inherit what is left. MLflow's variables that say which run or experiment is meant need nothing: the
program names its own in every call.
"""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from mimsweep.orchestrator.errors import MimsweepError, SpecError
from mimsweep.orchestrator.stopping import STOP

# They change the bits of results, or crowd all workers on one core.
_OF_NUMBERS = re.compile(r"(ATEN|DNNL|GOMP|MKL|NUMBA|OMP|ONEDNN)_.*|.*_TF32_.*")
_HARMLESS = re.compile(r".*_NUM_THREADS|NUMBA_CACHE_DIR")
# A library's warning is no reason to end. What `python -bb` adds is no library's.
_ERRORS = re.compile(r"e(?!rror::BytesWarning).*")
_UNHEARD = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def leave_out_others() -> None:
    """Undoes what others have set, for good, before any library reads it."""
    set_variables(_ours())
    os.environ["MPLBACKEND"] = "agg"  # read as matplotlib is imported, also by users' modules
    for stream in (sys.stdout, sys.stderr):
        # A locale such as de_DE.ISO-8859-1 lacks characters, which are printed as \u2212, say.
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    if (kept := _kept_options()) != sys.warnoptions:
        sys.warnoptions[:] = kept  # which processes that draw are started with
        warnings.resetwarnings()
        for kind in _UNHEARD:  # as Python does by itself
            warnings.simplefilter("ignore", kind)


@contextmanager
def others_left_out() -> Iterator[None]:
    """Within it processes start without what others have set; of this one it is put back."""
    options = list(sys.warnoptions)
    with variables(_ours()):
        sys.warnoptions[:] = _kept_options()
        try:
            yield
        finally:
            sys.warnoptions[:] = options


@contextmanager
def variables(values: Mapping[str, str | None]) -> Iterator[None]:
    """Within it the environment has other values, or None, of some variables."""
    before = {name: os.environ.get(name) for name in values}
    set_variables(values)
    try:
        yield
    finally:
        set_variables(before)


def set_variables(values: Mapping[str, str | None]) -> None:
    """Sets variables of the environment, or takes out those whose value is None."""
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _ours() -> dict[str, str | None]:
    """Returns the variables that must have another value, or None, and that value."""
    found: dict[str, str | None] = {
        name: None
        for name in os.environ
        if _OF_NUMBERS.fullmatch(name) and not _HARMLESS.fullmatch(name)
    }
    found["SOURCE_DATE_EPOCH"] = None  # figures have no date; one that is none ends them
    # MLflow, which is imported wherever a store is used, ends at a level that it doesn't know.
    if os.environ.get("MLFLOW_LOGGING_LEVEL", "").upper() not in logging.getLevelNamesMapping():
        found["MLFLOW_LOGGING_LEVEL"] = None
    try:
        Path.home()
    except RuntimeError:  # containers run as a user whom the system does not know
        found["HOME"] = "/nonexistent"  # from which libraries go on to do without
    if (kept := _kept_options()) != sys.warnoptions:
        found["PYTHONWARNINGS"] = ",".join(kept)
    return {name: value for name, value in found.items() if os.environ.get(name) != value}


def _kept_options() -> list[str]:
    return [option for option in sys.warnoptions if not _ERRORS.fullmatch(option)]


def require_folder() -> None:
    """Sees to it that there is a working folder, which the store and all output are found from.

    Raises:
        SpecError: it was deleted.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise SpecError(
            "the folder that the command was started in is not there any more; "
            "go to another, or make it anew and go there"
        ) from error


@contextmanager
def in_sentences() -> Iterator[None]:
    """Makes what the system refuses, and what is not installed, an error of ours.

    Raises:
        KeyboardInterrupt: the process was told to stop, so that what was stopped in the middle may
            have failed in any way; it says what was left, if that is known.
    """
    try:
        yield
    except MimsweepError as error:
        if STOP.asked:
            raise KeyboardInterrupt(str(error)) from error
        raise
    except Exception as error:
        if STOP.asked:
            raise KeyboardInterrupt from error
        if refused := system_refuses(error):
            raise SpecError(refused) from error
        if not isinstance(error, ImportError):
            raise
        raise SpecError(f"a part of what is installed can't be loaded: {error}") from error


def system_refuses(error: Exception) -> str | None:
    """Returns what the system refuses, and where, in a sentence; None: the error is another."""
    # A SystemError is what code in C makes of memory that it could not have.
    threadless = isinstance(error, RuntimeError) and error.args == ("can't start new thread",)
    if threadless or isinstance(error, MemoryError | SystemError):
        return (
            f"the system gives no more memory or threads ({str(error) or 'out of memory'}): see "
            "`ulimit -a`, and what limits the job or container has"
        )
    if not isinstance(error, OSError) or not error.errno or isinstance(error, ConnectionError):
        return None
    paths = [
        os.path.abspath(os.fsdecode(path)) for path in (error.filename, error.filename2) if path
    ]
    return f"{' to '.join(paths)}: {error.strerror}" if paths else str(error.strerror)
