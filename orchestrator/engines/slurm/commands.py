"""What Slurm is told and asked by its commands, without submitit: how jobs are; to end them."""

import os
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from mimsweep.orchestrator.errors import TrainingError
from mimsweep.orchestrator.surroundings import variables

ASK_SECONDS = 60.0
"""How long a command of Slurm's may take."""

HURRIED_SECONDS = 1.5
"""Likewise one for which somebody waits who has pressed Ctrl-C."""

_OF_SCRIPTS = frozenset(
    f"SBATCH_{name}"
    for name in (
        *("ARRAY_INX", "CLUSTERS", "ERROR", "EXPORT", "JOB_NAME", "NO_REQUEUE", "OPEN_MODE"),
        *("OUTPUT", "REQUEUE", "SIGNAL", "WAIT"),
    )
)
"""What a shell may say of jobs and the engine says otherwise, in their scripts."""

_FIELDS = {"JobArrayID": 60, "State": 30, "RestartCnt": 12, "Reason": 120}
"""What squeue is asked of each job, in columns so wide."""


@dataclass(frozen=True)
class State:
    """How a job is.

    Attributes:
        name: of the state, as Slurm has it: "PENDING", say.
        starts: how often it was put back into the queue, to be started again.
        reason: why it is pending, in Slurm's word.
    """

    name: str
    starts: int = 0
    reason: str = ""

    @property
    def shown(self) -> str:
        """It for people: `pending (Resources)`."""
        name = self.name.lower().replace("_", " ")
        return f"{name} ({self.reason})" if self.name == "PENDING" and self.reason else name

    @property
    def held(self) -> bool:
        """Whether it waits because it could not be started: Slurm won't try again."""
        return self.name == "PENDING" and "requeued_held" in self.reason.lower().replace(" ", "_")

    @property
    def ended(self) -> bool:
        """Whether the job will never be started, or run on."""
        return self.name in BY_SLURM | BY_OTHERS | {"COMPLETED", "FAILED", "OUT_OF_MEMORY"}


BY_SLURM = frozenset({"BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "REVOKED"})
"""States in which a job was ended for what is none of its own doing."""

BY_OTHERS = frozenset({"CANCELLED", "DEADLINE", "TIMEOUT", GONE := "no longer known to Slurm"})
"""States in which it was ended by people, or by their limits."""

STOPPED = frozenset({"STOPPED", "SUSPENDED"})
"""States in which it has made room for others, and will go on."""


def words(options: Mapping[str, str | bool]) -> list[str]:
    """Returns options of sbatch as its arguments."""
    return [f"--{key}" if value is True else f"--{key}={value}" for key, value in options.items()]


def states() -> dict[str, State]:
    """Returns how this user's jobs are, by id; ended ones for some minutes.

    Raises:
        TrainingError: Slurm doesn't answer.
    """
    fields = ",".join(f"{name}:{width}" for name, width in _FIELDS.items())
    command = ["squeue", "--me", "--all", "--array", "--states=all", "--noheader"]
    found: dict[str, State] = {}
    for line in ask(*command, f"--Format={fields}").splitlines():
        job, name, starts, reason = (line[place].strip() for place in _places())
        found[job] = State(name, int(starts or 0), reason)
    return found


def _places() -> Iterator[slice]:
    end = 0
    for width in _FIELDS.values():
        yield slice(end, end + width)
        end += width


def end(jobs: Collection[str], seconds: float = ASK_SECONDS) -> None:
    """Ends jobs, as far as they have not ended; says nothing of what Slurm refuses."""
    if jobs:
        with suppress(TrainingError):
            ask("scancel", *jobs, seconds=seconds)


def ask(*command: str, seconds: float = ASK_SECONDS) -> str:
    """Returns what a command of Slurm's says.

    Raises:
        TrainingError: it fails, in its words.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
            env={name: os.environ[name] for name in {*os.environ} - _not_for_us()},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TrainingError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise TrainingError(f"{command[0]}: {clause(done.stderr) or 'it fails, without a word'}")
    return done.stdout


@contextmanager
def outside() -> Iterator[None]:
    """Within it the environment has nothing that would change what Slurm is told or asked."""
    with variables(dict.fromkeys(_not_for_us())):
        yield


def _not_for_us() -> set[str]:
    """Returns variables by which a user's shell would change what we say, or a job that we are.

    Those of SBATCH_ that are left (partition, account, time) hold where no option is said.
    """
    theirs = ("SQUEUE_", "SCANCEL_", "SINFO_")
    found = {name for name in os.environ if name.startswith(theirs)} | _OF_SCRIPTS
    if "SLURM_JOB_ID" in os.environ:  # which would hand on to its jobs what memory and CPUs it has
        of_a_job = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_")
        kept = {"SLURM_CONF", "SLURM_CLUSTERS"}
        found |= {name for name in os.environ if name.startswith(of_a_job)} - kept
    return found & {*os.environ}


def clause(text: str) -> str:
    """Returns what a command says is wrong, without its own name and without advice."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Try ")]
    for lead in ("sbatch: ", "squeue: ", "sinfo: ", "scancel: ", "error: "):
        lines = [line.removeprefix(lead) for line in lines]
    return "; ".join(dict.fromkeys(lines))
