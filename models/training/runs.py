"""A run in training, and the events of its life."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from mimsweep.models.measures.collapse import Measured, Profile


@dataclass(frozen=True)
class Run:
    """What may differ within a cohort.

    Attributes:
        key: the run's name in events.
        seed: of initial weights, data and noise.
        lr: highest learning rate.
        warmup: w, epochs of β annealing, of rising learning rate, and of patience.
        epochs: at most so many.
    """

    key: str
    seed: int
    lr: float
    warmup: int
    epochs: int


@dataclass(frozen=True)
class EpochEnd:
    """A run has trained an epoch. Losses in nats; beta and lr are those of the epoch."""

    key: str
    epoch: int
    train_loss: float
    test_loss: float
    beta: float
    lr: float


@dataclass(frozen=True)
class RunEnd:
    """A run has stopped and was measured.

    Attributes:
        key: of the run.
        metrics: as `models.measures.latent` names them, and best_epoch, best_loss, epochs_run.
        weights: of the best epoch, by name, on the CPU.
        profile: what is told of each latent dimension, as `models.measures.collapse` names it.
    """

    key: str
    metrics: dict[str, float]
    weights: dict[str, Tensor]
    profile: Profile


@dataclass(frozen=True)
class RunFailed:
    """A run's training loss turned NaN or infinite."""

    key: str
    epoch: int
    reason: str


Event = EpochEnd | RunEnd | RunFailed

Progress = dict[str, float]


@dataclass(frozen=True)
class CohortState:
    """The live runs of a cohort between two epochs.

    Attributes:
        keys: of the runs, R of them.
        progress: where each stands.
        tensors: weights, best weights and optimiser by name, each with shape (R, P).
    """

    keys: list[str]
    progress: list[Progress]
    tensors: dict[str, Tensor]


@dataclass
class Slot:
    """Where a run of the stack stands; `best_epoch` is 0 until an epoch has counted.

    Epochs count from `settled` on, when β has come to its end, or from the run's warm-up.
    """

    run: Run
    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    failed: bool = False
    settled: int = 0

    def progress(self) -> Progress:
        """Returns what `resume` needs."""
        return {"epoch": self.epoch, "best_epoch": self.best_epoch, "best_loss": self.best_loss}

    def resume(self, progress: Progress) -> None:
        """Goes on from where another slot of the same run stood."""
        self.epoch, self.best_epoch = int(progress["epoch"]), int(progress["best_epoch"])
        self.best_loss = progress["best_loss"]

    def judge(self, test_loss: float) -> bool:
        """Notes the test loss of this epoch; returns whether its weights are the best so far.

        Of a run in which no epoch counted, the last one does.
        """
        first = max(self.run.warmup, self.settled)
        counts = self.epoch >= first and test_loss < self.best_loss
        last_resort = self.epoch == self.run.epochs and self.best_epoch == 0
        if counts or last_resort:
            self.best_epoch, self.best_loss = self.epoch, test_loss
        return counts or last_resort

    def epoch_events(
        self, train_loss: float, test_loss: float, beta: float, lr: float
    ) -> Iterator[EpochEnd | RunFailed]:
        """Yields what this epoch came to; a run whose training loss is no number has failed."""
        key, epoch = self.run.key, self.epoch
        yield EpochEnd(key, epoch, train_loss, test_loss, beta, lr)
        if not math.isfinite(train_loss):
            self.failed = True
            yield RunFailed(key, epoch, f"the training loss turned {train_loss} in epoch {epoch}")

    def ended(self, measured: Measured, weights: dict[str, Tensor]) -> RunEnd:
        """Returns the end of the run, of which so much was measured with its best weights."""
        counts = {
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "epochs_run": self.epoch,
        }
        metrics = {**measured.metrics, **counts}
        return RunEnd(self.run.key, metrics, weights, measured.profile)

    @property
    def stopped(self) -> bool:
        """Whether the run ends here: failed, or no epochs left, or `warmup` + 1 without a best."""
        waited = self.epoch - self.best_epoch if self.best_epoch else 0
        return self.failed or self.epoch >= self.run.epochs or waited > self.run.warmup
