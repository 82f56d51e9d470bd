"""Pictures of what models of images have learned: reconstructions, samples, latents by class."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.canvas import styled, wrapped
from mimsweep.dashboards.figures.latent import Column

_COLUMNS = 8  # images beside each other
_ROWS = 8
_PANEL = 2.3  # inches
_GAP = 2  # pixels between images
_PAPER = 1.0  # what is between images is white
_TITLES = ("test over reconstruction", "samples", "pseudo-inputs", "t-SNE of (z₁, z₂)")
_FEW = 10  # classes that a legend can name

Array = NDArray[np.floating]


@dataclass(frozen=True)
class ImageScene:
    """One model; images have values in [0, 1].

    Attributes:
        images: of the test set, with shape (N, H, W).
        reconstructed: the same by the model, with shape (N, H, W).
        samples: of the model, with shape (M, H, W).
        pseudo_inputs: of its VampPrior, with shape (K, H, W); K is 0 without one.
        plane: the latents of test images in two dimensions, with shape (P, 2).
        labels: of these, with shape (P,).
    """

    images: Array
    reconstructed: Array
    samples: Array
    pseudo_inputs: Array
    plane: Array
    labels: NDArray[np.integer]


@styled
def images_figure(scenes: Mapping[Column, ImageScene], title: str, description: str = "") -> Figure:
    """Draws a row a model: test images over reconstructions, samples, pseudo-inputs, latents.

    Args:
        scenes: by heading, from above; all of one data set.
        title: of the figure.
        description: below it.
    """
    figure = Figure(figsize=(4 * _PANEL + 1.6, len(scenes) * _PANEL + 1.1))
    figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.04)
    figure.suptitle(wrapped(title, figure.get_figwidth() * 10), x=0.015, ha="left")
    grid = figure.subplots(len(scenes), 4, squeeze=False)
    classes = np.unique(np.concatenate([scene.labels for scene in scenes.values()]))
    for row, (heading, scene) in zip(grid, scenes.items(), strict=True):
        _tiles(row[0], _paired(scene.images, scene.reconstructed))
        row[0].set_ylabel("\n".join(filter(None, heading)))
        _tiles(row[1], scene.samples)
        _tiles(row[2], scene.pseudo_inputs)
        _latents(row[3], scene, classes)
    for axes, text in zip(grid[0], _TITLES, strict=True):
        axes.set_title(text)
    caption = (
        "Reconstructions and samples of convolutional decoders are means, those of pixel decoders "
        "bits. Colours of latents: classes of the test images"
    )
    if len(classes) <= _FEW:
        handles = [
            Line2D([], [], color=_colour(index, len(classes)), marker="o", ls="none", label=str(c))
            for index, c in enumerate(classes)
        ]
        figure.legend(handles=handles, loc="outside right upper", title="class")
    else:
        caption += f" ({len(classes)} of them)"
    texts = [wrapped(text, figure.get_figwidth() * 16) for text in (description, f"{caption}.")]
    figure.supxlabel("\n".join(filter(None, texts)), fontsize=7.5, color=style.CAPTION_COLOUR)
    return figure


def _paired(images: Array, reconstructed: Array) -> Array:
    """Returns rows of images, each followed by the row of their reconstructions."""
    count = _COLUMNS * _ROWS // 2
    rows = [part[:count].reshape(-1, _COLUMNS, *part.shape[1:]) for part in (images, reconstructed)]
    return np.stack(rows, axis=1).reshape(-1, *images.shape[1:])


def _tiles(axes: Axes, images: Array) -> None:
    """Shows images in a grid, row by row; of too few, the rest of it stays empty."""
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if not len(images):
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes)
        return
    height, width = images.shape[1] + _GAP, images.shape[2] + _GAP
    sheet = np.full((_ROWS * height - _GAP, _COLUMNS * width - _GAP), _PAPER)
    for index, image in enumerate(images[: _ROWS * _COLUMNS]):
        top, left = index // _COLUMNS * height, index % _COLUMNS * width
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _latents(axes: Axes, scene: ImageScene, classes: NDArray[np.integer]) -> None:
    index = np.searchsorted(classes, scene.labels)
    colours = [_colour(i, len(classes)) for i in index]
    # As an image also in vector files: thousands of points would make them slow.
    axes.scatter(
        scene.plane[:, 0], scene.plane[:, 1], c=colours, s=5, lw=0, alpha=0.8, rasterized=True
    )
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    axes.set_box_aspect(1)


def _colour(index: int, classes: int) -> str:
    if classes <= _FEW:
        return to_hex(colormaps["tab10"](index))
    return to_hex(colormaps["turbo"](index / (classes - 1)))
