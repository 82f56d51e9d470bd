"""Stored weights to the arrays that pictures of what was learned are drawn from.

Imports torch and `models` inside its functions: who only reads tables needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimsweep.dashboards.figures.images import ImageScene
from mimsweep.dashboards.figures.latent import Scene
from mimsweep.orchestrator.files.spec import RunSpec

if TYPE_CHECKING:
    from torch import Tensor

POINTS = 200
"""Test points in a picture, as in the study."""

X_LIMIT, Z_LIMIT = 2.0, 3.0
"""Half the widths of the two spaces shown, as in the study."""

_LEVEL_STEP = 0.025  # of the grid of P(x); the study's 0.1 makes letters of 0.06 jagged
_SAMPLE_STEP = 0.1  # of the grid of z that samples of p(x|z) are drawn at

Weights = Mapping[str, "Tensor"]


def drawable(run: RunSpec) -> bool:
    """Returns whether both spaces of a run are planes."""
    return run.z_dim == 2 and run.data_dim == 2


def load_weights(content: bytes) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file, all of them finite."""
    from safetensors.torch import load

    from mimsweep.models.layout import require_finite

    weights = load(content)
    require_finite(weights)
    return weights


def snapshot(weights: Weights, epoch: int) -> dict[str, Tensor]:
    """Returns the weights of one epoch, from 1, of those stored of every epoch."""
    return {name: tensor[epoch - 1] for name, tensor in weights.items()}


def scene(run: RunSpec, weights: Weights) -> Scene:
    """Returns what is drawn of a run: test points, their latents and reconstructions, P(x).

    Points and noise depend on the data set and the seed alone, so that pictures of several models,
    or epochs, show the same points.

    Args:
        run: with a latent and data of two dimensions.
        weights: its own, by name.

    Raises:
        ValueError: they are not those of such a run.
    """
    import torch

    from mimsweep.models.densities.mixture import mean_and_scale
    from mimsweep.models.streams import generator
    from mimsweep.models.training.learned import learned
    from mimsweep.orchestrator.engines.training import cohort_of, plain_data_of

    data = plain_data_of(run, Path())
    trained = learned(cohort_of([run]), data, weights)
    model, stack = trained.model, trained.weights
    with torch.no_grad():
        x = data.draw("final", run.seed, 0)[0][:POINTS][None]
        noise = torch.randn(2, 1, POINTS, 2, generator=generator("picture", run.seed))
        uniform = torch.rand(2, 1, POINTS, 1, generator=generator("picture", "choice", run.seed))
        noise, uniform = noise[:, :, : x.shape[1]], uniform[:, :, : x.shape[1]]
        z_noise, x_noise = (
            torch.cat([normals, u], -1) if name in model.choices else normals
            for name, normals, u in zip(("z", "x"), noise, uniform, strict=True)
        )
        q_z = model.encode(stack, x)
        reconstructed = model.decode(stack, q_z.sample(z_noise)).sample(x_noise)
        z_mean, z_scale = mean_and_scale(q_z)
        z = _plane(Z_LIMIT, _SAMPLE_STEP)
        source = generator("picture", "samples", run.seed)
        noise = torch.randn(z.shape, generator=source)[None]
        if "x" in model.choices:
            noise = torch.cat([noise, torch.rand(1, len(z), 1, generator=source)], -1)
        samples = model.decode(stack, z[None]).sample(noise)[0]
        axis = _axis(X_LIMIT, _LEVEL_STEP)
        log_p_x = data.log_prob(_plane(X_LIMIT, _LEVEL_STEP).double())
    return Scene(
        axis=axis,
        log_p_x=None if log_p_x is None else log_p_x.reshape(len(axis), -1).numpy(),
        reconstructed=reconstructed[0].numpy(),
        z_mean=z_mean[0].numpy(),
        z_scale=z_scale[0].numpy(),
        grid_z=z.numpy(),
        samples=samples.numpy(),
    )


def chosen(values: Sequence[object]) -> list[object]:
    """Returns up to three of the swept values: the first, the second and the last.

    Of the published widths 5, 20, 50 … 500 these are the ones that the study shows.
    """
    return list(values) if len(values) <= 3 else [values[0], values[1], values[-1]]


def _axis(limit: float, step: float) -> np.ndarray:
    return np.linspace(-limit, limit, round(2 * limit / step) + 1)


def _plane(limit: float, step: float) -> Tensor:
    """Returns the points of a square grid, row by row from below, with shape (N, 2)."""
    import torch

    axis = torch.from_numpy(_axis(limit, step)).float()
    second, first = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([first.ravel(), second.ravel()], dim=1)


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
    from mimsweep.models.data.binarised import load_images
    from mimsweep.models.measures.pictures import pictures
    from mimsweep.models.nets.gated import SIDE
    from mimsweep.orchestrator.engines.training import image_cohort_of

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
