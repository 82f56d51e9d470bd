"""What MLflow's runs say: who is alive, where each run stands, the table. Calls no store."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from mimsweep.orchestrator.tracking.owner import Owner

if TYPE_CHECKING:
    import pandas as pd

    from mimsweep.models.data.files.found import DataFile

Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]

CANCEL, COMPLETE = "mimsweep.cancel", "mimsweep.complete"
CLAIM, ASKS, HOLDS = "mimsweep.claim", "asks", "holds"
PROCESSOR, REASON, ROLE = "mimsweep.processor", "mimsweep.reason", "mimsweep.role"
CODE, ANY_CONTENT = "mimsweep.code", "mimsweep.any_content"
WEIGHTS, SNAPSHOTS = "weights.safetensors", "snapshots.safetensors"
PROFILE = "kl_per_dimension.json"
IDENTITY = ("run_key", "run_id", "run_name", "status")
"""The first columns of a table of runs."""
RUN_KEY, SWEEP, PARENT = "mimsweep.run_key", "mimsweep.sweep", "mlflow.parentRunId"


class Run(Protocol):
    """An `mlflow.entities.Run`."""

    @property
    def info(self) -> Any:  # noqa: ANN401
        """run_id, run_name, status, start_time in ms."""

    @property
    def data(self) -> Any:  # noqa: ANN401
        """params, metrics, tags: three dicts."""


class Spec(Protocol):
    """What is asked of a `RunSpec`."""

    @property
    def run_key(self) -> str:
        """Hash of the spec."""

    @property
    def key_of_any_content(self) -> str:
        """What it would be, whatever the data file had in it."""

    @property
    def of_file(self) -> bool:
        """Whether it has a data file."""

    @property
    def file(self) -> DataFile | None:
        """That, unless it isn't known where it is."""

    @property
    def run_name(self) -> str:
        """Name for people."""

    def model_dump(self) -> dict[str, Any]:
        """Every field."""


R = TypeVar("R", bound=Run)


@dataclass(frozen=True)
class RunState:
    """Where a run of a sweep stands.

    Attributes:
        status: MLflow's word, corrected: FINISHED means complete, RUNNING that its orchestrator
            lives.
        run_id: The MLflow run that says so.
        reason: Why it failed.
        processor: The kind that trained it; older versions did not say.
        code: Fingerprints of users' code that it was trained with, if any was; likewise.
        any_content: What is the same of runs that differ in their data file's content alone.
    """

    status: Status
    run_id: str
    reason: str | None
    processor: str | None
    code: str | None = None
    any_content: str | None = None


def own_tags(spec: Spec) -> dict[str, str]:
    """The tags that tell a run from others of its sweep."""
    more = {ANY_CONTENT: spec.key_of_any_content} if spec.of_file else {}
    return {RUN_KEY: spec.run_key, **more}


def is_complete(run: Run) -> bool:
    """FINISHED alone isn't enough: MLflow calls some crashed runs so."""
    return run.info.status == "FINISHED" and run.data.tags.get(COMPLETE) == "true"


def living_parents(runs: Iterable[R]) -> list[tuple[R, Owner]]:
    """The RUNNING parents among `runs` whose orchestrator lives, and that."""
    return [
        (run, owner)
        for run in runs
        if run.data.tags.get(ROLE) == "sweep" and run.info.status == "RUNNING"
        if (owner := Owner.from_tags(run.data.tags)) is not None and owner.alive()
    ]


def abandoned(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """The children and the parents, by run_id, of `runs` that no living orchestrator owns."""
    living = {parent.info.run_id for parent, _ in living_parents(runs)}
    children, parents = [], []
    for run in runs:
        tags, run_id = run.data.tags, run.info.run_id
        if RUN_KEY in tags and tags.get(PARENT) not in living:
            children.append(run_id)
        if tags.get(ROLE) == "sweep" and run_id not in living:
            parents.append(run_id)
    return children, parents


def states(runs: Sequence[Run]) -> dict[str, RunState]:
    """The state of each run_key; a complete run decides, else the newest. `runs`: newest first."""
    living = {parent.info.run_id for parent, _ in living_parents(runs)}
    found: dict[str, RunState] = {}
    for run in runs:
        key = run.data.tags.get(RUN_KEY)
        if key is None:
            continue
        if key not in found or (is_complete(run) and found[key].status != "FINISHED"):
            told = [run.data.tags.get(tag) for tag in (REASON, PROCESSOR, CODE, ANY_CONTENT)]
            found[key] = RunState(_true_status(run, living), run.info.run_id, *told)
    return found


def _true_status(run: Run, living: Collection[str]) -> Status:
    status = cast(Status, run.info.status)
    if is_complete(run) or status in ("FAILED", "KILLED"):
        return status
    return "RUNNING" if run.data.tags.get(PARENT) in living else "KILLED"


def processors_line(states: Iterable[RunState]) -> str:
    """A line on complete runs, if more than one kind of processor trained them; else empty."""
    complete = (state.processor for state in states if state.status == "FINISHED")
    kinds = sorted(Counter(filter(None, complete)).items(), key=lambda kind: (-kind[1], kind[0]))
    if len(kinds) < 2:
        return ""
    counts = ", ".join(f"{count} on {kind}" for kind, count in kinds)
    return (
        f"runs were trained on {len(kinds)} kinds of processor, {counts}: bit for bit holds only "
        "within a kind"
    )


def table(runs: Iterable[Run]) -> pd.DataFrame:
    """A row per run: key, id, name, status, then params, then last metrics, each by name.

    Rows are ordered by their params. Where a metric has a param's name (`lr`), the param stays; so
    does what tells the runs apart where a user has logged anything by its name.
    """
    import pandas as pd

    rows = []
    for run in runs:
        params = {name: decode(text) for name, text in sorted(run.data.params.items())}
        head = {
            "run_key": run.data.tags[RUN_KEY],
            "run_id": run.info.run_id,
            "run_name": run.info.run_name,
            "status": run.info.status,
        }
        rows.append((head, params, metrics(run)))
    rows.sort(key=lambda row: ([_order(value) for value in row[1].values()], row[0]["run_key"]))
    param_names = sorted({name for _, params, _ in rows for name in params} - {*IDENTITY})
    known = {*IDENTITY, *param_names}
    metric_names = sorted({name for _, _, last in rows for name in last} - known)
    return pd.DataFrame(
        [{**last, **params, **head} for head, params, last in rows],
        columns=[*IDENTITY, *param_names, *metric_names],
    )


@dataclass(frozen=True)
class Invocation:
    """A parent run: one call of `mimsweep run`.

    Attributes:
        run_id: MLflow's.
        experiment_id: MLflow's.
        status: MLflow's word.
        start: ms since 1970.
        end: likewise; None while it runs.
        tags: versions, device, commit.
        params: what it was called with.
    """

    run_id: str
    experiment_id: str
    status: str
    start: int
    end: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]


def invocation(run: Run) -> Invocation:
    """What a parent run says of its invocation."""
    info, data = run.info, run.data
    return Invocation(
        info.run_id,
        info.experiment_id,
        info.status,
        info.start_time,
        info.end_time,
        dict(sorted(data.tags.items())),
        dict(sorted(data.params.items())),
    )


def history(points: Mapping[str, Iterable[tuple[str, Any]]]) -> pd.DataFrame:
    """A row per run and epoch, a column per metric; `points` of each: run_ids, MLflow's metrics."""
    import pandas as pd

    values = {
        name: {(run_id, point.step): _unclamped(point.value) for run_id, point in some}
        for name, some in points.items()
    }
    rows = dict.fromkeys(row for column in values.values() for row in column)
    columns = {name: [column.get(row, math.nan) for row in rows] for name, column in values.items()}
    run_ids, epochs = zip(*rows, strict=True) if rows else ((), ())
    return pd.DataFrame({"run_id": run_ids, "epoch": epochs, **columns})


def encode(value: object) -> str:
    """A param's text: JSON, but a string bare where it can't be taken for anything else."""
    if isinstance(value, str) and decode(value) == value:
        return value
    return json.dumps(value)


def decode(text: str) -> Any:  # noqa: ANN401
    """The value that `encode` was given: one that can be a table's, so no list and no mapping."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, (list, dict)) else value


def _order(value: object) -> tuple[int, float, str]:
    if isinstance(value, (int, float)):
        return (0, value, "")
    return (1, 0.0, str(value))


def metrics(run: Run) -> dict[str, float]:
    """A run's last value of each metric."""
    return {name: _unclamped(value) for name, value in run.data.metrics.items()}


def _unclamped(value: float) -> float:
    # MLflow's SQL stores hold an infinity as the largest float.
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value
