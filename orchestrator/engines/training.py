"""Trains a cohort for an engine, wherever it runs: events out, drops in, checkpoints beside."""

import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from mimsweep.models import jit, registry, settings
from mimsweep.models.data.base import DataError, DataSet
from mimsweep.models.data.binarised import ImageSet, load_images
from mimsweep.models.data.cache import Cached
from mimsweep.models.data.files.data import FileData, load_file
from mimsweep.models.data.loading import load
from mimsweep.models.data.toys import ToyMixture
from mimsweep.models.training import runs as trained
from mimsweep.models.training.abreast import Abreast
from mimsweep.models.training.cohort import Cohort, Training
from mimsweep.models.training.images.cohort import ImageCohort, ImageTraining
from mimsweep.orchestrator.engines import checkpoint
from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Command,
    Drop,
    EpochEnded,
    Event,
    Join,
    Place,
    RunFailed,
    RunFinished,
)
from mimsweep.orchestrator.engines.checkpoint import Record
from mimsweep.orchestrator.engines.forgetting import PASSES
from mimsweep.orchestrator.files.fields import FILE_FIELDS, FOUND_FIELDS
from mimsweep.orchestrator.files.spec import VARIES_IN_COHORT, RunSpec
from mimsweep.orchestrator.metrics import EPOCH_METRICS
from mimsweep.orchestrator.planning import by_agreement
from mimsweep.orchestrator.stale import code_of

CACHE_BYTES = 8 * 2**30
"""Most disk space for the training passes of a sweep's image data; removed when it is complete."""


def train(
    number: int, runs: Sequence[RunSpec], place: Place, commands: Callable[[], Iterable[Command]]
) -> Iterator[Event]:
    """Trains runs that may be one cohort, from their checkpoints if there are any.

    Args:
        number: the cohort's.
        runs: as `Engine.submit` has them.
        place: where.
        commands: asked after each epoch for what the cohort is told.

    Yields:
        the events of the cohort (see `orchestrator.engines.base`), its end or loss the last.
    """
    try:
        registry.load()
        with settings.ours():
            yield from _Cohort(runs, place).train(commands)
        yield CohortEnded(number)
    except (Exception, SystemExit) as error:  # a user's code may exit
        details = traceback.format_exc()
        yield CohortLost(number, registry.told(error), details, _too_large(error))


def _too_large(error: BaseException) -> bool:
    """Whether the device ran out of memory (torch has no class of its own for a CPU that did)."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def plain_data_of(run: RunSpec, data_dir: Path) -> DataSet:
    """Returns the data set of a run, which is not one of images."""
    if not run.of_file:
        return load(run.dataset, data_dir)
    if run.file is None:
        raise DataError(f"{run.dataset}: a data file is found by the sweep that names it")
    return load_file(run.file, run.standardise, run.is_binary)


def data_of(run: RunSpec, place: Place) -> DataSet:
    """Returns the data set of a run, training passes of dear ones kept on disk."""
    data = plain_data_of(run, place.data_dir)
    if isinstance(data, ToyMixture | FileData) or run.dataset in registry.DATA:
        return data  # drawn in less time than read; a user's may be another tomorrow
    return Cached(data, run.dataset, place.checkpoint_dir / PASSES, CACHE_BYTES)


def _training(
    runs: Sequence[RunSpec], place: Place
) -> tuple[Training | Abreast | ImageTraining, dict[str, float]]:
    """Returns a cohort ready to train, and metrics that say on what."""
    first = runs[0]
    if not first.of_images:
        data = {of_data(run): run for run in runs}
        loaded = {fields: data_of(run, place) for fields, run in data.items()}
        stacks = [
            Training(cohort_of(alike), loaded[of_data(alike[0])], place.device)
            for alike in by_agreement(runs)
        ]
        return stacks[0] if len(stacks) == 1 else Abreast(stacks), {}
    images = load_images(first.dataset, place.data_dir, first.train_items, first.test_items)
    return ImageTraining(image_cohort_of(runs), images, place.device), origin(first, images)


of_data = attrgetter("dataset", *FILE_FIELDS, *FOUND_FIELDS)
"""Returns the fields that a run's data depend on."""


def origin(run: RunSpec, images: ImageSet) -> dict[str, float]:
    """Returns the metric that says which Omniglot a run was trained on."""
    if run.dataset != "omniglot":
        return {}
    return {"from_chardata": float(images.source == "chardata.mat")}


class _Cohort:
    def __init__(self, runs: Sequence[RunSpec], place: Place) -> None:
        self._training, self._origin = _training(runs, place)
        self._place = place
        self._name = f"{runs[0].run_key}-{len(runs)}"
        self._processor = jit.processor(place.device)
        self._records = {run.run_key: self._new_record(run) for run in runs}
        self._snapshots: dict[str, list[dict[str, torch.Tensor]]] = {}
        resumable = [] if place.snapshots else self._training.live
        for key, saved in checkpoint.read(place.checkpoint_dir, resumable).items():
            if saved.record.code not in (None, self._records[key].code):
                print(f"{key}: its checkpoint is of other code: it starts anew", file=sys.stderr)
                continue
            self._training.restore(key, saved.progress, saved.tensors)
            if self._processor not in saved.record.processors:
                saved.record.processors.append(self._processor)
            self._records[key] = saved.record
        self._since = self._saved = time.monotonic()

    def train(self, commands: Callable[[], Iterable[Command]]) -> Iterator[Event]:
        for key, record in self._records.items():
            for row in record.epochs:
                yield _epoch(key, row)
        while self._training.live:
            for event in self._training.epoch():
                yield self._message(event)
            for command in commands():
                self._obey(command)
            due = time.monotonic() - self._saved >= self._place.checkpoint_seconds
            if due and not self._place.snapshots:
                self._save()
        for path in self._place.checkpoint_dir.glob(f"{self._name}.*safetensors"):
            path.unlink(missing_ok=True)

    def _obey(self, command: Command) -> None:
        match command:
            case Drop(run_keys=keys):
                self._training.drop(keys)
            case Join(runs=runs):
                assert not isinstance(self._training, Abreast)  # a search's cohort has one shape
                self._clock()
                self._records |= {run.run_key: self._new_record(run) for run in runs}
                self._training.add(members(runs))

    def _new_record(self, run: RunSpec) -> Record:
        return Record([], 0.0, [self._processor], code_of(run))

    def _message(self, event: trained.Event) -> Event:
        self._clock()
        record = self._records[event.key]
        match event:
            case trained.EpochEnd(key=key, epoch=epoch):
                record.epochs.append([epoch, *(getattr(event, name) for name in EPOCH_METRICS)])
                if self._place.snapshots:
                    kept = self._snapshots.setdefault(key, [])
                    kept.append(self._training.weights(key))
                return _epoch(key, record.epochs[-1])
            case trained.RunEnd(key=key, metrics=metrics, weights=weights, profile=profile):
                metrics = {**metrics, **self._origin, "seconds": record.seconds}
                kind = " then ".join(record.processors)
                files = (_saved(weights), self._film(key))
                return RunFinished(key, metrics, *files, profile, kind, record.code or "")
            case trained.RunFailed(key=key, reason=reason):
                return RunFailed(key, reason)

    def _film(self, key: str) -> bytes:
        """Returns the weights that a run had in each of its epochs, as a safetensors file."""
        epochs = self._snapshots.pop(key, [])
        if not epochs:
            return b""
        return _saved({name: torch.stack([e[name] for e in epochs]) for name in epochs[0]})

    def _clock(self) -> None:
        """Adds the time since the last call to all live runs."""
        now = time.monotonic()
        for key in self._training.live:
            self._records[key].seconds += now - self._since
        self._since = now

    def _save(self) -> None:
        self._clock()
        self._saved = time.monotonic()
        try:
            for index, state in enumerate(self._training.states()):
                path = self._place.checkpoint_dir / f"{self._name}.{index}.safetensors"
                checkpoint.write(path, state, self._records)
        except OSError as error:
            # Training goes on: a checkpoint saves time, it is no result.
            print(f"no checkpoint: {error}", file=sys.stderr)


def _saved(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Returns a safetensors file, which holds tensors of one memory layout only."""
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def _epoch(key: str, row: Sequence[float]) -> EpochEnded:
    return EpochEnded(key, int(row[0]), dict(zip(EPOCH_METRICS, row[1:], strict=True)))


def cohort_of(runs: Sequence[RunSpec]) -> Cohort:
    """Returns runs, which agree on all fields but `VARIES_IN_COHORT`, as `models` takes them."""
    return Cohort(**_shared(Cohort, runs[0]), runs=members(runs))


def image_cohort_of(runs: Sequence[RunSpec]) -> ImageCohort:
    """Returns runs of image models, likewise."""
    return ImageCohort(**_shared(ImageCohort, runs[0]), runs=members(runs))


def _shared(kind: type[Cohort | ImageCohort], run: RunSpec) -> dict[str, Any]:
    return {field.name: getattr(run, field.name) for field in fields(kind) if field.name != "runs"}


def members(runs: Sequence[RunSpec]) -> tuple[trained.Run, ...]:
    """Returns what differs between the runs of a cohort."""
    return tuple(
        trained.Run(key=run.run_key, **{field: getattr(run, field) for field in VARIES_IN_COHORT})
        for run in runs
    )
