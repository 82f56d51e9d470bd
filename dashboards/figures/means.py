"""Means with their intervals: points, joined where the horizontal axis is a number.

Published ones are behind ours: in grey, with the marker and the dashes of their model.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import distinct

_FAINT = 0.6  # width of the lines, in points, where they must not pass for what is sought


def draw_means(
    axes: Axes, rows: pd.DataFrame, looks: Mapping[str, style.Look], numeric: bool, faint: bool
) -> None:
    """Draws the means of one metric in one panel.

    Args:
        axes: where.
        rows: of `seeds.aggregate`, and `_at`, the place on the horizontal axis, and `_look`, the
            label of a look.
        looks: by label.
        numeric: whether the horizontal axis is a number.
        faint: whether the lines that join the points are thin.
    """
    options: dict[str, Any] = {
        "data": rows, "x": "_at", "y": "mean", "hue": "_look", "style": "_look",
        "hue_order": list(looks), "style_order": list(looks), "legend": False, "ax": axes,
        "palette": {label: look.colour for label, look in looks.items()},
        "markers": {label: look.marker for label, look in looks.items()},
    }  # fmt: skip
    if numeric:
        dashes = {label: look.dashes for label, look in looks.items()}
        width = {"linewidth": _FAINT} if faint else {}
        sns.lineplot(**options, **width, dashes=dashes, estimator=None, errorbar=None)
    else:
        sns.scatterplot(**options)
    for label, group in rows.dropna(subset=["low", "high"]).groupby("_look"):
        axes.errorbar(
            group["_at"],
            group["mean"],
            yerr=[group["mean"] - group["low"], group["high"] - group["mean"]],
            fmt="none",
            ecolor=looks[str(label)].colour,
            elinewidth=1.0,
            capsize=2.5,
            zorder=4,  # above the white edge of its own marker
        )


def draw_published(axes: Axes, points: pd.DataFrame) -> None:
    """Draws the published points of one metric, with their spread where it is known.

    Args:
        axes: where.
        points: rows of `published.read_published`.
    """
    for model, look in style.looks("model", distinct(points["model"])).items():
        rows = points[points["model"] == model].sort_values("x")
        grey = style.grey(look)
        axes.errorbar(
            rows["x"],
            rows["mean"],
            yerr=rows["spread"].fillna(0.0),
            color=grey.colour,
            marker=grey.marker,
            markeredgecolor="white",
            linestyle=(0, grey.dashes) if grey.dashes else "-",
            linewidth=1.1,
            elinewidth=1.0,
            capsize=2.5,
            zorder=1.5,
        )
