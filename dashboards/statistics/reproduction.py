"""The document that puts our results beside the published ones, docs/reproduction.md."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.statistics.bounds import saturated
from mimsweep.dashboards.statistics.published import compare
from mimsweep.dashboards.statistics.seeds import aggregate

_INTRO = """# Reproduction of the published curves

Made by `benchmarks/reproduction.py` from the results of complete sweeps (`mimsweep results`) and
the published means in `sweeps/published/`; don't edit it, edit `docs/reproduction_notes/`.

- *published*: mean ± spread, read from the published pictures; a blank spread is hidden behind
  its marker, and the error of reading stands in for it.
- *ours*: mean ± standard deviation over n seeds, and the 95 % bootstrap interval of the mean.
- **differs**: the two means are further apart than both spreads together.
- *same order*: of the x where both have two or more models, those that rank them alike.
- *bounds*: of the mutual information by the encoder's own density, means over the seeds
  ([measures.md](measures.md)); "≥ log N" where the lower one says no more.
"""


@dataclass(frozen=True)
class Section:
    """A sweep of the document that has published points.

    Attributes:
        title: its heading.
        results: a row per complete run.
        published: from `read_published`.
        x: the spec field that the published x are values of.
        note: Markdown on what differs and why; may be empty.
    """

    title: str
    results: pd.DataFrame
    published: pd.DataFrame
    x: str
    note: str = ""


@dataclass(frozen=True)
class Variants:
    """Sweeps of the document that have no published points and differ in one thing, side by side.

    Attributes:
        title: their heading.
        results: by what tells them apart, a row per complete run.
        x: the swept field.
        metrics: what to tell of them.
        note: Markdown on what they say; may be empty.
    """

    title: str
    results: Mapping[str, pd.DataFrame]
    x: str
    metrics: tuple[str, ...]
    note: str = ""


def to_markdown(comparison: pd.DataFrame, x: str) -> str:
    """Returns the comparison as Markdown, a table per metric.

    Args:
        comparison: from `compare`.
        x: the name of the swept field, for the heading of its column.
    """
    return "\n".join(
        f"### {style.metric(str(metric)).title}, {style.metric(str(metric)).label}\n\n"
        f"{_table(rows, x)}"
        for metric, rows in comparison.groupby("metric", sort=False)
    )


def write_reproduction(sections: Iterable[Section | Variants], path: Path) -> None:
    """Writes the document.

    Args:
        sections: the sweeps, in their order in the document.
        path: the Markdown file to write, `docs/reproduction.md`.
    """
    summary: list[list[object]] = []
    parts: list[str] = []
    for section in sections:
        parts.append(
            "\n\n".join(filter(None, [f"## {section.title}", section.note.strip()])) + "\n"
        )
        if isinstance(section, Variants):
            parts.append(side_by_side(section))
            continue
        comparison = compare(section.results, section.published, section.x)
        summary += [[section.title, *row] for row in _summary(comparison)]
        parts += [to_markdown(comparison, section.x), bounds(section.results, section.x)]
    heads = ["sweep", "metric", "points", "agree", "differ", "missing", "same order"]
    text = "\n".join([_INTRO, "## Summary\n", _rows(heads, summary), *parts])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def bounds(results: pd.DataFrame, x: str) -> str:
    """Returns the bounds of mutual information beside its estimate as Markdown.

    Args:
        results: a row per complete run; old ones may lack the bounds.
        x: the swept field.
    """
    names = ["mi", "mi_lower", "mi_upper", "mi_lower_ceiling", "retrieval"]
    if not set(names) <= set(results) or results["mi_lower"].isna().all():
        return "Bounds are not stored for these runs; `mimsweep measure` measures them.\n"
    means = results.groupby(["model", x])[names].mean().reset_index()
    cells: list[list[object]] = []
    for row in means.to_dict("records"):
        open_above = saturated(row["mi_lower"], row["mi_lower_ceiling"])
        upper = "" if open_above else _number(row["mi_upper"], 2)
        lower = "≥ log N" if open_above else _number(row["mi_lower"], 2)
        share = _number(row["retrieval"], 2)
        cells.append([_model(row["model"]), row[x], _number(row["mi"], 2), lower, upper, share])
    heads = ["model", x, "MI by KSG", "lower bound", "upper bound", "retrieval"]
    log_n = _number(means["mi_lower_ceiling"].max(), 2)
    return f"### Bounds of mutual information, nats (log N = {log_n})\n\n{_rows(heads, cells)}"


def side_by_side(variants: Variants) -> str:
    """Returns a table as Markdown, in each cell the means ± standard deviations of all."""
    metrics, x = list(variants.metrics), variants.x
    tables = [aggregate(each, x, "model", metrics) for each in variants.results.values()]
    cells: list[list[object]] = []
    for key, rows in tables[0].groupby(["model", x]):
        model, value = key
        row: list[object] = [_model(model), value]
        for metric in rows["metric"]:
            row.append(" / ".join(_cell(table, model, value, x, metric) for table in tables))
        cells.append(row)
    labels = [style.metric(metric).label for metric in metrics]
    caption = " / ".join(variants.results)
    return f"In each cell: {caption}.\n\n{_rows(['model', x, *labels], cells)}"


def _cell(table: pd.DataFrame, model: object, value: object, x: str, metric: str) -> str:
    chosen = (table["model"] == model) & (table[x] == value) & (table["metric"] == metric)
    if not chosen.any():
        return "missing"
    row = table[chosen].iloc[0]
    return " ± ".join(filter(None, (_number(row[name], 2) for name in ("mean", "std"))))


def _model(name: object) -> str:
    return style.looks("model", [name])[name].label


def _number(given: float, digits: int, sign: str = "") -> str:
    return "" if math.isnan(given) else f"{given:{sign}.{digits}f}".replace("-", "−")


def _summary(comparison: pd.DataFrame) -> list[list[object]]:
    rows: list[list[object]] = []
    for metric, points in comparison.groupby("metric", sort=False):
        differ, missing = int(points["differs"].sum()), int((points["n"] == 0).sum())
        agree = len(points) - differ - missing
        order = _same_order(points)
        label = style.metric(str(metric)).label
        rows.append([label, len(points), agree, differ, missing, order])
    return rows


def _same_order(points: pd.DataFrame) -> str:
    shared = [group for _, group in points[points["n"] > 0].groupby("x") if len(group) > 1]
    same = sum(group["published"].rank().equals(group["mean"].rank()) for group in shared)
    return f"{same} of {len(shared)}"


def _table(rows: pd.DataFrame, x: str) -> str:
    # One digit more than can be read off the pictures.
    digits = max(0, 1 - round(math.log10(rows["reading_error"].iloc[0])))

    def number(given: float, sign: str = "") -> str:
        return _number(given, digits, sign)

    def pair(mean: float, spread: float) -> str:
        return number(mean) if math.isnan(spread) else f"{number(mean)} ± {number(spread)}"

    cells: list[list[object]] = [
        [
            _model(row["model"]),
            row["x"],
            pair(row["published"], row["spread"]),
            pair(row["mean"], row["std"]) or "missing",
            "" if math.isnan(row["low"]) else f"{number(row['low'])} to {number(row['high'])}",
            row["n"],
            number(row["difference"], "+"),
            "**differs**" if row["differs"] else "",
        ]
        for row in rows.to_dict("records")
    ]
    heads = ["model", x, "published", "ours", "95 % interval", "n", "difference", ""]
    return _rows(heads, cells)


def _rows(heads: list[str], rows: list[list[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *([str(cell) for cell in row] for row in rows)]
    # A bar inside a cell, as in q(z|x), would end the cell.
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)
