"""Where users' code is: the file and line of what they wrote, for the sentences about it.

A user's is what is neither Python's, nor of an installed library, nor ours. Knows no torch.
"""

import inspect
import os
import sysconfig
from collections.abc import Collection
from functools import partial
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any


class UserError(Exception):
    """What a user gave is wrong; the message says all: what, where, and what to do about it."""


def defined_at(thing: Any) -> str:  # noqa: ANN401
    """Returns where a class or function is defined, `ring.py:14`, or the class of an object.

    Where there is no file, as in a notebook, it is what Python calls it.
    """
    if isinstance(thing, partial):
        thing = thing.func
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        thing = type(thing)
    try:
        path = inspect.getsourcefile(thing) or inspect.getfile(thing)
        return f"{shown(path)}:{inspect.getsourcelines(thing)[1]}"
    except (OSError, TypeError):
        return f"{thing.__module__}.{thing.__qualname__}"


def told(error: BaseException, packages: Collection[str] = ()) -> str:
    """Returns what is wrong in a sentence: where in the user's code, what kind of error, and why.

    Args:
        error: whatever was raised; of a `UserError` the message says all.
        packages: top-level names of installed packages that are a user's too.
    """
    if isinstance(error, UserError):
        return str(error)
    try:
        message = next(iter(str(error).strip().splitlines()), "")
    except Exception:  # a user's own error may fail to say what it is
        message = ""
    kind = type(error).__name__
    return raised_at(error, packages) + (f"{kind}: {message}" if message else kind)


def raised_at(error: BaseException, packages: Collection[str] = ()) -> str:
    """Returns the last place in the user's code that an error came through, with a colon."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(error.filename)}:{error.lineno}: "
    own = [
        (frame.f_code.co_filename, line)
        for frame, line in walk_tb(error.__traceback__)
        if _is_users(frame, packages)
    ]
    return f"{shown(own[-1][0])}:{own[-1][1]}: " if own else ""


def shown(path: str) -> str:
    """Returns a path as people know it: from the working folder, where it is below that."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path


def _is_users(frame: FrameType, packages: Collection[str]) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    path = frame.f_code.co_filename
    if package in packages:
        return True
    if package == "mimsweep" or path.startswith(("<frozen", sysconfig.get_path("stdlib") + os.sep)):
        return False
    return not {"site-packages", "dist-packages"} & set(Path(path).parts)
