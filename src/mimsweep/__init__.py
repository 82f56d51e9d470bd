"""Sweeps of latent-variable models, trained as stacks and tracked in MLflow.

`load` reads a sweep, whose methods do what the commands do; `mimsweep.register` adds data sets,
losses and densities of your own. All else may move.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimsweep.orchestrator.errors import MimsweepError

if TYPE_CHECKING:
    from mimsweep import register
    from mimsweep.sweep import Run, Sweep
    from mimsweep.trained import Density, Model

__all__ = ["Density", "MimsweepError", "Model", "Run", "Sweep", "load", "register"]

_PLACES = {
    "register": "mimsweep.register",
    "Run": "mimsweep.sweep",
    "Sweep": "mimsweep.sweep",
    "Density": "mimsweep.trained",
    "Model": "mimsweep.trained",
}


def load(
    sweep: str | PathLike[str],
    overrides: Sequence[str] = (),
    *,
    tracking_uri: str | None = None,
) -> Sweep:
    """Returns the sweep of a file, or a shipped one by its name, expanded to its runs.

    Args:
        sweep: a path, or a name such as `bottleneck`; a file that exists wins.
        overrides: texts such as `seed=1..2`, as `--set` takes them.
        tracking_uri: of the store, as `--tracking-uri` takes it.

    Raises:
        MimsweepError: the first thing that is wrong, as `file:line:column: field: sentence`.
    """
    from mimsweep.calls import call
    from mimsweep.sweep import Sweep

    with call():
        from mimsweep.orchestrator.files.sweep import load_sweep

        return Sweep(load_sweep(Path(sweep), overrides), tracking_uri)


if not TYPE_CHECKING:  # else no name that isn't there would be told

    def __getattr__(name: str) -> Any:  # noqa: ANN401
        """Loads a part of the face when it is asked for."""
        if name not in _PLACES:
            raise AttributeError(f"module 'mimsweep' has no attribute {name!r}")
        module = import_module(_PLACES[name])
        return module if name == "register" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
