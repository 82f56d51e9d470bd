"""Pictures of what models of two dimensions have learned: data space above, latent space below."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.canvas import styled, wrapped

_LEAST_SCALE = 0.01  # an ellipse is drawn no smaller
_LEVELS = 6
_MANY = 12
_Z_LIMIT = 3.0
_PANEL = 1.75  # inches

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Scene:
    """One model in its two planes; N test points.

    Attributes:
        axis: coordinates of the grid of P(x), the same in both directions.
        log_p_x: log P(x) on it, row by row from below; None if it is not known.
        reconstructed: x̂ with shape (N, 2).
        z_mean: of q(z|x), with shape (N, 2).
        z_scale: σ of q(z|x), with shape (N, 2).
        grid_z: points of the latent plane, with shape (M, 2).
        samples: x ~ p(x|z) at these, with shape (M, 2).
    """

    axis: Array
    log_p_x: Array | None
    reconstructed: Array
    z_mean: Array
    z_scale: Array
    grid_z: Array
    samples: Array


Column = tuple[str, str]
"""A heading, and the one below it."""


@styled
def latent_figure(scenes: Mapping[Column, Scene], title: str, description: str = "") -> Figure:
    """Draws scenes side by side: level sets of P(x) and reconstructions over q(z|x) and P(z).

    Args:
        scenes: by heading, from left to right.
        title: of the figure.
        description: below it.
    """
    stage = Stage(scenes, title, description)
    stage.show(list(scenes.values()))
    return stage.figure


class Stage:
    """The frame of a latent picture, in which scenes can be shown one after the other.

    Attributes:
        figure: what is drawn on.
    """

    def __init__(self, scenes: Mapping[Column, Scene], title: str, description: str) -> None:
        """Draws what stays: headings, axes and P(x) of `scenes`, the circle of P(z)."""
        self.figure, self._axes = _canvas(scenes, 2, title)
        self._moving: list[Artist] = []
        self._note = self.figure.text(0.985, 0.985, "", ha="right", va="top", fontsize=9)
        for column, (heading, scene) in enumerate(scenes.items()):
            above, below = self._axes[0][column], self._axes[1][column]
            above.set_title("\n".join(filter(None, heading)))
            _levels(above, scene)
            _frame(above, float(scene.axis[-1]))
            circle = Circle((0, 0), 1.0, fill=False, ls=(0, (4, 2)), ec="#000000", lw=0.9, zorder=4)
            below.add_patch(circle)
            _frame(below, _Z_LIMIT)
        _label(self._axes[0], "x")
        _label(self._axes[1], "z")
        _legend(self.figure)
        caption = (
            "Above: level sets of P(x), and reconstructed test points. Below: q(z|x) of the same "
            "points, an ellipse of one standard deviation each, and that of P(z)."
        )
        _caption(self.figure, description, caption)

    def show(self, scenes: Sequence[Scene]) -> None:
        """Puts reconstructions and q(z|x) in the place of those shown before."""
        for artist in self._moving:
            artist.remove()
        self._moving = []
        for column, scene in enumerate(scenes):
            x = scene.reconstructed
            points = self._axes[0][column].plot(
                x[:, 0], x[:, 1], ".", color=style.RECONSTRUCTED, ms=2.8, mew=0, alpha=0.85,
                zorder=3,
            )  # fmt: skip
            ellipses = _ellipses(self._axes[1][column], scene)
            self._axes[1][column].add_collection(ellipses, autolim=False)
            self._moving += [*points, ellipses]

    def freeze(self) -> None:
        """Keeps everything where it is, whatever is shown next."""
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def note(self, text: str) -> None:
        """Writes into the corner."""
        self._note.set_text(text)


@styled
def samples_figure(scenes: Mapping[Column, Scene], title: str, description: str = "") -> Figure:
    """Draws samples of p(x|z) for z on a grid, each in the colour of its z; the key comes first."""
    figure, (row,) = _canvas([*scenes, ("", "")], 1, title, share=False)
    key, *above = row
    first = next(iter(scenes.values()))
    key.set_title("latent plane")
    _coloured(key, first.grid_z, first.grid_z)
    _frame(key, _Z_LIMIT)
    key.set(xlabel="z₁", ylabel="z₂")
    for axes, (heading, scene) in zip(above, scenes.items(), strict=True):
        axes.set_title("\n".join(filter(None, heading)))
        _levels(axes, scene)
        _coloured(axes, scene.samples, scene.grid_z)
        _frame(axes, float(scene.axis[-1]))
        axes.set(xlabel="x₁", ylabel="x₂")
    caption = "A sample of p(x|z) for each z of the latent plane, in its colour, over P(x)."
    _caption(figure, description, caption)
    return figure


def _coloured(axes: Axes, points: Array, z: Array) -> None:
    # As an image also in vector files: thousands of points would make them slow.
    axes.scatter(points[:, 0], points[:, 1], c=_colours(z), s=2.2, lw=0, zorder=3, rasterized=True)


def _ellipses(axes: Axes, scene: Scene) -> EllipseCollection:
    """Returns q(z|x) of each test point, an ellipse of one standard deviation.

    As dots, in SVG too: two hundred paths for each model would make half a report's size.
    """
    widths = 2 * np.maximum(scene.z_scale, _LEAST_SCALE)
    return EllipseCollection(
        widths[:, 0], widths[:, 1], np.zeros(len(widths)), units="xy", offsets=scene.z_mean,
        offset_transform=axes.transData, facecolors="none", edgecolors=style.POSTERIOR,
        linewidths=0.5, alpha=0.55, zorder=3, rasterized=True,
    )  # fmt: skip


def _legend(figure: Figure) -> None:
    """Says on a figure what its marks are."""
    handles = [
        Line2D([], [], color="#000000", lw=0.8, label="P(x)"),
        Line2D([], [], color=style.RECONSTRUCTED, marker=".", ls="none", label="reconstructed"),
        Line2D(
            [], [], color=style.POSTERIOR, marker="o", mfc="none", ls="none", ms=6, label="q(z|x)"
        ),
        Line2D([], [], color="#000000", lw=0.9, ls=(0, (4, 2)), label="P(z)"),
    ]
    figure.legend(handles=handles, loc="outside right center")


def _levels(axes: Axes, scene: Scene) -> None:
    if scene.log_p_x is None:
        return
    # In equal steps of the density's square root: the tails of a mode show as well as its top.
    density = np.exp(scene.log_p_x / 2)
    modes = int(((maximum_filter(density, 3) == density) & (density > density.max() / 2)).sum())
    # Of many modes, the pixels of a text, only an outline: more lines would hide the points.
    shares = np.array([0.4]) if modes > _MANY else np.arange(1, _LEVELS + 1) / (_LEVELS + 1)
    levels = density.max() * shares
    axes.contour(
        scene.axis, scene.axis, density, levels, colors="#000000", linewidths=0.5, zorder=2
    )


def _frame(axes: Axes, limit: float) -> None:
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    ticks = FixedLocator([-limit, 0, limit])
    axes.xaxis.set_major_locator(ticks)
    axes.yaxis.set_major_locator(ticks)
    axes.grid(visible=False)


def _canvas(
    columns: Collection[Column], rows: int, title: str, share: bool = True
) -> tuple[Figure, Sequence[Sequence[Axes]]]:
    count = len(columns)
    figure = Figure(figsize=(max(3.6, count * _PANEL + 1.5), rows * _PANEL + 1.25))
    figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.04)
    figure.suptitle(wrapped(title, figure.get_figwidth() * 10), x=0.015, ha="left")
    how: Literal["row", "none"] = "row" if share else "none"
    grid = figure.subplots(rows, count, squeeze=False, sharex=how, sharey=how)
    return figure, grid.tolist()


def _label(row: Sequence[Axes], name: str) -> None:
    row[0].set_ylabel(f"{name}₂")
    for axes in row:
        axes.set_xlabel(f"{name}₁", labelpad=1)


def _caption(figure: Figure, *texts: str) -> None:
    width = figure.get_figwidth() * 16
    lines = "\n".join(wrapped(text, width) for text in texts if text)
    figure.supxlabel(lines, fontsize=7.5, color=style.CAPTION_COLOUR)


def _colours(z: Array) -> Array:
    """Returns a colour for each point of the plane: its angle as hue, its distance as strength."""
    angle, radius = np.arctan2(z[:, 1], z[:, 0]), np.hypot(z[:, 0], z[:, 1])
    strength = np.clip(radius / max(radius.max(), 1e-9) * 1.4, 0, 1)
    colours = hsv_to_rgb(
        np.stack([(angle / (2 * np.pi)) % 1.0, strength, 0.45 + 0.4 * strength], axis=1)
    )
    return np.asarray(colours)
