"""Stored weights of image models to the arrays that their pictures are drawn from.

Imports torch and `models` inside its functions: who only reads tables needs neither.
"""

from __future__ import annotations

from pathlib import Path

from dashboards.images import ImageScene
from orchestrator.latent import Weights
from orchestrator.spec import RunSpec

SHOWN, LATENTS = 64, 1000
"""Images of a kind in a picture; test images in the plane of latents."""


def image_scene(run: RunSpec, weights: Weights, data_dir: Path) -> ImageScene:
    """Returns what is drawn of a run of images.

    Test images are the first; noise depends on the seed alone.

    Args:
        run: of an image model.
        weights: its own, by name.
        data_dir: where data sets are.

    Raises:
        DataError: the images are not there.
    """
    from models.fashion import SIDE
    from models.image_data import load_images
    from models.image_pictures import pictures
    from orchestrator.engines.training import image_cohort_of

    architecture = image_cohort_of([run]).architecture
    images = load_images(run.dataset, data_dir, run.train_items, run.test_items)
    drawn = pictures(architecture, weights, images, run.seed, SHOWN, LATENTS)
    test, reconstructed, samples, pseudo_inputs = (
        part.reshape(len(part), SIDE, SIDE).numpy()
        for part in (drawn.test, drawn.reconstructions, drawn.samples, drawn.pseudo_inputs)
    )
    return ImageScene(
        test, reconstructed, samples, pseudo_inputs, drawn.embedding.numpy(), drawn.labels.numpy()
    )
