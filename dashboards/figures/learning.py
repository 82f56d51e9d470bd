"""Learning curves: the losses of each epoch, with bands over seeds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import looks_in
from mimsweep.dashboards.drawing.canvas import styled, wrapped
from mimsweep.dashboards.figures.panels import grid_of, in_panel, panel_fields, panels_of

_EARLY = 0.97  # share of the losses that the axis shows; the first epochs' are far above


@styled
def learning_curves(
    frame: pd.DataFrame, history: pd.DataFrame, x: str, hue: str, name: str
) -> Figure:
    """Draws the losses of each epoch, a panel per value of `x` and a colour per value of `hue`.

    Solid: the median test loss of the seeds that still train, drawn while at least half of them do,
    within the band of all of them; dotted: the median training loss. Beneath, a mark where each
    run stopped. Of many values of `x`, and of the fields that vary besides, evenly spaced ones.

    Args:
        frame: a row per complete run.
        history: rows of `run_id`, `epoch`, `test_loss`, `train_loss`.
        x: the spec field that tells panels apart.
        hue: the spec field that tells curves apart.
        name: the sweep's name, for the title.

    Raises:
        ValueError: there is no epoch to draw.
    """
    fields = panel_fields(frame, x, hue)
    panels = panels_of(frame, fields)
    data = history.merge(frame[["run_id", hue, *fields]], on="run_id")
    if data.empty:
        raise ValueError("the runs have no history of losses")
    figure, grid = grid_of(panels, f"{name}: learning curves", "epoch", "loss (nats)")
    looks = looks_in(frame[frame[hue].isin(data[hue])], hue)
    for axes, panel in zip(grid, panels, strict=True):
        chosen = in_panel(data, panel)
        for value, look in looks.items():
            _draw(axes, chosen[chosen[hue] == value], look)
    _limit(grid[0], data)
    _explain(figure, looks)
    return figure


@dataclass(frozen=True)
class _Band:
    """The loss over the seeds that still train, by epoch, while at least half of them do."""

    epochs: NDArray[np.int64]
    median: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, rows: pd.DataFrame, loss: str) -> "_Band":
        table = rows.pivot(index="epoch", columns="run_id", values=loss).sort_index()
        values = table.where(np.isfinite(table))
        values = values[values.notna().sum(axis=1) * 2 >= table.shape[1]]
        return cls(
            values.index.to_numpy(),
            values.median(axis=1).to_numpy(),
            values.min(axis=1).to_numpy(),
            values.max(axis=1).to_numpy(),
        )


def _draw(axes: Axes, rows: pd.DataFrame, look: style.Look) -> None:
    if rows.empty:
        return
    test, train = _Band.of(rows, "test_loss"), _Band.of(rows, "train_loss")
    axes.fill_between(test.epochs, test.low, test.high, color=look.colour, alpha=0.2, lw=0)
    axes.plot(train.epochs, train.median, color=look.colour, lw=1.0, ls=":")
    axes.plot(test.epochs, test.median, color=look.colour, lw=1.4)
    stops = rows.groupby("run_id")["epoch"].max().to_numpy()
    height = 0.02 if look.marker == "o" else 0.055
    axes.plot(
        stops, np.full(len(stops), height), look.marker, color=look.colour, ms=3, alpha=0.6,
        mew=0, transform=axes.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip


def _limit(axes: Axes, data: pd.DataFrame) -> None:
    losses = data[["test_loss", "train_loss"]].to_numpy(dtype=float)
    losses = losses[np.isfinite(losses)]
    if len(losses):
        low, high = float(losses.min()), float(np.quantile(losses, _EARLY))
        margin = 0.08 * (high - low or 1.0)
        axes.set_ylim(low - 1.5 * margin, high + margin)
    axes.set_xlim(0, max(2, int(data["epoch"].max())) * 1.02)


def _explain(figure: Figure, looks: dict[Any, style.Look]) -> None:
    handles: list[Any] = [Line2D([], [], color=k.colour, label=k.label) for k in looks.values()]
    handles += [
        Patch(color="#777777", alpha=0.3, lw=0, label="all seeds"),
        Line2D([], [], color="#777777", ls=":", lw=1.0, label="training"),
        Line2D([], [], color="#777777", ls="none", marker="o", ms=3, label="a run's end"),
    ]
    figure.legend(handles=handles, loc="outside right center")
    caption = (
        "Solid: median test loss over the seeds that still train, while at least half do; dotted: "
        "median training loss (with its own β during warm-up). The first epochs are above the axis."
    )
    width = float(figure.get_figwidth())
    figure.supxlabel(wrapped(caption, width * 16), fontsize=7.5, color=style.CAPTION_COLOUR)
