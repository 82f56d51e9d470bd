"""The tables of a report, as text: means over seeds, every run; what MI's numbers are worth."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import looks_in
from mimsweep.dashboards.statistics import wording
from mimsweep.dashboards.statistics.bounds import BOUNDS, doubtful, saturated, stored, with_bounds
from mimsweep.dashboards.statistics.seeds import aggregate, facets

_DOUBT, _MORE = "*", " (log N)"
_NOTES = {
    _DOUBT: "* KSG is in doubt: near its ceiling, or below the lower bound.",
    _MORE: "≥ (log N): a lower bound that can show no more; MI may be far above it.",
}

Cell = dict[str, Any]
"""What the table is sorted by, the text, and a note beneath it."""


def means_table(runs: pd.DataFrame, x: str, hue: str, metrics: Sequence[str]) -> dict[str, Any]:
    """Returns head, rows and notes of the means; beside `mi`, its bounds where they are stored."""
    if runs.empty:
        return {"head": [], "rows": [], "notes": ""}
    shown = with_bounds(runs, metrics)
    trusted = stored(runs) if {"mi", "mi_lower"} & {*shown} else []
    table = aggregate(runs, x, hue, list(dict.fromkeys([*shown, *trusted])))
    fields = [*facets(runs, x, hue), x, hue]
    models = looks_in(runs, "model")
    rows = []
    for values, group in table.groupby(fields, sort=False, dropna=False):
        by_metric = group.set_index("metric")
        ends = zip(by_metric["low"], by_metric["high"], strict=True)
        notes = {name: _interval(*pair) for name, pair in zip(by_metric.index, ends, strict=True)}
        rows.append(
            [
                *(_field(value, models) for value in values),
                _cell(int(group["n"].max())),
                *_cells(by_metric["mean"].to_dict(), shown, notes),
            ]
        )
    head = [*fields, "n", *(style.metric(metric).label for metric in shown)]
    return {"head": head, "rows": rows, "notes": _notes(rows)}


def runs_table(
    runs: pd.DataFrame, metrics: Sequence[str], links: Mapping[str, str]
) -> dict[str, Any]:
    """Returns head, rows and notes of the runs, each with its link to MLflow, if any."""
    shown = with_bounds(runs, metrics)
    rows = [
        {
            "name": run["run_name"],
            "link": links.get(run["run_id"], ""),
            "cells": [*_cells(run, shown, {}), _cell(run["epochs_run"]), _cell(run["seconds"])],
        }
        for run in runs.to_dict("records")
    ]
    head = ["run", *(style.metric(metric).label for metric in shown), "epochs", "seconds"]
    return {"head": head, "rows": rows, "notes": _notes([row["cells"] for row in rows])}


def _cells(
    values: Mapping[Any, Any], metrics: Sequence[str], notes: Mapping[str, str]
) -> list[Cell]:
    """Returns the cells of one group or run, whose MI and lower bound say what they are worth."""
    cells = {name: _cell(values[name], notes.get(name, "")) for name in metrics}
    lower, _, ceiling, log_n = (values.get(name, float("nan")) for name in BOUNDS)
    if "mi" in cells and doubtful(values["mi"], lower, ceiling):
        cells["mi"]["text"] += _DOUBT
    if "mi_lower" in cells and saturated(lower, log_n):
        cells["mi_lower"]["text"] = f"≥ {cells['mi_lower']['text']}{_MORE}"
    return list(cells.values())


def _notes(rows: Sequence[Sequence[Cell]]) -> str:
    """Returns a sentence on each mark that occurs."""
    texts = [cell["text"] for row in rows for cell in row]
    return " ".join(
        note for mark, note in _NOTES.items() if any(text.endswith(mark) for text in texts)
    )


def _field(value: object, models: Mapping[Any, style.Look]) -> Cell:
    known = models.get(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = known.label if known else style.value(value)
    return {"sort": value if number else text, "text": text, "note": ""}


def _cell(value: float, note: str = "") -> Cell:
    finite = value == value and abs(value) != float("inf")
    return {
        "sort": f"{value:.6g}" if finite else "",
        "text": wording.number(value, 4),
        "note": note,
    }


def _interval(low: float, high: float) -> str:
    return "" if low != low else f"{wording.number(low, 4)} to {wording.number(high, 4)}"
