"""Comparison curves: a picture per metric, one of them all, and the numbers behind them."""

import itertools
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import distinct, is_number, looks_in, set_ticks, spans_decades
from mimsweep.dashboards.drawing.canvas import replace, save, styled, wrapped
from mimsweep.dashboards.figures.band import Band, explained
from mimsweep.dashboards.figures.means import draw_means, draw_published
from mimsweep.dashboards.statistics.bounds import beside, stored
from mimsweep.dashboards.statistics.seeds import aggregate, facets, spec_fields

_PANEL = (3.2, 2.45)  # inches, width and height
_CHARACTER = 0.07  # the width of one in the legend, inches
_TEXT_HEIGHT = 0.8  # title and caption together
_CATEGORY_SPREAD = 0.4  # for all hues together, of the distance between two categories
_PUBLISHED = "Grey: published means; bars: their spread."
_DEFAULT_METRICS = ("mi", "nll", "rmse", "knn5", "nmi")

_Panel = tuple[str, str]  # a metric and the values of the fields that vary besides


def default_axes(frame: pd.DataFrame) -> dict[str, Any]:
    """Returns what to draw for a sweep that doesn't say: keyword arguments of `draw`.

    Args:
        frame: a row per complete run.

    Returns:
        `x`: the numeric field other than the seed with the most values, or, where no number
        varies, the other field that does most; `hue`: the model; `metrics`: the published four and
        NMI, as far as the runs have them.
    """
    fields = [
        field
        for field in spec_fields(frame)
        if field not in ("seed", "model") and frame[field].notna().all()
    ]
    if not fields:
        raise ValueError("the runs have no spec field to draw along")

    def merit(field: str) -> tuple[bool, bool, int, bool]:
        count = frame[field].nunique()
        return count > 1, is_number(frame[field]), count, field == "z_dim"

    metrics = [m for m in _DEFAULT_METRICS if m in frame.columns and frame[m].notna().any()]
    return {"x": max(fields, key=merit), "hue": "model", "metrics": metrics}


def draw(
    frame: pd.DataFrame,
    *,
    name: str,
    description: str,
    x: str,
    hue: str,
    metrics: Sequence[str],
    folder: Path,
    published: pd.DataFrame | None = None,
) -> list[Path]:
    """Draws metrics against `x`, a curve per value of `hue`, as `compare` does, to files.

    The same runs give the same bytes.

    Args:
        frame: a row per complete run.
        name: the sweep's name, for the titles.
        description: what the sweep shows, for the captions.
        x: the spec field of the horizontal axis.
        hue: the spec field that tells curves apart.
        metrics: the columns to draw.
        folder: where the files go; made if missing.
        published: points from `read_published`.

    Returns:
        The files written: `<metric>.png` and `.svg`, `combined.png` and `.svg`, `table.csv`.

    Raises:
        ValueError: there is nothing to draw, or a column is missing.
    """
    curves = compare(frame, x=x, hue=hue, metrics=metrics, published=published)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for metric in metrics:
        title = f"{name}: {style.metric(metric).title}"
        written += save(curves.of(metric, title, description), folder, metric)
    written += save(curves.combined(name, description), folder, "combined")
    path = folder / "table.csv"
    table = curves.table.drop(columns=["_panel"])
    replace(path, lambda part: table.to_csv(part, index=False, lineterminator="\n"))
    return [*written, path]


def compare(
    frame: pd.DataFrame,
    *,
    x: str,
    hue: str,
    metrics: Sequence[str],
    published: pd.DataFrame | None = None,
) -> "Curves":
    """Aggregates metrics against `x` and `hue`, ready to be drawn.

    Fields that vary besides get a panel per value.

    Args:
        frame: a row per complete run.
        x: the spec field of the horizontal axis.
        hue: the spec field that tells curves apart.
        metrics: the columns to draw.
        published: points from `read_published`, drawn in grey behind ours where `x` and `hue` are
            all that varies.

    Raises:
        ValueError: there is nothing to draw, or a column is missing.
    """
    bounds = stored(frame) if "mi" in metrics else []
    table = aggregate(frame, x, hue, list(dict.fromkeys([*metrics, *bounds])))
    split = facets(frame, x, hue)
    if published is not None and (split or hue != "model" or not is_number(table[x])):
        raise ValueError("published points can be drawn against a number, a curve per model only")
    titles = [_panel_title(row) for row in table[split].to_dict("records")]
    table = table.assign(_panel=titles)
    return Curves(table, tuple(metrics), x, hue, looks_in(frame, hue), beside(table), published)


@dataclass(frozen=True)
class Curves:
    """An aggregated table and how its curves are drawn.

    Attributes:
        table: from `aggregate`, and `_panel`, the values of the fields that vary besides.
        metrics: those to draw; of `mi` the table has the bounds, too.
        x: the spec field of the horizontal axis.
        hue: the spec field that tells curves apart.
        looks: of each value of `hue`.
        bounds: from `bounds.beside`, of the table.
        published: points to be drawn behind.
    """

    table: pd.DataFrame
    metrics: tuple[str, ...]
    x: str
    hue: str
    looks: dict[Any, style.Look]
    bounds: pd.DataFrame
    published: pd.DataFrame | None = None

    def of(self, metric: str, title: str, description: str) -> Figure:
        """Returns a picture of one metric, a panel per value of what varies besides."""
        return self._figure(_grid([(metric, panel) for panel in self._panels]), title, description)

    def combined(self, title: str, description: str) -> Figure:
        """Returns a picture of all metrics."""
        rows = [[(metric, panel) for metric in self.metrics] for panel in self._panels]
        return self._figure(rows if len(rows) > 1 else _grid(rows[0]), title, description)

    @property
    def _panels(self) -> list[str]:
        return self.table["_panel"].unique().tolist()

    @property
    def _comparable(self) -> bool:
        """Whether panels of one metric share its axis: those of different data sets don't."""
        return "dataset" in (self.x, self.hue) or "dataset" not in self.table

    @styled
    def _figure(self, rows: list[list[_Panel]], title: str, description: str) -> Figure:
        columns = max(map(len, rows))
        legend_title = textwrap.fill(style.field(self.hue), 16)
        longest = max(8, *(len(look.label) for look in self.looks.values()))
        longest += 0 if self.published is None else len(style.PUBLISHED_LABEL)
        width = columns * _PANEL[0] + (longest + 8) * _CHARACTER
        figure = Figure(figsize=(width, len(rows) * _PANEL[1] + _TEXT_HEIGHT))
        figure.set_layout_engine("constrained", w_pad=0.07, h_pad=0.06)
        figure.suptitle(wrapped(title, width * 10), x=0.015, ha="left")
        panels = list(itertools.chain.from_iterable(rows))
        metrics = dict.fromkeys(metric for metric, _ in panels)
        first: dict[str, Axes] = {}
        for i, (metric, panel) in enumerate(panels, start=1):
            axes = figure.add_subplot(len(rows), columns, i, sharey=first.get(metric))
            if self._comparable:
                first.setdefault(metric, axes)
            heading = [style.metric(metric).title] if len(metrics) > 1 else []
            axes.set_title("\n".join([*heading, *textwrap.wrap(panel, 40)]))
            self._draw_panel(axes, metric, panel)
        handles = [_handle(look, is_number(self.table[self.x])) for look in self.looks.values()]
        shown = self._published(metrics)
        known = style.looks(self.hue, distinct(shown["model"]))
        handles += [_handle(style.grey(look), True) for look in known.values()]
        figure.legend(
            handles=handles,
            title=legend_title,
            loc="outside right center",
        )
        caption = [_caption(self.table.loc[self.table["metric"].isin(metrics), "n"])]
        caption += [] if shown.empty else [_PUBLISHED]
        if "mi" in metrics:
            caption += explained([self._band(panel) for panel in self._panels])
        texts = [wrapped(text, width * 16) for text in (description, " ".join(caption))]
        figure.supxlabel("\n".join(filter(None, texts)), fontsize=7.5, color=style.CAPTION_COLOUR)
        return figure

    def _draw_panel(self, axes: Axes, metric: str, panel: str) -> None:
        table = self.table
        rows = self.bounds if metric == "mi" else table[table["metric"] == metric]
        rows = rows[(rows["_panel"] == panel) & (rows["n"] > 0)]
        values = distinct(table[self.x])
        numeric = is_number(table[self.x])
        published = self._published([metric])
        draw_published(axes, published)
        if rows.empty:
            axes.text(0.5, 0.5, "no finite values", ha="center", transform=axes.transAxes)
        else:
            at = [
                float(x) if numeric else values.index(x) + self._offset(hue)
                for x, hue in zip(rows[self.x], rows[self.hue], strict=True)
            ]
            rows = rows.assign(_at=at, _look=[self.looks[hue].label for hue in rows[self.hue]])
            looks = {look.label: look for look in self.looks.values()}
            banded = metric == "mi" and self._band(panel).known
            draw_means(axes, rows, looks, numeric, faint=banded)
            if banded:
                self._band(panel).draw(axes, rows, looks, numeric)
        # Asked of all panels' values, because panels of one metric share their axis.
        ours = table.loc[table["metric"] == metric, ["mean", "low"]].to_numpy().ravel()
        if style.metric(metric).log and spans_decades([*ours, *published["mean"]]):
            axes.set_yscale("log")
        set_ticks(axes, values, numeric)
        axes.set(xlabel=style.field(self.x), ylabel=style.metric(metric).label)

    def _band(self, panel: str) -> Band:
        """Returns the bounds of the panels whose axis a panel shares."""
        shared = self.bounds["_panel"].isin(self._panels if self._comparable else [panel])
        published = self._published(["mi"])
        spread = published["spread"].fillna(0.0)
        ends = [published["mean"] - spread, published["mean"] + spread]
        return Band(self.bounds[shared], np.concatenate(ends).astype(float))

    def _published(self, metrics: Iterable[str]) -> pd.DataFrame:
        if self.published is None:
            return pd.DataFrame(columns=["metric", "model", "x", "mean", "spread"])
        return self.published[self.published["metric"].isin(metrics)]

    def _offset(self, hue: object) -> float:
        """Returns how far beside its category's tick a hue is drawn, so that none is hidden."""
        return ((list(self.looks).index(hue) + 0.5) / len(self.looks) - 0.5) * _CATEGORY_SPREAD


def _grid(panels: list[_Panel]) -> list[list[_Panel]]:
    columns = 2 if len(panels) == 4 else 3
    return [panels[i : i + columns] for i in range(0, len(panels), columns)]


def _panel_title(fields: dict[Any, Any]) -> str:
    return ", ".join(f"{field} = {style.value(value)}" for field, value in fields.items())


def _handle(look: style.Look, line: bool) -> Line2D:
    dashes: Any = "none" if not line else (0, look.dashes) if look.dashes else "-"
    return Line2D(
        [], [], color=look.colour, marker=look.marker, label=look.label, linestyle=dashes,
        markeredgecolor="white",
    )  # fmt: skip


def _caption(n: "pd.Series[int]") -> str:
    low, high = n[n > 0].min(), n.max()
    if high == 0:
        return "No run has a finite value."
    if high == 1:
        return "Single runs, so without an interval."
    seeds = f"{low}" if low == high else f"{low} to {high}"
    return f"Mean over n = {seeds} seeds; bars: its 95\N{NO-BREAK SPACE}% bootstrap interval."
