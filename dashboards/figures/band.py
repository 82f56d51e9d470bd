"""Mutual information as a band between its bounds, and which KSG estimates are in doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from mimsweep.dashboards.drawing import style

_ALPHA, _OPEN_ALPHA = 0.26, 0.08
_BAR = 10  # width of a bar, points
_EDGE = 0.9  # width of a line along a bound, points
_MARGIN = 0.06  # above and below, of the axis

_UNKNOWN = "Bounds are not stored for these runs; `mimsweep measure SWEEP` measures them."
_BAND = "Band: from the lower to the upper bound of MI; points: the KSG estimate."
_OPEN = "Faded: the upper bound is beyond the axis, or the lower one at log\N{NO-BREAK SPACE}N."
_HOLLOW = "Hollow: KSG is in doubt, near its ceiling or below the lower bound."
_FIXED = "Bounds of AE: at the σ that it is given, which it doesn't learn."
_LINE = "Dashed grey: log\N{NO-BREAK SPACE}N, the most that the lower bound can show."


@dataclass(frozen=True)
class Band:
    """The bounds of a figure's panels of mutual information that share an axis.

    Attributes:
        rows: of `bounds.beside`.
        others: what else the axis must show, in nats.
    """

    rows: pd.DataFrame
    others: NDArray[np.float64]

    @property
    def known(self) -> bool:
        """Whether some run has a lower bound."""
        return bool(self.rows["lower"].notna().any())

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest value of the axis, in nats.

        An upper bound that would leave what else there is less than half of the axis is beyond it.
        """
        rows = self.rows
        shown = [self.others, rows[["mean", "low", "high", "lower"]].to_numpy(dtype=float).ravel()]
        values = np.concatenate([*shown, rows.loc[rows["saturated"], "log_n"].to_numpy()])
        values = values[np.isfinite(values)]
        low, high = float(values.min()), float(values.max())
        upper = rows.loc[~rows["saturated"], "upper"].to_numpy(dtype=float)
        high = max([high, *upper[upper <= high + (high - low or 1.0)]])
        margin = _MARGIN * (high - low or 1.0)
        return low - margin, high + margin * (2 if rows["saturated"].any() else 1)

    def opened(self, rows: pd.DataFrame) -> NDArray[np.bool_]:
        """Returns whether the upper bound is not drawn: it says little, or is beyond the axis."""
        closed = rows["upper"].to_numpy(dtype=float) <= self.limits[1]
        return np.asarray(~closed | rows["saturated"].to_numpy(dtype=bool))

    def draw(
        self, axes: Axes, rows: pd.DataFrame, looks: Mapping[str, style.Look], numeric: bool
    ) -> None:
        """Draws the band of each look behind its means, hollow points, log N; sets the limits.

        Args:
            axes: where.
            rows: those of one panel, and `_at`, the place on the horizontal axis, and `_look`, the
                label of a look.
            looks: by label.
            numeric: whether the horizontal axis is a number.
        """
        for label, look in looks.items():
            own = rows[(rows["_look"] == label) & rows["lower"].notna()].sort_values("_at")
            if not own.empty:
                self._fill(axes, own, look, numeric and len(own) > 1)
            doubtful = rows[(rows["_look"] == label) & rows["doubtful"]]
            axes.plot(
                doubtful["_at"], doubtful["mean"], look.marker, mfc="white", mec=look.colour,
                mew=1.1, ms=4.2, ls="none", zorder=5, gid="hollow",
            )  # fmt: skip
        for log_n in rows.loc[rows["saturated"], "log_n"].round(6).unique():
            axes.axhline(log_n, color="#777777", lw=0.9, ls=(0, (5, 3)), zorder=1.7)
            axes.annotate(
                "log N", (1, log_n), (-1, 2), xycoords=axes.get_yaxis_transform(),
                textcoords="offset points", ha="right", fontsize=7, color=style.CAPTION_COLOUR,
            )  # fmt: skip
        axes.set_ylim(*self.limits)

    def _fill(self, axes: Axes, rows: pd.DataFrame, look: style.Look, joined: bool) -> None:
        at, lower = rows["_at"].to_numpy(), rows["lower"].to_numpy()
        opened = self.opened(rows)
        upper = np.where(opened, self.limits[1], rows["upper"])
        edge: dict[str, Any] = {
            "color": look.colour, "lw": _EDGE, "ls": "-" if joined else "none", "zorder": 1.9,
            "marker": "_", "ms": _BAR / 2 if joined else _BAR, "mew": _EDGE,
        }  # fmt: skip
        axes.plot(at, lower, **edge, gid="lower")
        axes.plot(at, np.where(opened, np.nan, upper), **edge, gid="upper")
        if joined:
            fill: dict[str, Any] = {"color": look.colour, "lw": 0, "zorder": 1.2}
            axes.fill_between(at, lower, upper, alpha=_OPEN_ALPHA, **fill)
            axes.fill_between(at, lower, upper, where=~opened, alpha=_ALPHA, **fill)
        else:
            alpha = np.where(opened, 2 * _OPEN_ALPHA, _ALPHA)
            axes.vlines(at, lower, upper, color=look.colour, lw=_BAR, alpha=alpha, zorder=1.2)


def explained(bands: Sequence[Band]) -> list[str]:
    """Returns what a caption says of a figure's bands: a sentence on each thing that is drawn."""
    known = [band for band in bands if band.known]
    if not known:
        return [_UNKNOWN]
    occur = {
        _BAND: True,
        _OPEN: any(band.opened(band.rows[band.rows["lower"].notna()]).any() for band in known),
        _HOLLOW: any(band.rows["doubtful"].any() for band in known),
        _FIXED: any("model" in band.rows and "ae" in set(band.rows["model"]) for band in known),
        _LINE: any(band.rows["saturated"].any() for band in known),
    }
    return [text for text, drawn in occur.items() if drawn]
