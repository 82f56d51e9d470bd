"""Trains a cohort: runs of one shape as one stack, each exactly as if it were alone.

A run's data and noise depend on its seed and epoch, its weights on its own gradient; learning rate,
β, patience and number of epochs are its own. What all runs of a cohort share are the shapes of
their tensors. A run that stops, or fails, leaves the stack at the end of its epoch.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mimsweep.models.data.base import DataSet, has_pairs, is_binary
from mimsweep.models.layout import check_shapes
from mimsweep.models.losses.base import Objective
from mimsweep.models.losses.method import Method
from mimsweep.models.losses.named import objective
from mimsweep.models.measures.collapse import Measured
from mimsweep.models.measures.latent import evaluate
from mimsweep.models.nets.latent import LatentModel, Options
from mimsweep.models.nets.users import Networks
from mimsweep.models.parts import Value
from mimsweep.models.steps.adam import learning_rate
from mimsweep.models.steps.gpu.stream import Stream
from mimsweep.models.steps.sampling import Sampler
from mimsweep.models.training.runs import CohortState, Event, Progress, Run, RunEnd, Slot
from mimsweep.models.training.stack import Stack


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
    declared: Mapping[str, Value] = field(default_factory=dict)
    beta_end: float = 1.0
    cycles: int = 1
    free_bits: float = 0.0
    bn_gamma: float = 0.0
    mmd: float = 0.0
    importance_samples: int = 1
    temperature: float = 0.1
    encoder: str = "mlp"
    decoder: str = "mlp"

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
            options=Options(**self._of(Options)),
            binary=is_binary(data),
            log_p_x=data.log_prob,
            networks=Networks(self.encoder, self.decoder, self._shared),
        )
        return objective(
            self.model,
            model,
            self.inv_h,
            self.q_x_samples,
            has_pairs(data),
            self.declared,
            self.batch_size,
            Method(**self._of(Method)),
        )

    def _of(self, kind: type[Options | Method]) -> dict[str, Any]:
        """Returns the fields that they agree on and `kind` has, by name."""
        return {each.name: getattr(self, each.name) for each in fields(kind)}

    @property
    def _shared(self) -> dict[str, Any]:
        """The fields that all its runs share, by name: ours, and those that their parts declare."""
        ours = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "runs"}
        return {**ours.pop("declared"), **ours}

    def sampler(self, data: DataSet, objective: Objective, device: str) -> Sampler:
        """Returns what draws their minibatches and noise, for a torch device."""
        choices = objective.model.choices
        return Sampler(data, self.batch_size, self.z_dim, torch.device(device), choices)


def measure(
    cohort: Cohort, data: DataSet, weights: Mapping[str, Tensor], device: str = "cpu"
) -> Measured:
    """Returns all that is measured of a trained run, what its training ended with.

    Args:
        cohort: of that run alone.
        data: its data set.
        weights: its best ones, by name.
        device: a torch device.
    """
    (run,) = cohort.runs
    objective = cohort.objective(data)
    check_shapes(weights, objective.model.shapes())
    stack = {name: tensor[None].to(device) for name, tensor in weights.items()}
    return evaluate(objective.model, stack, cohort.sampler(data, objective, device), run.seed)


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


class _Epoch(NamedTuple):
    """An epoch of R runs that was begun: their rates and βs, and losses with shape (R,)."""

    lr: list[float]
    beta: list[float]
    train_loss: Tensor
    test_loss: Tensor


class Training:
    """A cohort in training, between epochs; while one is begun, `epoch` alone may be called."""

    def __init__(self, cohort: Cohort, data: DataSet, device: str = "cpu") -> None:
        objective = cohort.objective(data)
        self._settled = objective.settled
        self._slots = self._slots_of(cohort.runs)
        sampler = cohort.sampler(data, objective, device)
        self._stack = Stack(objective, sampler, [run.seed for run in cohort.runs])
        self._stream = Stream(sampler.device)
        self._begun: _Epoch | None = None

    @property
    def live(self) -> list[str]:
        """The keys of the runs that are not at their ends."""
        return [slot.run.key for slot in self._slots]

    def begin(self) -> None:
        """Begins an epoch of the live runs; a GPU trains while others are begun, until `epoch`."""
        slots, stack = self._slots, self._stack
        for slot in slots:
            slot.epoch += 1
        seed_epochs = [(slot.run.seed, slot.epoch) for slot in slots]
        lr = [learning_rate(s.run.lr, s.run.warmup, s.epoch) for s in slots]
        beta = [stack.objective.beta(s.run.warmup, s.epoch) for s in slots]
        with self._stream.begun():
            train_loss = stack.train_epoch(seed_epochs, lr, beta)
            self._begun = _Epoch(lr, beta, train_loss, stack.test_epoch(seed_epochs))

    def epoch(self) -> Iterator[Event]:
        """Trains the live runs for an epoch, or ends the one that was begun.

        Runs that stop or fail leave the stack.
        """
        if self._begun is None:
            self.begin()
        yield from self._trained()
        for row, slot in enumerate(self._slots):
            if slot.stopped and not slot.failed:
                yield self._measured(row)
        self._keep([row for row, slot in enumerate(self._slots) if not slot.stopped])

    def add(self, runs: Sequence[Run]) -> None:
        """Lets new runs join; they start at their first epoch."""
        self._slots += self._slots_of(runs)
        self._stack.grow([run.seed for run in runs])

    def drop(self, keys: Collection[str]) -> None:
        """Takes runs out of the stack, without an end."""
        self._keep([row for row, slot in enumerate(self._slots) if slot.run.key not in keys])

    def weights(self, key: str) -> dict[str, Tensor]:
        """Returns a copy of the present weights of a live run by name, on the CPU."""
        row = self.live.index(key)
        slot = self._slots[row]
        weights = self._stack.present_weights(row, (slot.run.seed, slot.epoch))
        return {name: tensor[0].cpu() for name, tensor in weights.items()}

    def states(self) -> list[CohortState]:
        """Returns all that the live runs need to go on as if nothing had happened: one state."""
        progress = [slot.progress() for slot in self._slots]
        return [CohortState(self.live, progress, self._stack.tensors())]

    def restore(self, key: str, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Lets a live run go on from where it stood in a `CohortState`.

        Args:
            key: of the run.
            progress: its own.
            tensors: its rows, each with shape (P,).
        """
        row = self.live.index(key)
        self._slots[row].resume(progress)
        self._stack.put(row, tensors)

    def _trained(self) -> Iterator[Event]:
        begun, self._begun = self._begun, None
        assert begun is not None
        self._stream.join()
        train_loss, test_loss = begun.train_loss.tolist(), begun.test_loss.tolist()
        for row, slot in enumerate(self._slots):
            yield from slot.epoch_events(
                train_loss[row], test_loss[row], begun.beta[row], begun.lr[row]
            )
            if not slot.failed and slot.judge(test_loss[row]):
                self._stack.keep_weights(row)

    def _measured(self, row: int) -> RunEnd:
        slot, stack = self._slots[row], self._stack
        weights = stack.best_weights(row, (slot.run.seed, slot.best_epoch))
        measured = evaluate(stack.objective.model, weights, stack.sampler, slot.run.seed)
        return slot.ended(measured, {name: w[0].cpu() for name, w in weights.items()})

    def _slots_of(self, runs: Iterable[Run]) -> list[Slot]:
        return [Slot(run, settled=self._settled(run.warmup)) for run in runs]

    def _keep(self, rows: list[int]) -> None:
        if len(rows) < len(self._slots):
            self._slots = [self._slots[row] for row in rows]
            self._stack.shrink(rows)
