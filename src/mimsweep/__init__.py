"""Sweeps of latent-variable models, trained as stacks and tracked in MLflow.

`load` reads a sweep; `mimsweep.register` adds data sets, losses and densities of your own. All
else may move.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimsweep.orchestrator.files.sweep import Sweep


def load(sweep: str | Path, overrides: Sequence[str] = ()) -> Sweep:
    """Returns the sweep of a file, or a shipped one by its name, expanded to its runs.

    Args:
        sweep: a path, or a name such as `bottleneck`; a file that exists wins.
        overrides: texts such as `seed=1..2`, as `--set` takes them.

    Raises:
        SpecError: the first thing that is wrong, as `file:line:column: field: sentence`.
    """
    from mimsweep.orchestrator.files.sweep import load_sweep

    return load_sweep(Path(sweep), overrides)
