"""The plane of rate and distortion (Alemi et al. 2018, arXiv 1711.00464): how an ELBO is spent."""

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import distinct, is_number, looks_in
from mimsweep.dashboards.drawing.canvas import styled, wrapped
from mimsweep.dashboards.statistics.seeds import facets
from mimsweep.dashboards.statistics.wording import MINUS

_AXES = ["rate", "distortion"]
_SIZE = (7.4, 4.4)  # inches
_SIZES = (4.0, 8.5)  # of the markers of the first and the last x, points
_FAR = 20.0  # times the largest of nine runs in ten: beyond it a run is left out of the axes
_LEAST = 0.5  # margin of the axes, nats
_LINES = 7  # of equal ELBO, about
_SHORT = 0.16  # share of the width or height that a line must cross to get a number
_PLACES = np.linspace(0.8, 0.08, 10)  # along such a line where the number may be, the best first
_CLEAR = 0.13  # share of the axes that is enough between a number and a mean
_TEXT = 0.1  # share of the width that a label takes
_APART = (0.1, 0.045)  # shares of width and height that keep two labels apart


@styled
def rate_distortion(frame: pd.DataFrame, x: str, hue: str, title: str) -> Figure | None:
    """Draws each run faintly and each mean over seeds, on lines of equal ELBO.

    Args:
        frame: a row per complete run.
        x: the spec field whose values are joined in order.
        hue: the spec field that tells colours apart.
        title: of the figure.

    Returns:
        None where no run has both a rate and a distortion.
    """
    if not {*_AXES} <= {*frame.columns}:
        return None
    runs = frame[np.isfinite(frame[_AXES].to_numpy(dtype=float)).all(axis=1)]
    if runs.empty:
        return None
    groups = [*facets(runs, x, hue), hue, x]
    means = runs.groupby(groups, dropna=False)[_AXES].mean().reset_index()
    looks = {v: look for v, look in looks_in(frame, hue).items() if v in runs[hue].unique()}
    figure = Figure(figsize=_SIZE)
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.05)
    figure.suptitle(wrapped(title, _SIZE[0] * 10), x=0.015, ha="left")
    axes = figure.subplots()
    axes.set(xlim=_limits(runs["rate"]), ylim=_limits(runs["distortion"]))
    inside = _inside(axes, means)
    axes.grid(visible=False)
    _draw_elbos(axes, means[inside])
    sizes = dict(zip(values := distinct(runs[x]), np.linspace(*_SIZES, len(values)), strict=True))
    for value, look in looks.items():
        own = runs[runs[hue] == value]
        axes.plot(
            own["rate"], own["distortion"], look.marker, color=look.colour, ms=2.4, mew=0,
            alpha=0.3, ls="none", gid="runs",
        )  # fmt: skip
    numeric = is_number(runs[x])
    for value, line in _lines(means[inside], groups[:-1]):
        _draw_line(axes, line, looks[value], x, sizes if numeric else {})
    _label(axes, means[inside], groups, numeric)
    axes.set(xlabel=style.metric("rate").label, ylabel=style.metric("distortion").label)
    handles = [
        Line2D([], [], color=k.colour, marker=k.marker, ls="none", ms=5, label=k.label)
        for k in looks.values()
    ]
    figure.legend(handles=handles, loc="outside right center", title=style.field(hue))
    more = f" larger: of larger {x};" if numeric and len(values) > 1 else ""
    caption = f"Means over seeds;{more} faint: every run. Grey: equal ELBO (nats)."
    if not inside.all():
        caption += f" Beyond the axes: {(~inside).sum()} of {len(means)} means."
    figure.supxlabel(wrapped(caption, _SIZE[0] * 16), fontsize=7.5, color=style.CAPTION_COLOUR)
    return figure


def _limits(values: "pd.Series[float]") -> tuple[float, float]:
    """Returns limits of an axis in nats: of all runs but those that are off by magnitudes."""
    sizes = values.abs()
    most = float(np.quantile(sizes, 0.9, method="lower"))
    shown = values[sizes <= _FAR * max(most, 1.0)]
    low, high = float(shown.min()), float(shown.max())
    margin = max(0.1 * (high - low), _LEAST)
    return low - margin, high + margin


def _inside(axes: Axes, means: pd.DataFrame) -> "pd.Series[bool]":
    wide = means["rate"].between(*axes.get_xlim())
    return wide & means["distortion"].between(*axes.get_ylim())


def _draw_elbos(axes: Axes, means: pd.DataFrame) -> None:
    """Draws lines of equal rate + distortion, with the ELBO, its negative, clear of the means."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    size, corner = np.array([right - left, top - bottom]), np.array([left, bottom])
    marks = (means[_AXES].to_numpy() - corner) / size
    marks = np.concatenate([marks, marks + np.array([_TEXT, 0])])  # and where their labels end
    for total in MaxNLocator(_LINES).tick_values(left + bottom, right + top):
        start, end = max(left, total - top), min(right, total - bottom)
        if start >= end:
            continue
        axes.plot(
            [start, end], [total - start, total - end], color="#9A9A9A", lw=0.6, zorder=1,
            gid="elbo",
        )  # fmt: skip
        if ((end - start) / size < _SHORT).any():
            continue
        along = start + (end - start) * _PLACES
        places = (np.stack([along, total - along], axis=1) - corner) / size
        free = np.linalg.norm(places[:, None] - marks, axis=2).min(axis=1)
        at = along[np.argmax(free.clip(max=_CLEAR))]
        axes.text(
            at, total - at, f"ELBO {0.0 - total:g}".replace("-", MINUS), fontsize=6.5,
            rotation=-45, rotation_mode="anchor", transform_rotates_text=True, ha="center",
            va="center", zorder=1.1, color=style.CAPTION_COLOUR,
            bbox={"fc": "white", "ec": "none", "pad": 0.8},
        )  # fmt: skip


def _lines(means: pd.DataFrame, fields: list[str]) -> Iterator[tuple[Hashable, pd.DataFrame]]:
    """Yields the value of hue, the last of `fields`, and the means that differ in x alone."""
    for values, line in means.groupby(fields, dropna=False):
        yield values[-1], line


def _draw_line(
    axes: Axes, line: pd.DataFrame, look: style.Look, x: str, sizes: dict[Any, float]
) -> None:
    """Draws the means of one line, joined and growing with x where it is a number."""
    if sizes:
        axes.plot(
            line["rate"], line["distortion"], color=look.colour, lw=0.9, alpha=0.7,
            ls=(0, look.dashes) if look.dashes else "-", gid="joined",
        )  # fmt: skip
    for row in line.to_dict("records"):
        axes.plot(
            row["rate"], row["distortion"], look.marker, color=look.colour, mec="white", mew=0.6,
            ms=sizes.get(row[x], sum(_SIZES) / 2), zorder=3, gid="mean",
        )  # fmt: skip


def _label(axes: Axes, means: pd.DataFrame, groups: list[str], numeric: bool) -> None:
    """Writes x beside the ends of each line, or each category; those of one place in one text."""
    x = groups[-1]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    apart = np.array([right - left, top - bottom]) * _APART
    labels: list[tuple[NDArray[np.float64], dict[str, None]]] = []
    for _, line in _lines(means, groups[:-1]):
        shown = line.iloc[[0, -1]] if numeric else line
        for row in shown.to_dict("records"):
            point = np.array([row[name] for name in _AXES])
            near = (texts for place, texts in labels if (np.abs(place - point) < apart).all())
            texts = next(near, None)
            if texts is None:
                labels.append((point, texts := {}))
            texts[style.value(row[x])] = None
    for point, texts in labels:
        axes.annotate(
            f"{x} = {', '.join(texts)}" if numeric else ", ".join(texts), (point[0], point[1]),
            (7, 0), textcoords="offset points", fontsize=7, va="center", zorder=5,
        )  # fmt: skip
