"""What has changed since runs were trained: users' code, told by fingerprints, and data files.

A run's tag has a fingerprint of each part that is a user's, made by the worker that trained it. A
complete run whose part is another one now is *stale*: `run` leaves it, but never silently. A data
file that has changed makes its runs other ones, as its content is in their keys.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mimsweep.orchestrator.files.choices import FILE
from mimsweep.orchestrator.files.spec import RunSpec

_PARTS = (
    ("loss", "model", ("model",)),
    ("data set", "data set", ("dataset",)),
    ("distribution", "distribution", ("p_z", "q_x")),
    ("network", "network", ("encoder", "decoder")),
)
"""Of each kind of part: its word, what `models.registry` calls it, the fields that choose it."""


class State(Protocol):
    """What is asked of a `tracking.runs.RunState`."""

    @property
    def status(self) -> str:
        """FINISHED means complete."""

    @property
    def code(self) -> str | None:
        """What `code_of` returned as it was trained."""

    @property
    def any_content(self) -> str | None:
        """Its `key_of_any_content`, if it is of a data file."""


def code_of(run: RunSpec) -> str:
    """Returns fingerprints of the parts of a run that are a user's, as JSON; "" if none is."""
    from mimsweep.models import registry

    found = {
        f"{word} {name}": registry.CODE[kind, name]
        for word, kind, fields in _PARTS
        for name in [getattr(run, field, "") for field in fields]
        if registry.CODE.get((kind, name))
    }
    return json.dumps(found, sort_keys=True) if found else ""


def changed(run: RunSpec, stored: str | None) -> list[str]:
    """Returns which parts of a run are others than when it was trained, such as `loss wae`.

    Args:
        run: the run.
        stored: of the one that was trained; None if its version of mimsweep didn't say.
    """
    today = code_of(run)
    if not today or not stored or today == stored:
        return []
    try:
        then = dict(json.loads(stored))
    except (ValueError, TypeError):  # a user has edited it
        return []
    return [part for part, code in json.loads(today).items() if then.get(part, code) != code]


@dataclass(frozen=True)
class Stale:
    """What has changed since runs of a sweep were trained.

    Attributes:
        parts: of complete runs, by run key, the parts that are others now.
        files: the names of the files that have changed since runs were complete: of each such run.
    """

    parts: Mapping[str, list[str]]
    files: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many runs each changed part, or file, makes stale."""
        files = Counter(f"file {name}" for name in self.files)
        return {**Counter(part for parts in self.parts.values() for part in parts), **files}

    @property
    def lines(self) -> list[str]:
        """A line on each for people, if there is anything."""
        told = []
        for part, count in self.counts.items():
            runs = "1 run" if count == 1 else f"{count} runs"
            if part.startswith("file "):
                what, how = part, "to be trained anew"
            else:
                word, _, name = part.rpartition(" ")
                what, how = f"{word} `{name}`", "`run --fresh-stale` trains anew"
            told.append(f"stale: the {what} has changed since: {runs}, {how}")
        return told


def find_stale(runs: Iterable[RunSpec], states: Mapping[str, State]) -> Stale:
    """Returns what has changed since runs were trained.

    Args:
        runs: of a sweep.
        states: what the store has of its runs, by run key.
    """
    complete = {key: state for key, state in states.items() if state.status == "FINISHED"}
    contents = {state.any_content for state in complete.values()}
    parts, files = {}, []
    for run in runs:
        if run.run_key in complete:
            if others := changed(run, complete[run.run_key].code):
                parts[run.run_key] = others
        elif run.of_file and run.key_of_any_content in contents:
            files.append(run.dataset.removeprefix(FILE))
    return Stale(parts, files)
