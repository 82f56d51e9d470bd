"""What is seen to around a call from Python, as the program sees to it around a command."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mimsweep.orchestrator.stopping import STOP
from mimsweep.orchestrator.surroundings import (
    in_sentences,
    others_left_out,
    require_folder,
    variables,
)


@contextmanager
def call() -> Iterator[None]:
    """Within it Ctrl-C is heeded, and processes start as the program's own.

    Raises:
        MimsweepError: whatever went wrong, in the sentence that the program ends with.
        KeyboardInterrupt: it was told to stop, and has closed what was open.
    """
    with STOP.heeded(), in_sentences(), warnings.catch_warnings():
        # Of a library whose bars nobody is shown, in a notebook that has no widgets.
        warnings.filterwarnings("ignore", "IProgress not found")
        require_folder()
        with others_left_out(), variables(_modules()):
            yield


def say(lines: Iterable[str]) -> None:
    """Says lines where the program's own messages go."""
    for line in lines:
        print(f"mimsweep: {line}", file=sys.stderr)


def _modules() -> dict[str, str | None]:
    """Returns variables by which other processes import the modules that registered in this one."""
    from mimsweep.models import registry

    names = sorted(registry.registering() - {"__main__"})
    folders = [folder for folder in map(_folder, names) if folder != Path.cwd()]  # it is looked in
    added = {
        registry.VARIABLE: (names, ","),
        "PYTHONPATH": ([str(folder) for folder in folders if folder], os.pathsep),
    }
    wanted: dict[str, str | None] = {}
    for variable, (values, between) in added.items():
        present = [value for value in os.environ.get(variable, "").split(between) if value]
        wanted[variable] = between.join(dict.fromkeys([*present, *values])) or None
    return wanted


def _folder(name: str) -> Path | None:
    """Returns the folder that a module is found from; None of one that is installed."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file or {"site-packages", "dist-packages"} & {*Path(file).parts}:
        return None
    path = Path(file).absolute()
    return path.parents[name.count(".") + (path.stem == "__init__")]
