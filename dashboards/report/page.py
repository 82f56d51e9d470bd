"""One HTML file on sweeps: what was run, what came out, whether the claims hold. Needs no network.

The same input gives the same bytes; all times in it are those of the runs.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import looks_in
from mimsweep.dashboards.report.inline import inline_svg
from mimsweep.dashboards.report.tables import means_table, runs_table
from mimsweep.dashboards.statistics import wording
from mimsweep.dashboards.statistics.bounds import with_bounds
from mimsweep.dashboards.statistics.claims.claim import Judgement
from mimsweep.dashboards.statistics.seeds import aggregate

_MARKS = {"holds": "✓", "fails": "✗", "undecided": "?"}


@dataclass(frozen=True)
class Picture:
    """A figure, or an SVG document, with its heading, and what it shows in words."""

    title: str
    figure: Figure | str
    alt: str


@dataclass(frozen=True)
class Failure:
    """A run that came to nothing, why, and where MLflow shows it."""

    run_name: str
    reason: str
    link: str


@dataclass(frozen=True)
class Section:
    """One sweep of a report.

    Attributes:
        name: the sweep's.
        description: what it is about.
        facts: labels and values: what it was run with and when.
        planned: a row per run of the sweep.
        runs: a row per complete run.
        x: the spec field of the horizontal axis.
        hue: the spec field that tells curves apart.
        metrics: the columns of the table; those of `mi`'s bounds come along.
        pictures: the figures.
        judgements: verdicts on its claims.
        failures: runs that failed.
        links: where MLflow shows a run, by run_id.
        means: the table for a paper, as HTML.
    """

    name: str
    description: str
    facts: Sequence[tuple[str, str]]
    planned: pd.DataFrame
    runs: pd.DataFrame
    x: str
    hue: str
    metrics: Sequence[str]
    pictures: Sequence[Picture] = ()
    judgements: Sequence[Judgement] = ()
    failures: Sequence[Failure] = ()
    links: dict[str, str] = field(default_factory=dict)
    means: str = ""


def write_report(pages: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes the file, beside and then in place, so that a killed process leaves no half of it.

    Args:
        pages: from `page`.
        path: of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(_html(pages), encoding="utf-8")
    os.replace(part, path)


def _html(pages: Sequence[dict[str, Any]]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mimsweep.dashboards.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ", ".join(page["name"] for page in pages)
    return environment.get_template("report.html").render(title=f"{names} · mimsweep", pages=pages)


def page(section: Section, key: str) -> dict[str, Any]:
    """Returns what the file shows of a section, as text; `key`: unique in the file."""
    return {
        "key": key,
        "name": section.name,
        "description": section.description,
        "complete": len(section.runs),
        "total": len(section.planned),
        "facts": section.facts,
        "spec": _spec(section.planned),
        "claims": [_claim(judgement) for judgement in section.judgements],
        "pictures": [
            {
                "title": picture.title,
                "svg": inline_svg(picture.figure, f"{key}-{index}", picture.alt),
            }
            for index, picture in enumerate(section.pictures)
        ],
        "means": section.means,
        "table": means_table(section.runs, section.x, section.hue, section.metrics),
        "failures": section.failures,
        "runs": runs_table(section.runs, section.metrics, section.links),
    }


def _spec(planned: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns each field of the runs, with its values; long rows of numbers shortened."""
    rows = []
    for name in planned.columns.drop("run_key"):
        values = [style.value(value) for value in dict.fromkeys(planned[name].dropna())]
        text = ", ".join(values)
        rows.append((name, text if len(values) <= 12 else f"{values[0]} … {values[-1]}"))
    return rows


def _claim(judgement: Judgement) -> dict[str, Any]:
    return {
        "text": judgement.claim.text,
        "verdict": judgement.verdict,
        "mark": _MARKS[judgement.verdict],
        "asks": wording.claim_text(judgement.claim),
        "reason": judgement.reason,
        "numbers": wording.cell_text(judgement),
        "p": wording.p_text(judgement),
        "forecast": wording.forecast_text(judgement),
        "pairs": judgement.pairs,
    }


def alt_of_curves(runs: pd.DataFrame, x: str, hue: str, metrics: Sequence[str]) -> str:
    """Returns in words what comparison curves show: each curve's first and last mean."""
    shown = with_bounds(runs, metrics)
    table = aggregate(runs, x, hue, shown)
    parts = []
    for metric in shown:
        rows = table[(table["metric"] == metric) & (table["n"] > 0)]
        curves = []
        for value, look in looks_in(runs[runs[hue].isin(rows[hue])], hue).items():
            means = rows[rows[hue] == value].groupby(x)["mean"].mean()
            ends = [
                f"{wording.number(means.iloc[i])} at {style.value(means.index[i])}" for i in (0, -1)
            ]
            curves.append(f"{look.label} from {' to '.join(ends)}")
        parts.append(f"{style.metric(metric).label}: {', '.join(curves) or 'no finite value'}")
    return f"Curves against {x}. {'; '.join(parts)}."
