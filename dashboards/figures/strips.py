"""Strip plots: every run a point, so that nothing hides behind a mean."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import distinct, looks_in, set_ticks, spans_decades
from mimsweep.dashboards.drawing.canvas import styled, wrapped
from mimsweep.dashboards.statistics.seeds import facets

_HEIGHT = 2.1  # of a panel, inches
_GROUP = 0.82  # of the distance between two values of x, for all hues together


@styled
def strips(frame: pd.DataFrame, x: str, hue: str, metrics: Sequence[str], title: str) -> Figure:
    """Draws each run as a point: a strip per value of `x` and `hue`, seeds from left to right.

    Args:
        frame: a row per complete run.
        x: the spec field of the horizontal axis.
        hue: the spec field that tells colours apart.
        metrics: the columns to draw, a panel each.
        title: of the figure.

    Raises:
        ValueError: there is no run.
    """
    if frame.empty:
        raise ValueError("there are no complete runs to draw")
    values, seeds = distinct(frame[x]), distinct(frame["seed"])
    looks = looks_in(frame, hue)
    columns = 1 if len(metrics) == 1 or len(values) > 12 else 2
    rows = -(-len(metrics) // columns)
    width = columns * max(3.2, 0.34 * len(values) * len(looks)) + 1.2
    figure = Figure(figsize=(min(width, 12), rows * _HEIGHT + 0.9))
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.05)
    figure.suptitle(wrapped(title, figure.get_figwidth() * 10), x=0.015, ha="left")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(metrics) :]:
        axes.set_visible(False)
    for axes, metric in zip(grid, metrics, strict=False):
        for index, (value, look) in enumerate(looks.items()):
            chosen = frame[frame[hue] == value]
            at = (index + 0.5) / len(looks) - 0.5
            _strip(axes, chosen, metric, _Place(x, values, seeds, at * _GROUP, len(looks)), look)
        shown = frame[metric].to_numpy(dtype=float)
        if style.metric(metric).log and spans_decades(shown[np.isfinite(shown)]):
            axes.set_yscale("log")
        set_ticks(axes, values, numeric=False)
        axes.grid(visible=False, axis="x")
        axes.set(xlabel=style.field(x), ylabel=style.metric(metric).label)
    handles = [
        Line2D([], [], color=k.colour, marker=k.marker, ls="none", ms=4, label=k.label)
        for k in looks.values()
    ]
    figure.legend(handles=handles, loc="outside right center", title=style.field(hue))
    caption = f"A point a run, in each strip by seed from left ({seeds[0]}) to right ({seeds[-1]})"
    more = facets(frame, x, hue)
    caption += f", of every {', '.join(more)}; bar: median." if more else "; bar: median."
    figure.supxlabel(
        wrapped(caption, figure.get_figwidth() * 16), fontsize=7.5, color=style.CAPTION_COLOUR
    )
    return figure


class _Place:
    """Where a run's point goes on the horizontal axis."""

    def __init__(
        self, x: str, values: list[Any], seeds: list[Any], offset: float, hues: int
    ) -> None:
        self.x = x
        self.width = _GROUP / hues * 0.8
        self.offset = offset
        self._centre = {value: index + offset for index, value in enumerate(values)}
        self._shift = {
            seed: self.width * ((i + 0.5) / len(seeds) - 0.5) for i, seed in enumerate(seeds)
        }

    def of(self, value: object, seed: object) -> float:
        return self._centre[value] + self._shift[seed]

    def bar(self, value: object) -> tuple[float, float]:
        return self._centre[value] - self.width / 2, self._centre[value] + self.width / 2


def _strip(axes: Axes, runs: pd.DataFrame, metric: str, place: _Place, look: style.Look) -> None:
    finite = runs[np.isfinite(runs[metric].to_numpy(dtype=float))]
    at = [place.of(v, seed) for v, seed in zip(finite[place.x], finite["seed"], strict=True)]
    axes.plot(
        at, finite[metric], look.marker, color=look.colour, ms=3.2, alpha=0.75, mew=0, ls="none"
    )
    medians = finite.groupby(place.x)[metric].median()
    bars = [place.bar(value) for value in medians.index]
    left, right = zip(*bars, strict=True) if bars else ((), ())
    axes.hlines(medians, left, right, color=look.colour, lw=1.3)
