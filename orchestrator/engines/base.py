"""What an engine is: the place where cohorts are trained, seen from the orchestrator.

An engine has slots. `submit` gives a cohort to a free one; `events` then returns what happens to
its runs, in order: for each run any number of `EpochEnded`, then one `RunFinished` or `RunFailed`;
for the cohort, after all its runs, one `CohortEnded`. If the slot is lost first (its worker died,
or raised), `CohortLost` comes instead, the slot is made anew, and the runs without an end are the
caller's to submit again. Messages hold no tensors: the orchestrator never imports torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mimsweep.orchestrator.files.spec import RunSpec


@dataclass(frozen=True)
class Place:
    """Where a cohort trains.

    Attributes:
        device: a torch device.
        data_dir: where data sets are.
        checkpoint_dir: where checkpoints are.
        checkpoint_seconds: time between two checkpoints of a cohort.
        snapshots: whether runs keep the weights of each epoch. Such runs have no checkpoints: what
            is lost starts anew, so that no epoch is missing.
    """

    device: str
    data_dir: Path
    checkpoint_dir: Path
    checkpoint_seconds: float
    snapshots: bool = False


@dataclass(frozen=True)
class EpochEnded:
    """A run has trained an epoch; `metrics` are those of `orchestrator.metrics.EPOCH_METRICS`."""

    run_key: str
    epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class RunFinished:
    """A run has stopped and was measured.

    Attributes:
        run_key: of the run.
        metrics: the final ones.
        weights: content of a safetensors file.
        snapshots: likewise, each tensor with a leading axis of epochs; empty where none were kept.
        profile: what was measured of each latent dimension, by name.
        processor: the kind that trained it, as `models.jit.processor` names it; "A then B" if a
            checkpoint of A went on on B.
        code: what `stale.code_of` returned where it was trained.
    """

    run_key: str
    metrics: dict[str, float]
    weights: bytes
    snapshots: bytes = b""
    profile: Mapping[str, list[float]] = field(default_factory=dict)
    processor: str = ""
    code: str = ""


@dataclass(frozen=True)
class RunFailed:
    """A run can't go on, whatever is tried; its neighbours do."""

    run_key: str
    reason: str


@dataclass(frozen=True)
class CohortEnded:
    """All runs of a cohort have ended, and its slot is free."""

    cohort: int


@dataclass(frozen=True)
class CohortLost:
    """A cohort's slot was lost.

    Attributes:
        cohort: its number.
        reason: a sentence.
        details: a traceback, or where to read more.
        too_large: whether the device ran out of memory, so that a smaller cohort may do.
        excused: whether the slot was taken away from outside, which no cohort is to blame for.
    """

    cohort: int
    reason: str
    details: str
    too_large: bool = False
    excused: bool = False


@dataclass(frozen=True)
class Up:
    """A worker has loaded what it needs; what it says before all events, to its engine alone."""


@dataclass(frozen=True)
class Drop:
    """Has runs in training leave their cohort at the end of its epoch."""

    run_keys: frozenset[str]


@dataclass(frozen=True)
class Join:
    """Has runs join a cohort in training, at the end of its epoch, at their first one."""

    runs: tuple[RunSpec, ...]


Command = Drop | Join
Event = EpochEnded | RunFinished | RunFailed | CohortEnded | CohortLost


class Engine(Protocol):
    """Trains cohorts in slots."""

    @property
    def slots(self) -> int:
        """The number of slots, those included whose worker is not there yet."""

    @property
    def idle(self) -> int:
        """The number of free slots."""

    @property
    def waiting(self) -> Mapping[int, str]:
        """The submitted cohorts that have no worker yet, or whose worker is suspended, and why."""

    def submit(self, cohort: int, runs: Sequence[RunSpec]) -> None:
        """Starts to train runs that may be one cohort; there must be a free slot.

        Args:
            cohort: a number that events will name, used once.
            runs: they agree on all fields but `VARIES_IN_COHORT`, or make several such stacks,
                which train side by side.
        """

    def events(self, timeout: float) -> list[Event]:
        """Returns what has happened, waiting up to `timeout` seconds for something to."""

    def command(self, cohort: int, command: Command) -> None:
        """Tells a cohort in training to drop runs or let some join.

        If it comes too late, after the cohort's last epoch, nothing happens: runs that were to join
        have no end when `CohortEnded` comes, and are the caller's to submit again.
        """

    def cancel(self, cohort: int, reason: str) -> None:
        """Ends a cohort in training at once; `CohortLost` comes with `reason`."""

    def close(self) -> None:
        """Ends all work at once, and every process of the engine."""
