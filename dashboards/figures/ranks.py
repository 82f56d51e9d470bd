"""The critical-difference diagram of a claim on ranks (Demšar 2006, JMLR 7:1), a row per cell."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.canvas import styled, wrapped
from mimsweep.dashboards.statistics.claims.claim import Judgement
from mimsweep.dashboards.statistics.claims.ranking import Ranking, ranking
from mimsweep.dashboards.statistics.verdicts import ALPHA
from mimsweep.dashboards.statistics.wording import fields, number

_WIDTH = 7.4  # inches
_ROW = 0.46  # of a cell, inches
_BARS = 0.28  # of a row, from the first bar to the last
_MARGIN = 0.25  # of the axis, ranks


@styled
def critical_difference(judgement: Judgement, title: str) -> Figure | None:
    """Draws mean ranks in each cell, and joins those that can't be told apart.

    Args:
        judgement: on a claim on ranks.
        title: of the figure.

    Returns:
        None where no cell has a seed with all its runs.
    """
    claim = judgement.claim
    cells = [cell for cell in judgement.cells if cell.pairs]
    if not cells:
        return None
    looks = style.looks(claim.over, claim.ranks)
    figure = Figure(figsize=(_WIDTH, len(cells) * _ROW + 1.6))
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.05)
    figure.suptitle(wrapped(title, _WIDTH * 10), x=0.015, ha="left")
    axes = figure.subplots()
    count = len(claim.ranks)
    axes.set(xlim=(1 - _MARGIN, count + _MARGIN), ylim=(len(cells) - 0.5, -0.5))
    axes.set_xticks(range(1, count + 1))
    axes.set_yticks(range(len(cells)), [_name(cell.fields) for cell in cells])
    axes.grid(visible=False, axis="y")
    for row, cell in enumerate(cells):
        found = ranking(np.array(cell.seeds))
        _draw_bars(axes, row, found)
        for value, rank in zip(claim.ranks, found.mean_ranks, strict=True):
            look = looks[value]
            axes.plot(
                rank, row - 0.12, look.marker, color=look.colour, ms=6.5, mec="white", mew=0.6,
                zorder=3, gid="rank",
            )  # fmt: skip
        text = f"p {number(found.friedman, 2)}, n = {cell.pairs}"
        axes.annotate(
            text, (1, row), (4, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=7, color=style.CAPTION_COLOUR,
            annotation_clip=False,
        )  # fmt: skip
    axes.set_xlabel(f"mean rank of {style.metric(claim.metric).label}, from the greatest")
    handles = [
        Line2D([], [], color=look.colour, marker=look.marker, ls="none", ms=5, label=look.label)
        for look in (looks[value] for value in claim.ranks)
    ]
    figure.legend(handles=handles, loc="outside right center", title=style.field(claim.over))
    caption = (
        "Joined: not told apart at 5 % by the signed-rank test, two-sided, after Holm's correction "
        "over the pairs of a row; all, where Friedman's test (p at the right) sees no difference."
    )
    figure.supxlabel(wrapped(caption, _WIDTH * 16), fontsize=7.5, color=style.CAPTION_COLOUR)
    return figure


def _name(cell: dict[str, object]) -> str:
    return fields(cell).replace("$", r"\$") or "all"


def _draw_bars(axes: Axes, row: int, found: Ranking) -> None:
    groups = found.together(ALPHA)
    for index, group in enumerate(groups):
        ends = [found.mean_ranks[i] for i in (group[0], group[-1])]
        at = row + 0.12 + _BARS * index / len(groups)
        axes.plot(ends, [at, at], color="0.35", lw=2.2, solid_capstyle="round", gid="together")
