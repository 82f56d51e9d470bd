"""What a search shows: its history, its space, importances, the trade-off of two objectives."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import is_number
from mimsweep.dashboards.drawing.canvas import replace, save, styled
from mimsweep.dashboards.search.panels import (
    BEST,
    DEFAULT,
    FAINT,
    TRIAL,
    Draw,
    Search,
    default_line,
    dot,
    field_axis,
    figure,
    label,
    metric_axis,
    places,
    rug,
)
from mimsweep.dashboards.search.table import Objective, by_seed, front, points
from mimsweep.dashboards.statistics.seeds import summary
from mimsweep.dashboards.statistics.wording import fields as in_words
from mimsweep.dashboards.statistics.wording import number


@styled
def draw_search(trials: pd.DataFrame, search: Search, folder: Path) -> list[Path]:
    """Draws a search. The same trials give the same bytes.

    Args:
        trials: a row per trial: `number`, `state` (complete, pruned or failed), the fields of the
            space, of each objective its metric and `<metric>_by_seed`, a mapping.
        search: what was searched.
        folder: where the files go; made if missing.

    Returns:
        The files written: `history`, `slice`, `seeds` and, where there are several fields,
        `importance` or, two objectives, `pareto`, each as `.png` and `.svg`; `trials.csv`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"history": _history, "slice": _slice, "seeds": _seeds}
    if search.importances:
        figures["importance"] = _importance
    if len(search.objectives) == 2:
        figures["pareto"] = _pareto
    written = [
        path for stem, make in figures.items() for path in save(make(trials, search), folder, stem)
    ]
    path = folder / "trials.csv"
    replace(path, lambda part: trials.to_csv(part, index=False, lineterminator="\n"))
    return [*written, path]


def _history(trials: pd.DataFrame, search: Search) -> Figure:
    counts = trials["state"].value_counts()
    states = ", ".join(f"{counts.get(s, 0)} {s}" for s in ("complete", "pruned", "failed"))

    def panel(objective: Objective) -> Draw:
        def draw(axes: Axes) -> None:
            complete = trials[trials["state"] == "complete"].sort_values("number")
            values = complete[objective.metric]
            best = values.cummax() if objective.maximize else values.cummin()
            axes.step(complete["number"], best, where="post", color=BEST, zorder=2)
            axes.plot(complete["number"], values, "o", color=TRIAL, mec="white", zorder=3)
            rug(axes, trials, trials["number"])
            metric_axis(axes, objective, values)
            axes.set_xlabel("trial")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))

        return draw

    caption = f"{len(trials)} trials: {states}. Ticks at the foot: trials without a value."
    handles = [dot(TRIAL, "trial"), Line2D([], [], color=BEST, label="best so far")]
    return figure("history", search, caption, [[panel(o) for o in search.objectives]], handles)


def _slice(trials: pd.DataFrame, search: Search) -> Figure:
    def panel(objective: Objective, field: str) -> Draw:
        def draw(axes: Axes) -> None:
            complete = trials[trials["state"] == "complete"]
            place = places(trials[field])
            dots = axes.scatter(
                place(complete[field]), complete[objective.metric], c=complete["number"],
                cmap="viridis", vmin=0, vmax=max(trials["number"].max(), 1), s=26,
                edgecolors="white", linewidths=0.6, zorder=3,
            )  # fmt: skip
            rug(axes, trials, place(trials[field]))
            metric_axis(axes, objective, complete[objective.metric])
            field_axis(axes, search, field, trials[field])
            if field == list(search.fields)[-1]:
                axes.figure.colorbar(dots, ax=axes, label="trial")

        return draw

    rows = [[panel(objective, field) for field in search.fields] for objective in search.objectives]
    return figure(
        "trials over the space", search, "Ticks at the foot: trials without a value.", rows
    )


def _seeds(trials: pd.DataFrame, search: Search) -> Figure:
    rows = []
    captions = ["Points: mean over seeds with its 95\N{NO-BREAK SPACE}% bootstrap interval."]
    pruned = trials[trials["state"] == "pruned"]
    if any(any(pruned[f"{objective.metric}_by_seed"]) for objective in search.objectives):
        captions.append("Hollow: pruned, mean of the seeds it had.")
    for objective in search.objectives:
        rows.append([_seeds_panel(trials, search, objective, field) for field in search.fields])
        captions += _compared(trials, search, objective)
    handles = [dot(FAINT, "seed", ".", 5), dot(TRIAL, "mean"), dot(BEST, "best", "D")]
    if search.default is not None:
        handles.append(default_line("default"))
    return figure("results over seeds", search, " ".join(captions), rows, handles)


def _seeds_panel(trials: pd.DataFrame, search: Search, objective: Objective, field: str) -> Draw:
    def draw(axes: Axes) -> None:
        place = places(trials[field])
        table = points(trials, objective, list(search.fields))
        at = place(table[field])
        seeds = by_seed(trials, objective, list(search.fields))
        axes.plot(place(seeds[field]), seeds["value"], ".", color=FAINT, ms=3, alpha=0.7, zorder=1)
        if len(search.fields) == 1 and is_number(table[field]):
            axes.plot(at, table["mean"], color=TRIAL, lw=0.9, alpha=0.6, zorder=2)
        pruned = table[~table["complete"]]
        axes.plot(
            place(pruned[field]), pruned["mean"], "o", color=FAINT, mfc="white", ms=4.5, zorder=3
        )
        others = table["complete"] & ~table["best"]
        for chosen, colour, marker in ((others, TRIAL, "o"), (table["best"], BEST, "D")):
            some = table[chosen]
            error = [some["mean"] - some["low"], some["high"] - some["mean"]]
            axes.errorbar(
                place(some[field]), some["mean"], yerr=np.nan_to_num(error), fmt=marker,
                color=colour, mec="white", ecolor=colour, elinewidth=1.1, capsize=2.5, zorder=4,
            )  # fmt: skip
        if search.default is not None:
            (where,) = place(pd.Series([search.default[field]]))
            default_line(axes=axes, at=where)
        metric_axis(axes, objective, seeds["value"])
        field_axis(axes, search, field, trials[field])

    return draw


def _compared(trials: pd.DataFrame, search: Search, objective: Objective) -> list[str]:
    """Returns the best point against the default, paired by seed, in a sentence."""
    table = points(trials, objective, list(search.fields))
    best = {field: table.loc[table["best"], field].iloc[0] for field in search.fields}
    if search.default is None or best == dict(search.default):
        return []
    seeds = by_seed(trials, objective, list(search.fields))
    differences = (_at(seeds, best) - _at(seeds, search.default)).dropna()
    if len(differences) < 2:
        return []
    n, mean, _, low, high = summary(np.asarray(differences, dtype=float))
    return [
        f"Best ({in_words(best)}) minus default ({in_words(search.default)}), paired by seed: "
        f"{objective.metric} {number(mean)} [{number(low)}, {number(high)}], "
        f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n}; it was chosen on these seeds."
    ]


def _at(seeds: pd.DataFrame, point: Mapping[str, Any]) -> "pd.Series[float]":
    chosen = np.logical_and.reduce([seeds[field] == value for field, value in point.items()])
    return seeds[chosen].groupby("seed")["value"].first()


def _importance(trials: pd.DataFrame, search: Search) -> Figure:
    def panel(metric: str) -> Draw:
        def draw(axes: Axes) -> None:
            shares = dict(sorted(search.importances[metric].items(), key=lambda item: item[1]))
            bars = axes.barh(list(shares), list(shares.values()), color=TRIAL, height=0.6)
            axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
            axes.grid(axis="y", visible=False)
            axes.set(xlim=(0, 1.08), xlabel="importance (fraction)")
            axes.set_title(style.metric(metric).title)

        return draw

    caption = "PED-ANOVA: how much each field tells good trials from the others; the sum is 1."
    return figure("importance", search, caption, [[panel(metric) for metric in search.importances]])


def _pareto(trials: pd.DataFrame, search: Search) -> Figure:
    first, second = search.objectives

    def draw(axes: Axes) -> None:
        complete = trials[trials["state"] == "complete"]
        chosen = front(complete, search.objectives)
        best = complete[chosen].sort_values(first.metric)
        axes.step(
            best[first.metric], best[second.metric], color=BEST, lw=1, alpha=0.7,
            where="pre" if first.maximize else "post", zorder=2,
        )  # fmt: skip
        for rows, colour, marker in ((complete[~chosen], FAINT, "o"), (best, BEST, "D")):
            axes.plot(
                rows[first.metric], rows[second.metric], marker, color=colour, mec="white", zorder=3
            )
        metric_axis(axes, second, complete[second.metric])
        axes.set_xlabel(label(first))
        row = _row_at(complete, search.default or {})
        if row is not None:
            axes.plot(*row[[first.metric, second.metric]], "o", ms=11, mfc="none", mec=DEFAULT)

    handles = [
        dot(BEST, "best", "D"),
        dot(FAINT, "other"),
        dot(DEFAULT, "default", "o", 8, hollow=True),
    ][: 3 if search.default else 2]

    count = int(front(trials, search.objectives).sum())
    caption = f"Best: {count} of {len(trials)} trials, to which none is better in both objectives."
    return figure("Pareto front", search, caption, [[draw]], handles)


def _row_at(trials: pd.DataFrame, point: Mapping[str, Any]) -> Any:  # noqa: ANN401
    chosen = np.logical_and.reduce([trials[field] == value for field, value in point.items()])
    return trials[chosen].iloc[0] if point and chosen.any() else None
