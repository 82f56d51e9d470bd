"""What jobs are asked for: from the options of a command, tried on Slurm before anything starts."""

import os
import re
import shutil
from collections.abc import Sequence

from mimsweep.orchestrator.engines.slurm.commands import ask, words
from mimsweep.orchestrator.errors import SpecError, TrainingError

OURS = frozenset({
    "array", "chdir", "clusters", "error", "export", "help", "job-name", "nodes", "ntasks",
    "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-node", "ntasks-per-socket", "open-mode",
    "output", "parsable", "quiet", "requeue", "no-requeue", "signal", "test-only", "usage",
    "version", "wait", "wrap",
})  # fmt: skip
"""Options of sbatch that the engine sets itself, or that would break it."""

Flags = dict[str, str | bool]
"""Options of sbatch, by their long names; True for one without a value."""


def slurm_slots(
    device: str, workers: int | None, gpus_per_worker: float, said: Sequence[str]
) -> tuple[str, int, Flags]:
    """Returns the kind of device, how many jobs there may be at once, and the options of each.

    Args:
        device: "cpu", "cuda", or "auto": GPUs if the partition has any.
        workers: number of jobs.
        gpus_per_worker: GPUs of each job on "cuda".
        said: what was said of jobs, `KEY=VALUE` or `KEY`, in sbatch's long names.

    Raises:
        SpecError: an option is wrong, there is no Slurm, or it would take no such job.
    """
    flags = dict(_flag(text) for text in said)
    if workers is None:
        raise SpecError("--engine slurm: --workers N must say how many jobs there may be at once")
    for command in ("sbatch", "srun", "squeue", "scancel"):
        if shutil.which(command) is None:
            raise SpecError(
                f"--engine slurm: no {command} is found here; is this a login node of a cluster, "
                "with Slurm's commands on the PATH?"
            )
    try:
        if device == "auto":
            partition = str(flags.get("partition") or os.environ.get("SBATCH_PARTITION", ""))
            device = "cuda" if _has_gpus(partition) else "cpu"
        if device == "cuda" and not any(map(_of_gpus, flags.items())):
            if gpus_per_worker != int(gpus_per_worker):
                raise SpecError(
                    f"--gpus-per-worker {gpus_per_worker:g}: a job of Slurm's has whole GPUs"
                )
            flags["gpus-per-node"] = str(int(gpus_per_worker))
        ask("sbatch", "--test-only", *words(flags), "--wrap=true")
    except TrainingError as error:
        raise SpecError(f"--engine slurm: {error}") from error
    return device, workers, flags


def _flag(text: str) -> tuple[str, str | bool]:
    key, equals, value = text.partition("=")
    key = key.strip().removeprefix("--")
    if not re.fullmatch("[a-z][a-z-]+", key) or "\n" in value or (equals and not value):
        example = "partition=gpu, time=4:00:00 or exclusive"
        raise SpecError(f"--slurm {text!r}: it must be a long option of sbatch, as in {example}")
    if key in OURS:
        raise SpecError(f"--slurm {key}: mimsweep sets that itself, or can't do with it")
    return key, value if equals else True


def _has_gpus(partition: str) -> bool:
    """Returns whether a partition has GPUs, or the one that sbatch chooses."""
    wanted = f"--partition={partition}" if partition else "--all"
    lines = ask("sinfo", wanted, "--noheader", "--format=%P %G").splitlines()
    found = (line.partition(" ") for line in lines)  # * is behind the name of the default
    return any("gpu" in gres for name, _, gres in found if partition or name.endswith("*"))


def _of_gpus(flag: tuple[str, str | bool]) -> bool:
    """Returns whether an option asks for GPUs."""
    key, value = flag
    return key.startswith("gpus") or (key.startswith(("gres", "tres")) and "gpu" in str(value))
