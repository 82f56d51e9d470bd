"""How much each latent dimension carries: its KL divergence from p(z), ranked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import looks_in
from mimsweep.dashboards.drawing.canvas import styled, wrapped
from mimsweep.dashboards.figures.panels import (
    grid_of,
    in_panel,
    panel_fields,
    panels_of,
    runs_drawn,
)

_LINEAR = 0.01  # nats; below them a log axis is linear, down to the zero of unused dimensions
_SEEDS = 3  # that are asked for: a store gives one run's profile a call
_LINEAR_CAPTION = f" The axis is linear below {_LINEAR} nats."


def runs_profiled(frame: pd.DataFrame, x: str, hue: str) -> list[str]:
    """Returns the `run_id` of the runs that `kl_profile` draws: the first seeds of each panel."""
    shown = frame[frame["run_id"].isin(runs_drawn(frame, x, hue))]
    groups = [*panel_fields(frame, x, hue), hue]
    first = shown.sort_values("seed", kind="stable").groupby(groups, dropna=False).head(_SEEDS)
    return first["run_id"].tolist()


@styled
def kl_profile(
    frame: pd.DataFrame, profiles: Mapping[str, Sequence[float]], x: str, hue: str, title: str
) -> Figure | None:
    """Draws the ranked KL of the dimensions, a panel per value of `x` and a colour per `hue`.

    Args:
        frame: a row per complete run.
        profiles: KL of each latent dimension in nats, with shape (Z,), by `run_id`.
        x: the spec field that tells panels apart.
        hue: the spec field that tells curves apart.
        title: of the figure.

    Returns:
        None where no run has a finite profile.
    """
    finite = [run_id for run_id, profile in profiles.items() if np.isfinite(profile).all()]
    runs = frame[frame["run_id"].isin(finite)]
    if runs.empty:
        return None
    fields = panel_fields(runs, x, hue)
    panels = panels_of(runs, fields)
    looks = {v: look for v, look in looks_in(frame, hue).items() if v in runs[hue].unique()}
    figure, grid = grid_of(panels, title, "rank of the dimension", "KL (nats)")
    drawn = []
    for axes, panel in zip(grid, panels, strict=True):
        shown = in_panel(runs, panel)
        for value, look in looks.items():
            drawn.append(_ranked([profiles[key] for key in shown["run_id"][shown[hue] == value]]))
            _draw(axes, drawn[-1], look)
    log = _limit(grid[0], drawn)
    handles: list[Any] = [
        Line2D([], [], color=k.colour, marker=k.marker, ms=4, label=k.label) for k in looks.values()
    ]
    handles.append(Patch(color="#777777", alpha=0.3, lw=0, label="range of seeds"))
    figure.legend(handles=handles, loc="outside right center", title=style.field(hue))
    most, total = max(map(len, drawn)), frame.groupby([*fields, hue], dropna=False).size().max()
    first = f"the first {most} " if most < total else ""
    caption = f"The dimensions of each run by rank; lines: mean over {first}seeds."
    figure.supxlabel(
        wrapped(caption + _LINEAR_CAPTION * log, figure.get_figwidth() * 16),
        fontsize=7.5,
        color=style.CAPTION_COLOUR,
    )
    return figure


def _ranked(profiles: Sequence[Sequence[float]]) -> pd.DataFrame:
    """Returns a row per run, its KL from the largest to the smallest."""
    return pd.DataFrame([np.sort(np.asarray(profile, dtype=float))[::-1] for profile in profiles])


def _draw(axes: Axes, ranked: pd.DataFrame, look: style.Look) -> None:
    if ranked.empty:
        return
    ranks = np.arange(1, ranked.shape[1] + 1)
    axes.fill_between(ranks, ranked.min(), ranked.max(), color=look.colour, alpha=0.2, lw=0)
    axes.plot(
        ranks, ranked.mean(), color=look.colour, marker=look.marker, ms=3.2, mew=0, lw=1.2,
        ls=(0, look.dashes) if look.dashes else "-",
    )  # fmt: skip


def _limit(axes: Axes, drawn: Sequence[pd.DataFrame]) -> bool:
    """Sets the limits that all panels share; returns whether the vertical axis is logarithmic."""
    values = np.concatenate([ranked.to_numpy().ravel() for ranked in drawn])
    low, high = float(np.nanmin(values)), max(float(np.nanmax(values)), _LINEAR)
    log = low < _LINEAR * high and high > _LINEAR
    if log:
        axes.set_yscale("symlog", linthresh=_LINEAR, linscale=0.4)
        axes.set_ylim(min(1.5 * low, -0.2 * _LINEAR), 2 * high)
    else:
        axes.set_ylim(min(1.1 * low, -0.03 * high), 1.1 * high)
    axes.set_xlim(0.6, max(ranked.shape[1] for ranked in drawn) + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    return log
