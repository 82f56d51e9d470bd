"""A complete run's model, from the weights in the store, and the items that it was measured on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mimsweep.orchestrator.errors import MissingError, SpecError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.showing.learned.scenes import load_weights
from mimsweep.orchestrator.tracking.artifacts import read_artifact
from mimsweep.orchestrator.tracking.runs import WEIGHTS
from mimsweep.orchestrator.tracking.writer import Tracking

if TYPE_CHECKING:
    from torch import Tensor

    from mimsweep.models.data.base import DataSet
    from mimsweep.models.training.images.learned import LearnedImages
    from mimsweep.models.training.learned import Learned


def stored_model(sweep: str, run: RunSpec, uri: str, data_dir: Path) -> Learned | LearnedImages:
    """Returns what a run has learned, by the weights of its best epoch.

    Args:
        sweep: the name of its sweep.
        run: of which the store has a complete run.
        uri: the store's.
        data_dir: where data sets are.

    Raises:
        MissingError: the run is not complete, or its weights are not there or can't be used.
        SpecError: its data set is missing.
        TrackingError: the store can't be read.
    """
    store = Tracking(uri, create=False).require()
    complete = store.complete(sweep)
    run_id = complete.get(run.key_among(complete))
    if run_id is None:
        raise MissingError(f"{run.run_name} is not complete: it has no weights yet")
    store.require_artifacts(sweep)
    data = None if run.of_images else _data(run, data_dir)
    try:
        return read_artifact(store, run_id, WEIGHTS, lambda content: _learned(run, data, content))
    except MissingError as error:
        raise MissingError(f"{run.run_name} (MLflow run {run_id}): {error}") from error


def _learned(run: RunSpec, data: DataSet | None, content: bytes) -> Learned | LearnedImages:
    from mimsweep.models.training.images.learned import learned_images
    from mimsweep.models.training.learned import learned
    from mimsweep.orchestrator.engines.training import cohort_of, image_cohort_of

    weights = load_weights(content)
    if data is None:
        return learned_images(image_cohort_of([run]), weights)
    return learned(cohort_of([run]), data, weights)


def final_items(run: RunSpec, data_dir: Path) -> tuple[Tensor, Tensor]:
    """Returns the test items of the end, with shape (N, D), float32, and their labels, (N,).

    They are in whole minibatches: the rest is not measured either.

    Raises:
        SpecError: the data set is missing.
    """
    from mimsweep.models import settings
    from mimsweep.models.data.binarised import load_images
    from mimsweep.models.registry import users_code

    if run.of_images:
        with users_code(SpecError):
            images = load_images(run.dataset, data_dir, run.train_items, run.test_items)
        return images.test.float(), images.test_labels
    data = _data(run, data_dir)
    with users_code(SpecError), settings.ours():
        x, labels = data.draw("final", run.seed, 0)
    count = len(x) // run.batch_size * run.batch_size
    return x[:count], labels[:count]


def _data(run: RunSpec, data_dir: Path) -> DataSet:
    from mimsweep.models.registry import users_code
    from mimsweep.orchestrator.engines.training import plain_data_of

    with users_code(SpecError):
        return plain_data_of(run, data_dir)
