"""Trains a cohort: runs of one shape as one stack, each exactly as if it were alone.

A run's data and noise depend on its seed and epoch, its weights on its own gradient; learning rate,
β, patience and number of epochs are its own. What all runs of a cohort share are the shapes of
their tensors. A run that stops, or fails, leaves the stack at the end of its epoch.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from models.data import DataSet, has_pairs, is_binary
from models.evaluate import evaluate
from models.latent import LatentModel, Options
from models.losses import Objective
from models.optim import learning_rate
from models.sampling import Sampler
from models.stack import Stack


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
class Cohort:
    """Runs that train as one stack, and all that they agree on (experiments.md sections 2, 3)."""

    dataset: str
    model: str
    z_dim: int
    mid_dim: int
    layers: int
    act: str
    inv_h: bool
    min_logvar: int
    batch_size: int
    q_x_samples: str
    runs: tuple[Run, ...]
    p_z: str = "anchor"
    q_x: str = "marginal"
    p_z_gmm: int = 0
    q_x_gmm: int = 0
    q_zx_gmm: int = 0
    p_xz_gmm: int = 0
    learn_p_z: bool = False

    def objective(self, data: DataSet) -> Objective:
        """Returns what the runs minimise on a data set."""
        model = LatentModel(
            x_dim=data.dims,
            z_dim=self.z_dim,
            mid_dim=self.mid_dim,
            layers=self.layers,
            act=self.act,
            min_scale=10.0**-self.min_logvar,
            fixed_encoder_scale=self.model == "ae",
            options=Options(**{f.name: getattr(self, f.name) for f in fields(Options)}),
            binary=is_binary(data),
            log_p_x=data.log_prob,
        )
        return Objective(self.model, model, self.inv_h, self.q_x_samples, has_pairs(data))


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
        metrics: as `models.evaluate` names them, and best_epoch, best_loss, epochs_run.
        weights: of the best epoch, by name, on the CPU.
    """

    key: str
    metrics: dict[str, float]
    weights: dict[str, Tensor]


@dataclass(frozen=True)
class RunFailed:
    """A run's training loss turned NaN or infinite."""

    key: str
    epoch: int
    reason: str


Event = EpochEnd | RunEnd | RunFailed

Progress = dict[str, float]


@dataclass(frozen=True)
class State:
    """The live runs of a cohort between two epochs.

    Attributes:
        keys: of the runs, R of them.
        progress: where each stands.
        tensors: weights, best weights and optimiser by name, each with shape (R, P).
    """

    keys: list[str]
    progress: list[Progress]
    tensors: dict[str, Tensor]


def train(cohort: Cohort, data: DataSet, device: str = "cpu") -> Iterator[Event]:
    """Trains the runs of a cohort to their ends.

    Args:
        cohort: what to train.
        data: the cohort's data set.
        device: a torch device.

    Yields:
        the events of each epoch, as they happen.
    """
    training = Training(cohort, data, device)
    while training.live:
        yield from training.epoch()


@dataclass
class Slot:
    """Where a run of the stack stands; `best_epoch` is 0 until an epoch has counted."""

    run: Run
    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    failed: bool = False

    def progress(self) -> Progress:
        """Returns what `resume` needs."""
        return {"epoch": self.epoch, "best_epoch": self.best_epoch, "best_loss": self.best_loss}

    def resume(self, progress: Progress) -> None:
        """Goes on from where another slot of the same run stood."""
        self.epoch, self.best_epoch = int(progress["epoch"]), int(progress["best_epoch"])
        self.best_loss = progress["best_loss"]

    def judge(self, test_loss: float) -> bool:
        """Notes the test loss of this epoch; returns whether its weights are the best so far.

        Epochs count from `warmup` on; of a run in which none did, the last one counts.
        """
        counts = self.epoch >= self.run.warmup and test_loss < self.best_loss
        last_resort = self.epoch == self.run.epochs and self.best_epoch == 0
        if counts or last_resort:
            self.best_epoch, self.best_loss = self.epoch, test_loss
        return counts or last_resort

    def told(
        self, train_loss: float, test_loss: float, beta: float, lr: float
    ) -> Iterator[EpochEnd | RunFailed]:
        """Yields what this epoch came to; a run whose training loss is no number has failed."""
        key, epoch = self.run.key, self.epoch
        yield EpochEnd(key, epoch, train_loss, test_loss, beta, lr)
        if not math.isfinite(train_loss):
            self.failed = True
            yield RunFailed(key, epoch, f"the training loss turned {train_loss} in epoch {epoch}")

    def ended(self, metrics: dict[str, float], weights: dict[str, Tensor]) -> RunEnd:
        """Returns the end of the run, which measured `metrics` with its best weights."""
        counts = {
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "epochs_run": self.epoch,
        }
        return RunEnd(self.run.key, {**metrics, **counts}, weights)

    @property
    def stopped(self) -> bool:
        """Whether the run ends here: failed, or no epochs left, or `warmup` + 1 without a best."""
        waited = self.epoch - self.best_epoch if self.best_epoch else 0
        return self.failed or self.epoch >= self.run.epochs or waited > self.run.warmup


class Training:
    """A cohort in training, between epochs."""

    def __init__(self, cohort: Cohort, data: DataSet, device: str = "cpu") -> None:
        self._slots = [Slot(run) for run in cohort.runs]
        objective = cohort.objective(data)
        sampler = Sampler(
            data, cohort.batch_size, cohort.z_dim, torch.device(device), objective.model.choices
        )
        self._stack = Stack(objective, sampler, [run.seed for run in cohort.runs])

    @property
    def live(self) -> list[str]:
        """The keys of the runs that are not at their ends."""
        return [slot.run.key for slot in self._slots]

    def epoch(self) -> Iterator[Event]:
        """Trains the live runs for an epoch; those that stop or fail leave the stack."""
        yield from self._train()
        for row, slot in enumerate(self._slots):
            if slot.stopped and not slot.failed:
                yield self._measured(row)
        self._keep([row for row, slot in enumerate(self._slots) if not slot.stopped])

    def add(self, runs: Sequence[Run]) -> None:
        """Lets new runs join; they start at their first epoch."""
        self._slots += [Slot(run) for run in runs]
        self._stack.grow([run.seed for run in runs])

    def drop(self, keys: Collection[str]) -> None:
        """Takes runs out of the stack, without an end."""
        self._keep([row for row, slot in enumerate(self._slots) if slot.run.key not in keys])

    def weights(self, key: str) -> dict[str, Tensor]:
        """Returns a copy of the present weights of a live run by name, on the CPU."""
        weights = self._stack.present_weights(self.live.index(key))
        return {name: tensor[0].cpu() for name, tensor in weights.items()}

    def state(self) -> State:
        """Returns all that the live runs need to go on as if nothing had happened."""
        progress = [slot.progress() for slot in self._slots]
        return State(self.live, progress, self._stack.tensors())

    def restore(self, key: str, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Lets a live run go on from where it stood in a `State`.

        Args:
            key: of the run.
            progress: its own.
            tensors: its rows, each with shape (P,).
        """
        row = self.live.index(key)
        self._slots[row].resume(progress)
        self._stack.put(row, tensors)

    def _train(self) -> Iterator[Event]:
        slots, stack = self._slots, self._stack
        for slot in slots:
            slot.epoch += 1
        moments = [(slot.run.seed, slot.epoch) for slot in slots]
        lr = [learning_rate(s.run.lr, s.run.warmup, s.epoch) for s in slots]
        beta = [stack.objective.beta(s.run.warmup, s.epoch) for s in slots]
        train_loss = stack.train_epoch(moments, lr, beta)
        test_loss = stack.test_epoch(moments)
        for row, slot in enumerate(slots):
            yield from slot.told(train_loss[row], test_loss[row], beta[row], lr[row])
            if not slot.failed and slot.judge(test_loss[row]):
                stack.keep_weights(row)

    def _measured(self, row: int) -> RunEnd:
        slot, stack = self._slots[row], self._stack
        weights = stack.best_weights(row)
        metrics = evaluate(stack.objective.model, weights, stack.sampler, slot.run.seed)
        return slot.ended(metrics, {name: w[0].cpu() for name, w in weights.items()})

    def _keep(self, rows: list[int]) -> None:
        if len(rows) < len(self._slots):
            self._slots = [self._slots[row] for row in rows]
            self._stack.shrink(rows)
