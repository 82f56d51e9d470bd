"""Measures a trained run anew, from its stored weights, as its training did."""

from safetensors.torch import load
from torch import Tensor

from mimsweep.models import registry, settings
from mimsweep.models.data.binarised import load_images
from mimsweep.models.layout import require_finite
from mimsweep.models.measures.collapse import Measured
from mimsweep.models.training.cohort import measure
from mimsweep.models.training.images.cohort import measure_images
from mimsweep.orchestrator.engines.base import Place
from mimsweep.orchestrator.engines.training import cohort_of, data_of, image_cohort_of, origin
from mimsweep.orchestrator.files.spec import RunSpec


def measured(run: RunSpec, weights: bytes, place: Place) -> Measured:
    """Returns what is measured of a run in the end, to the digit as a worker measures it.

    Args:
        run: of which all is to be measured.
        weights: content of its safetensors file.
        place: where.
    """
    registry.load()
    with settings.ours():
        return _measured(run, load(weights), place)


def _measured(run: RunSpec, tensors: dict[str, Tensor], place: Place) -> Measured:
    require_finite(tensors)
    if not run.of_images:
        return measure(cohort_of([run]), data_of(run, place), tensors, place.device)
    images = load_images(run.dataset, place.data_dir, run.train_items, run.test_items)
    cohort = image_cohort_of([run])
    found = measure_images(cohort, images, tensors, place.device)
    return Measured(found.metrics | origin(run, images), found.profile)
