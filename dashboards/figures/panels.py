"""A panel per value of x, evenly spaced ones of many: what they show is asked run by run."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.canvas import wrapped
from mimsweep.dashboards.statistics.seeds import facets

_PANEL = (2.35, 1.9)  # inches, width and height
_PANELS = (4, 6)  # where there are many: at least, and at most
_RUNS = 200  # that are asked for, about: a server gives one a call

Panel = dict[Any, Any]
"""Fields and their values."""


def runs_drawn(frame: pd.DataFrame, x: str, hue: str) -> list[str]:
    """Returns the `run_id` of the runs that the panels show: not all of many."""
    fields = panel_fields(frame, x, hue)
    return frame.merge(pd.DataFrame(panels_of(frame, fields)), on=fields)["run_id"].tolist()


def panel_fields(frame: pd.DataFrame, x: str, hue: str) -> list[str]:
    """Returns the fields that tell panels apart: `x` and what varies besides."""
    return list(dict.fromkeys([*facets(frame, x, hue), x]))


def panels_of(frame: pd.DataFrame, fields: list[str]) -> list[Panel]:
    """Returns the values of `fields` that get a panel, evenly spaced ones of many."""
    panels = frame[fields].drop_duplicates().sort_values(fields).to_dict("records")
    least, most = _PANELS
    count = min(most, max(least, _RUNS * len(panels) // len(frame)))
    if len(panels) <= count:
        return panels
    chosen = np.linspace(0, len(panels) - 1, count).round().astype(int)
    return [panels[index] for index in chosen]


def in_panel(frame: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Returns the rows that a panel shows."""
    given, wanted = frame[list(panel)], pd.Series(panel)
    return frame[((given == wanted) | (given.isna() & wanted.isna())).all(axis=1)]


def grid_of(panels: list[Panel], title: str, xlabel: str, ylabel: str) -> tuple[Figure, list[Axes]]:
    """Returns a figure and the axes of each panel, which share their limits."""
    # As few empty places as can be, and of several such ways the widest.
    columns = min((5, 4, 3), key=lambda count: -len(panels) % count)
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * _PANEL[0] + 1.2, rows * _PANEL[1] + 0.9))
    figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.05)
    figure.suptitle(wrapped(title, figure.get_figwidth() * 10), x=0.015, ha="left")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for index, axes in enumerate(grid):
        if index >= len(panels):
            axes.set_visible(False)
            continue
        axes.set_title("\n".join(f"{n} = {style.value(v)}" for n, v in panels[index].items()))
        if index % columns == 0:
            axes.set_ylabel(ylabel)
        if index + columns >= len(panels):
            axes.set_xlabel(xlabel)
            axes.tick_params(labelbottom=True)
    return figure, grid[: len(panels)]
