"""`mimsweep table`: means over seeds, rows by columns, in the form of a paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.tables.latex import to_latex
from mimsweep.dashboards.tables.layout import Table, layout, mixed, tidy
from mimsweep.dashboards.tables.markup import to_html, to_markdown
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.metrics import TABLE_METRICS
from mimsweep.orchestrator.showing.listing import finite
from mimsweep.orchestrator.showing.study import Study
from mimsweep.orchestrator.showing.table import fields_of, methods
from mimsweep.orchestrator.tracking.runs import Invocation

Form = Callable[[Table, str], str]
FORMS: Mapping[str, Form] = {
    "latex": to_latex,
    "markdown": to_markdown,
    "html": to_html,
    "csv": lambda table, _: tidy(table).to_csv(index=False),
}


@dataclass(frozen=True)
class Wanted:
    """What a table shows; what isn't given is as the sweep's figures have it.

    Attributes:
        rows: fields whose values make the rows.
        columns: likewise the columns.
        metrics: one for each block.
    """

    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    metrics: Sequence[str] = ()


def means(study: Study, wanted: Wanted) -> Table:
    """Returns the means of a sweep's complete runs over seeds.

    Raises:
        SpecError: a field or metric isn't one, or runs of one cell differ in more than the seed.
    """
    runs, name = study.table, study.sweep.name
    if runs.empty:
        raise SpecError(f"{name}: no run is complete; `mimsweep run` trains them")
    wanted = _filled(study, wanted)
    fields = [*wanted.rows, *wanted.columns]
    if extra := mixed(runs, fields):
        value = style.value(runs[extra[0]].dropna().iloc[0])
        raise SpecError(
            f"{name}: a mean would mix runs that differ in {', '.join(extra)}; add "
            f"{'it' if len(extra) == 1 else 'them'} to --rows or --columns, or choose one value "
            f"by --set {extra[0]}={value}"
        )
    for each in (wanted.rows, wanted.columns):  # of several, what isn't there isn't named
        runs = runs.dropna(subset=each) if len(each) == 1 else runs
    corner = " / ".join(filter(None, map(_what, (wanted.rows, wanted.columns))))
    rows, columns = _called(runs, wanted.rows), _called(runs, wanted.columns)
    return layout(name, runs, rows, columns, wanted.metrics, corner)


def to_json(table: Table) -> dict[str, Any]:
    """Returns what `mimsweep table --json` prints: a mapping per cell, as of `tidy`."""
    cells = tidy(table).astype(object).to_dict("records")
    return {"sweep": table.name, "cells": [finite(cell) for cell in cells]}


def _filled(study: Study, wanted: Wanted) -> Wanted:
    """Returns what is wanted, checked, with what the sweep's figures say where nothing is.

    Rows that aren't given are told apart by all that the means would mix.
    """
    axes, hues = study.axes, _hues(study)
    columns = wanted.columns or [axes["x"]]
    rows = wanted.rows
    if not rows:
        candidates = (hues, [axes["x"]])
        own = next(filter(None, ([f for f in each if f not in columns] for each in candidates)), [])
        if not own:
            raise SpecError(f"--columns {','.join(columns)}: say by --rows what makes the rows")
        rows = [*own, *mixed(study.table, [*own, *columns])]
    filled = Wanted(rows, columns, wanted.metrics or axes["metrics"])
    known = fields_of(study.sweep.runs)
    for option, given in (("--rows", filled.rows), ("--columns", filled.columns)):
        for field in given:
            if field not in known or field == "seed":
                why = "means are over it" if field == "seed" else "no run has such a field"
                raise SpecError(f"{option} {field}: {why}; allowed: {_listed(known)}")
    if both := [field for field in filled.rows if field in filled.columns]:
        raise SpecError(f"--rows and --columns: both have {both[0]}; leave it out of one")
    for metric in filled.metrics:
        if metric not in TABLE_METRICS:
            allowed = ", ".join(TABLE_METRICS)
            raise SpecError(f"--metric {metric}: there is no such metric; allowed: {allowed}")
    return filled


def _hues(study: Study) -> list[str]:
    """Returns the fields that tell the lines of a sweep's figures apart."""
    figures = study.sweep.figures
    hue: str | Sequence[str] = figures.hue if figures else study.axes["hue"]
    return [hue] if isinstance(hue, str) else [*hue]


def _listed(fields: Sequence[str]) -> str:
    return ", ".join(field for field in fields if field != "seed")


def _what(fields: Sequence[str]) -> str:
    """Returns what bare values of rows or columns are of; nothing of those that say it."""
    return style.field(fields[0]) if len(fields) == 1 and fields != ["model"] else ""


def _called(runs: pd.DataFrame, fields: Sequence[str]) -> pd.Series:
    """Returns what the row or column of each run is called."""
    if len(fields) > 1:
        return pd.Series(methods(runs, fields), index=runs.index, dtype=object)
    name = style.model if fields == ["model"] else style.value
    return runs[fields[0]].map(name)


def for_report(study: Study, invocations: Sequence[Invocation]) -> str:
    """Returns the table of the figures that a sweep asks for, as HTML; nothing of one row."""
    figures = study.sweep.figures
    if not figures or "seed" in (figures.x, *_hues(study)) or _hues(study) == [figures.x]:
        return ""
    made = means(study, Wanted())
    return to_html(made, versions(invocations)) if len(made.rows) > 1 else ""


def versions(invocations: Sequence[Invocation]) -> str:
    """Returns a sentence on what the runs were trained with."""
    told = []
    for tag, label in (("mimsweep.version", "mimsweep"), ("mimsweep.torch", "PyTorch")):
        found = dict.fromkeys(i.tags[tag] for i in invocations if tag in i.tags)
        told += [f"{label} {', '.join(found)}"] if found else []
    return f"Trained with {' and '.join(told)}." if told else ""
