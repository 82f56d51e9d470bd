"""What can go wrong, each with the exit code that `mimsweep` ends with."""


class MimsweepError(Exception):
    """A mistake or fault told to the user in one sentence, without a traceback."""

    exit_code = 1


class SpecError(MimsweepError):
    """The input is wrong: a file, a field, an option. Nothing was written."""

    exit_code = 2


class TrackingError(MimsweepError):
    """The tracking store cannot be reached, or refuses."""

    exit_code = 3


class RefusedError(TrackingError):
    """The tracking store works, and refuses a call for good: asking again won't help."""


class MissingError(MimsweepError):
    """Something that runs stored is missing, or can't be used; all else was done."""

    exit_code = 1


class TrainingError(MimsweepError):
    """Some runs failed; the rest are complete."""

    exit_code = 1
