"""Has Slurm take jobs, by submitit."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from submitit import SlurmExecutor
from submitit.core.utils import FailedJobError, FailedSubmissionError

from mimsweep.orchestrator.engines.slurm.commands import clause, outside, words
from mimsweep.orchestrator.errors import TrainingError

SIGNAL_SECONDS = 30
"""How long before its time is over a job is sent SIGUSR2."""


class _Executor(SlurmExecutor):
    """Gives sbatch options as its arguments: in a script the user's environment is above them."""

    def __init__(self, folder: Path, options: Mapping[str, str | bool]) -> None:
        super().__init__(folder)
        self._options = options

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return ["sbatch", *words(self._options), str(submission_file_path)]


def submit(
    calls: Sequence[Callable[[], None]],
    folder: Path,
    name: str,
    options: Mapping[str, str | bool],
) -> list[str]:
    """Submits a job for each of some calls, several as an array; returns their ids.

    Args:
        calls: what is called, in jobs that can load the modules that these are of.
        folder: gets the scripts of the jobs, and what they print.
        name: of the jobs.
        options: of sbatch, by their long names; True for one without a value.

    Raises:
        TrainingError: Slurm takes none, in its words.
    """
    executor = _Executor(folder, options)
    executor.update_parameters(
        job_name=name,
        time=None,  # else submitit's five minutes; the partition has a default
        wckey=None,
        signal_delay_s=SIGNAL_SECONDS,
        stderr_to_stdout=True,
        array_parallelism=len(calls),
        setup=["export PYTHONSAFEPATH=1"],  # a folder `models` where the user is is not ours
        additional_parameters={"requeue": True},
    )
    try:
        with outside():
            return [job.job_id for job in executor.submit_array(calls)]
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        raise TrainingError(f"Slurm takes no job: {clause(str(error))}") from error
