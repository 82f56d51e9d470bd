"""What a study's trials mean: all that their values depend on."""

import itertools
from typing import Any

from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.files.spec import SPEC_VERSION
from mimsweep.orchestrator.stale import code_of

CODE = "code"
"""What older versions did not say."""


def meaning_of(search: Search) -> dict[str, Any]:
    """Returns what a trial's values depend on: trials of another meaning can't be compared."""
    meaning = {
        "version": SPEC_VERSION,
        "fixed": dict(search.fixed),
        "seeds": list(search.seeds),
        "space": {field: dimension.to_json() for field, dimension in search.space.items()},
        "objectives": [objective.model_dump() for objective in search.objectives],
    }
    # Data files and users' code have names, but may be others tomorrow.
    choices = (
        each.values if each.kind == "categorical" else each.values[:1]
        for each in search.space.values()
    )
    points = (
        dict(zip(search.space, values, strict=True)) for values in itertools.product(*choices)
    )
    runs = [search.run({**point, "seed": search.seeds[0]}) for point in points]
    contents, code = {run.content for run in runs}, {code_of(run) for run in runs}
    theirs = {"content of data files": sorted(contents - {""}), CODE: sorted(code - {""})}
    return meaning | {name: values for name, values in theirs.items() if values}
