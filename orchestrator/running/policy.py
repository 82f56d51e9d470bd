"""What an invocation bears, and what it came to."""

from dataclasses import dataclass

from mimsweep.orchestrator.defaults import RETRIES
from mimsweep.orchestrator.errors import TrainingError
from mimsweep.orchestrator.files.spec import RunSpec


@dataclass(frozen=True)
class Policy:
    """What to do about faults.

    Attributes:
        retries: how often a lost cohort is tried again as it is, before it is split or, of a
            single run, fails.
        timeout: seconds that a cohort may go without ending an epoch or measuring a run, before
            it counts as lost; None: what it takes at most by `PlannedCohort.longest_silence`.
        max_failures: so many failed runs stop everything; None: any number is borne.
    """

    retries: int = RETRIES
    timeout: float | None = None
    max_failures: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to.

    Attributes:
        failed: the failed runs, with their reasons.
        interrupted: whether it was asked to stop.
        gave_up: whether it stopped because too many runs failed.
        left: of one that was asked to stop, what the store did not take, in a clause.
    """

    failed: dict[RunSpec, str]
    interrupted: bool = False
    gave_up: bool = False
    left: str = ""

    def require_all(self) -> None:
        """Sees to it that all went well.

        Raises:
            KeyboardInterrupt: it was asked to stop; it says what is left.
            TrainingError: runs failed.
        """
        if self.interrupted:
            left = f"{self.left}; " if self.left else ""
            raise KeyboardInterrupt(f"{left}the same command completes what is missing")
        if self.failed:
            lines = [f"{run.run_name}: {reason}" for run, reason in self.failed.items()]
            raise TrainingError("\n  ".join([f"{len(lines)} runs failed:", *lines]))
