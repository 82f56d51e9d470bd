"""What the figures of a search are made of: panels, axes, marks, and what was searched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import is_number, set_ticks
from mimsweep.dashboards.drawing.canvas import wrapped
from mimsweep.dashboards.search.table import Objective

TRIAL, BEST, FAINT, DEFAULT = "#0072B2", "#D55E00", "#9AA5B1", "#444444"

_PANEL = (3.6, 2.7)  # inches, width and height
_TEXT_HEIGHT = 0.95  # title and caption together


@dataclass(frozen=True)
class Search:
    """What was searched.

    Attributes:
        name: for the titles.
        description: for the captions.
        objectives: what for.
        fields: of the space, and whether each is searched by its logarithm.
        default: the point at which each field has its default, if the space has it.
        importances: of each objective's metric, how much each field matters, the sum 1.
    """

    name: str
    description: str
    objectives: Sequence[Objective]
    fields: Mapping[str, bool]
    default: Mapping[str, Any] | None
    importances: Mapping[str, Mapping[str, float]]


Draw = Callable[[Axes], None]


def figure(
    title: str,
    search: Search,
    caption: str,
    rows: Sequence[Sequence[Draw]],
    handles: Sequence[Line2D] = (),
) -> Figure:
    """Returns a figure of panels, each drawn by its function, with one legend for all."""
    columns = max(map(len, rows))
    width = columns * _PANEL[0] + 0.3
    figure = Figure(figsize=(width, len(rows) * _PANEL[1] + _TEXT_HEIGHT))
    figure.set_layout_engine("constrained", w_pad=0.07, h_pad=0.06)
    figure.suptitle(wrapped(f"{search.name}: {title}", width * 10), x=0.015, ha="left")
    for row, panels in enumerate(rows):
        for column, draw in enumerate(panels):
            draw(figure.add_subplot(len(rows), columns, row * columns + column + 1))
    if handles:
        # Above the first panel: over the figure it would lie on the title.
        figure.axes[0].legend(
            handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=len(handles),
            handletextpad=0.4, columnspacing=1.2, borderaxespad=0.1, borderpad=0.2,
        )  # fmt: skip
    texts = [wrapped(text, width * 16) for text in (search.description, caption) if text]
    figure.supxlabel("\n".join(texts), fontsize=7.5, color=style.CAPTION_COLOUR)
    return figure


def places(values: "pd.Series[Any]") -> Callable[["pd.Series[Any]"], np.ndarray[Any, Any]]:
    """Returns where values of a field are on its axis: numbers where they are, else in a row."""
    if is_number(values):
        return lambda some: some.to_numpy(dtype=float)
    order = {value: index for index, value in enumerate(_ordered(values))}
    return lambda some: np.array([order.get(value, np.nan) for value in some], dtype=float)


def rug(axes: Axes, trials: pd.DataFrame, at: Any) -> None:  # noqa: ANN401
    """Marks, at the foot, where the trials without a value are."""
    missing = (trials["state"] != "complete").to_numpy()
    axes.plot(
        np.asarray(at)[missing], np.full(missing.sum(), 0.02), "|", color=DEFAULT, ms=7, mew=1.2,
        transform=axes.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip


def metric_axis(axes: Axes, objective: Objective, values: "pd.Series[float]") -> None:
    """Sets scale and label of the vertical axis."""
    finite = values[np.isfinite(values)]
    by_decades = len(finite) and finite.min() > 0 and finite.max() > 10 * finite.min()
    if by_decades and style.metric(objective.metric).log:
        axes.set_yscale("log")
    axes.set_ylabel(label(objective))


def label(objective: Objective) -> str:
    """Returns the axis label of an objective: its unit, and which way is better."""
    better = "more" if objective.maximize else "less"
    return f"{style.metric(objective.metric).label}, {better} is better"


def field_axis(axes: Axes, search: Search, field: str, values: "pd.Series[Any]") -> None:
    """Sets scale, ticks and label of the horizontal axis."""
    if is_number(values) and search.fields[field]:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        set_ticks(axes, _ordered(values), is_number(values))
    axes.set_xlabel(style.field(field))


def _ordered(values: "pd.Series[Any]") -> list[Any]:
    return sorted(set(values), key=None if is_number(values) else str)


def default_line(label: str = "", axes: Axes | None = None, at: float = 0.0) -> Line2D:
    """Returns the line that marks the default, for the legend, or drawn at a place of an axis."""
    look: Any = {"color": DEFAULT, "lw": 1, "ls": (0, (4, 2)), "zorder": 1.5}
    return axes.axvline(at, **look) if axes else Line2D([], [], label=label, **look)


def dot(
    colour: str, label: str, marker: str = "o", size: float = 5, *, hollow: bool = False
) -> Line2D:
    """Returns a mark for the legend."""
    return Line2D(
        [], [], ls="none", marker=marker, ms=size, color=colour, label=label,
        mec=colour if hollow else "white", mfc="none" if hollow else colour,
    )  # fmt: skip
