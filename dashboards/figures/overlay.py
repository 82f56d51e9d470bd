"""Published points behind ours: in grey, with the marker and the dashes of their model."""

import pandas as pd
from matplotlib.axes import Axes

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import distinct


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
