"""What `plan`, `status`, `results` and `verify` tell of a sweep or search, by what a store lists.

Imports little as it loads: `plan` and `status` are to answer at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mimsweep.orchestrator.defaults import Order
from mimsweep.orchestrator.engines.local import local_slots
from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.files.sweep import Sweep
from mimsweep.orchestrator.planning import Plan, plan
from mimsweep.orchestrator.stale import Stale, find_stale
from mimsweep.orchestrator.tracking.reader import Lister, open_lister
from mimsweep.orchestrator.tracking.runs import RunState, Status

if TYPE_CHECKING:
    import pandas as pd


_COUNTED: tuple[Status, ...] = ("FINISHED", "FAILED", "RUNNING", "KILLED")


def open_list(uri: str, needed: bool = False) -> Lister:
    """Returns a tracking store, to list its runs; refuses, if needed, one that isn't there."""
    lister = open_lister(uri)
    if lister is None:
        from mimsweep.orchestrator.tracking.writer import Tracking

        lister = Tracking(uri, create=False)
    return lister.require() if needed else lister


def others(file: Sweep | Search, complete: Collection[str]) -> list[str]:
    """Returns a line, if any, on complete runs that are not of a sweep's file."""
    line = file.others(complete) if isinstance(file, Sweep) else ""
    return [line] if line else []


@dataclass(frozen=True)
class Planned:
    """What `run` would train.

    Attributes:
        plan: which runs, in which cohorts.
        stale: what has changed since complete runs were trained.
        lines: what is to be said beside.
    """

    plan: Plan
    stale: Stale
    lines: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Returns what `mimsweep plan --json` prints."""
        return {**self.plan.to_json(), "stale": self.stale.counts}


def planned(
    sweep: Sweep,
    states: Mapping[str, RunState],
    cohort_size: int | None,
    device: str,
    order: Order,
) -> Planned:
    """Returns what `run` would train.

    Args:
        sweep: the file.
        states: what the store has of the runs in its experiment, by run_key.
        cohort_size: most runs in a cohort; None: chosen from the device.
        device: "auto", "cpu" or "cuda".
        order: "cost" or "overview".

    Raises:
        SpecError: "cuda" is wanted and no GPU is visible.
    """
    kind, slots = local_slots(device, None)
    complete = [key for key, state in states.items() if state.status == "FINISHED"]
    made = plan(sweep.name, sweep.runs, complete, cohort_size, kind, len(slots), order)
    lines = others(sweep, complete)
    if made.cohorts and device == "auto" and kind == "cuda":
        text = f"planned for {len(slots)} GPUs; `run` measures whether CPU cores are faster"
        lines.append(text)
    if made.eager:
        lines.append(made.eager)
    return Planned(made, find_stale(sweep.runs, states), lines)


@dataclass(frozen=True)
class Standing:
    """Where the runs of a sweep or search stand.

    Attributes:
        kind: "sweep" or "search".
        name: of that.
        total: its runs; of a search the most that it may have.
        states: of each run, its name for people, and its state if it was ever started.
        stale: what has changed since complete runs were trained.
        lines: what is to be said beside.
    """

    kind: str
    name: str
    total: int
    states: Sequence[tuple[str, RunState | None]]
    stale: Stale
    lines: Sequence[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many are finished, failed, running, killed and missing."""
        ends = Counter(state.status for _, state in self.states if state is not None)
        counts = {name.lower(): ends[name] for name in _COUNTED}
        return {**counts, "missing": max(self.total - ends.total(), 0)}

    def to_json(self) -> dict[str, Any]:
        """Returns what `mimsweep status --json` prints."""
        told = {self.kind: self.name, "total": self.total, **self.counts}
        failures = [
            {"run_name": name, "run_id": state.run_id, "reason": state.reason or ""}
            for name, state in self.states
            if state is not None and state.status == "FAILED"
        ]
        return {**told, "failures": failures, "stale": self.stale.counts}


def standing(file: Sweep | Search, uri: str) -> Standing:
    """Returns where the runs of a sweep or search stand in a store, which need not be there.

    Raises:
        TrackingError: it can't be read.
    """
    known = open_list(uri).statuses(file.name)
    done = [key for key, state in known.items() if state.status == "FINISHED"]
    if isinstance(file, Sweep):
        states = [(run.run_name, known.get(run.run_key)) for run in file.runs]
        stale = find_stale(file.runs, known)
        return Standing("sweep", file.name, len(states), states, stale, others(file, done))
    # No file says which runs a search has: they are those that it has stored.
    found = [(f"the run of key {run_key}", state) for run_key, state in known.items()]
    # More than the file says if `--trials` asked for more.
    most = max(file.most_runs, len(found))
    return Standing("search", file.name, most, found, find_stale((), known), [])


@dataclass(frozen=True)
class Results:
    """The complete runs of a sweep or search.

    Attributes:
        table: a row per complete run, as `showing.table` has them.
        runs: all that could be complete.
        lost: of a search, what is to be told of runs that can't be read.
        lines: what is to be said beside.
    """

    table: pd.DataFrame
    runs: Sequence[RunSpec]
    lost: Sequence[str]
    lines: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Returns a mapping per complete run, and counts; of what is no finite number, null."""
        rows = self.table.astype(object).to_dict("records")
        told = [finite(row) for row in rows]
        return {"total": len(self.runs), "complete": len(told), "results": told}


def finite(row: Mapping[Any, object]) -> dict[str, object]:
    """Returns a row for JSON, which has neither NaN nor infinities: null stands for them."""
    return {
        str(name): None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def results(file: Sweep | Search, uri: str) -> Results:
    """Returns the complete runs of a sweep or search that a store has.

    Raises:
        TrackingError: it can't be read, or is not there.
    """
    from mimsweep.orchestrator.showing.table import results_table, stored_runs, unread

    frame = open_list(uri, needed=True).frame(file.name)
    runs = file.runs if isinstance(file, Sweep) else stored_runs(frame)
    lost = [] if isinstance(file, Sweep) else unread(frame, runs)
    return Results(results_table(frame, runs), runs, lost, others(file, frame["run_key"]))
