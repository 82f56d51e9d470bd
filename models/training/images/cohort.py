"""Trains a cohort of two-level image models, within an epoch one run after the other.

A stack of their convolutions gains nothing on a CPU: at best it's as fast as the runs one by one
(`benchmarks/image_throughput.py`). What the runs of a cohort share is their data set.

The learning rate is constant, β min(1, e/w) in epoch e. The weights of the epoch with the best
validation loss, at β = 1, are kept, from epoch 1 on. Epochs without a better one are counted from
epoch w on, when the warm-up ends; a run stops when they are more than its patience.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mimsweep.models.data.binarised import ImageSet
from mimsweep.models.losses.annealing import annealed_beta
from mimsweep.models.losses.hvae import decoder_of, kind_of
from mimsweep.models.measures.collapse import Measured
from mimsweep.models.measures.images import measure
from mimsweep.models.nets.hvae import Architecture
from mimsweep.models.training.images.run import ImageRun, Settings, floats
from mimsweep.models.training.runs import CohortState, Event, Progress, Run, RunEnd, Slot


@dataclass(frozen=True)
class ImageCohort:
    """Runs of an image model, and all that they agree on.

    Attributes:
        dataset: name of the data set.
        model: `convhvae_2level` or `pixelhvae_2level`, with "", -mim, -amim or -smim behind.
        z_dim: size of z1 and of z2.
        batch_size: B.
        prior: p(z2): standard or vampprior.
        pseudo_inputs: K of the VampPrior.
        use_training_data_init: whether pseudo-inputs start at training images.
        patience: epochs without a better validation loss, after the warm-up, that are let pass.
        likelihood_samples: S of the marginal log-likelihood.
        train_items: so many training images; 0 for all.
        test_items: so many validation and test images; 0 for all.
        runs: what differs.
    """

    dataset: str
    model: str
    z_dim: int
    batch_size: int
    prior: str
    pseudo_inputs: int
    use_training_data_init: bool
    patience: int
    likelihood_samples: int
    train_items: int
    test_items: int
    runs: tuple[Run, ...]

    @property
    def architecture(self) -> Architecture:
        """What the tensors of the runs depend on."""
        count = self.pseudo_inputs if self.prior == "vampprior" else 0
        return Architecture(decoder_of(self.model), self.z_dim, count)


@dataclass
class PatientSlot(Slot):
    """Where a run stands, and its patience."""

    patience: int = 0

    def judge(self, test_loss: float) -> bool:
        """Notes the validation loss of this epoch; returns whether it is the best so far.

        Of a run in which no loss was a number, the last epoch counts.
        """
        last_resort = self.epoch == self.run.epochs and self.best_epoch == 0
        best = test_loss < self.best_loss or last_resort
        if best:
            self.best_epoch, self.best_loss = self.epoch, test_loss
        return best

    @property
    def stopped(self) -> bool:
        """Whether the run ends here: failed, or no epochs left, or its patience at an end."""
        waited = self.epoch - max(self.best_epoch, self.run.warmup - 1)
        return self.failed or self.epoch >= self.run.epochs or waited > self.patience


class ImageTraining:
    """A cohort of image models in training, between epochs."""

    def __init__(self, cohort: ImageCohort, data: ImageSet, device: str = "cpu") -> None:
        self._cohort, self._data, self._device = cohort, data, device
        self._slots: list[PatientSlot] = []
        self._runs: list[ImageRun] = []
        self.add(cohort.runs)

    @property
    def live(self) -> list[str]:
        """The keys of the runs that are not at their ends."""
        return [slot.run.key for slot in self._slots]

    def epoch(self) -> Iterator[Event]:
        """Trains the live runs for an epoch; those that stop or fail leave the cohort."""
        for slot, run in zip(self._slots, self._runs, strict=True):
            yield from self._train(slot, run)
            if slot.stopped and not slot.failed:
                yield self._measured(slot, run)
        self.drop({slot.run.key for slot in self._slots if slot.stopped})

    def add(self, runs: Sequence[Run]) -> None:
        """Lets new runs join; they start at their first epoch."""
        cohort, data = self._cohort, self._data
        for run in runs:
            net = cohort.architecture.initial(run.seed, data.train, cohort.use_training_data_init)
            settings = Settings(kind_of(cohort.model), run.seed, run.lr, cohort.batch_size)
            self._slots.append(PatientSlot(run, patience=cohort.patience))
            self._runs.append(ImageRun(net, data, settings, self._device))

    def drop(self, keys: Collection[str]) -> None:
        """Takes runs out of the cohort, without an end."""
        rows = [row for row, slot in enumerate(self._slots) if slot.run.key not in keys]
        self._slots = [self._slots[row] for row in rows]
        self._runs = [self._runs[row] for row in rows]

    def weights(self, key: str) -> dict[str, Tensor]:
        """Returns a copy of the present weights of a live run by name, on the CPU."""
        return _copied(self._runs[self.live.index(key)])

    def states(self) -> list[CohortState]:
        """Returns all that the live runs need to go on as if nothing had happened: one state."""
        each = [run.tensors() for run in self._runs]
        names = each[0] if each else ()
        tensors = {name: torch.cat([tensors[name] for tensors in each]) for name in names}
        return [CohortState(self.live, [slot.progress() for slot in self._slots], tensors)]

    def restore(self, key: str, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Lets a live run go on from where it stood in a `CohortState`.

        Args:
            key: of the run.
            progress: its own.
            tensors: its rows, each with shape (P,).
        """
        row = self.live.index(key)
        self._slots[row].resume(progress)
        self._runs[row].put(tensors, self._slots[row].epoch)

    def _train(self, slot: PatientSlot, run: ImageRun) -> Iterator[Event]:
        slot.epoch += 1
        beta = annealed_beta(slot.run.warmup, slot.epoch)
        train_loss = run.train_epoch(slot.epoch, beta)
        validation_loss = run.validation_loss(slot.epoch)
        yield from slot.epoch_events(train_loss, validation_loss, beta, slot.run.lr)
        if not slot.failed and slot.judge(validation_loss):
            run.keep_weights()

    def _measured(self, slot: PatientSlot, run: ImageRun) -> RunEnd:
        run.load_best()
        samples = self._cohort.likelihood_samples
        measured = measure(run.net, self._data, slot.run.seed, samples)
        return slot.ended(measured, _copied(run))


def measure_images(
    cohort: ImageCohort, data: ImageSet, weights: Mapping[str, Tensor], device: str = "cpu"
) -> Measured:
    """Returns all that is measured of a trained run, what its training ended with.

    Args:
        cohort: of that run alone.
        data: its data set.
        weights: its best ones, by name.
        device: a torch device.
    """
    (run,) = cohort.runs
    net = cohort.architecture.build().to(device)
    net.to(memory_format=torch.channels_last)  # as in training: other layouts give other bits
    net.restore(weights)
    return measure(net, data, run.seed, cohort.likelihood_samples)


def _copied(run: ImageRun) -> dict[str, Tensor]:
    """Returns a copy of a run's present weights by name, contiguous, on the CPU."""
    return {
        name: tensor.cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in floats(run.net).items()
    }
