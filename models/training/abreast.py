"""Cohorts of several shapes that train side by side on a GPU.

A run is a program of a launch, and a GPU has room for more than a cohort has runs. So an epoch of
each cohort is begun, on streams of their own, before the first one's losses are waited for.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from torch import Tensor

from mimsweep.models.training.cohort import Training
from mimsweep.models.training.runs import CohortState, Event, Progress


class Abreast:
    """Cohorts in training, between epochs; to an engine they are one."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self._trainings = list(trainings)

    @property
    def live(self) -> list[str]:
        """The keys of the runs that are not at their ends."""
        return [key for training in self._trainings for key in training.live]

    def epoch(self) -> Iterator[Event]:
        """Trains the live runs for an epoch; those that stop or fail leave."""
        for training in self._trainings:
            training.begin()
        for training in self._trainings:
            yield from training.epoch()
        self._leave()

    def drop(self, keys: Collection[str]) -> None:
        """Takes runs out, without an end."""
        for training in self._trainings:
            training.drop(keys)
        self._leave()

    def weights(self, key: str) -> dict[str, Tensor]:
        """Returns a copy of the present weights of a live run by name, on the CPU."""
        return self._of(key).weights(key)

    def states(self) -> list[CohortState]:
        """Returns all that the live runs need to go on: a state for each shape."""
        return [state for training in self._trainings for state in training.states()]

    def restore(self, key: str, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Lets a live run go on from where it stood; arguments as of `Training.restore`."""
        self._of(key).restore(key, progress, tensors)

    def _of(self, key: str) -> Training:
        return next(training for training in self._trainings if key in training.live)

    def _leave(self) -> None:
        self._trainings = [training for training in self._trainings if training.live]
