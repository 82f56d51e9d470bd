"""Our results beside the published ones, point by point, as a table and as a document."""

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.statistics.points import Point, read_points
from mimsweep.dashboards.statistics.seeds import aggregate, facets

_INTRO = """# Reproduction of the published curves

Made by `benchmarks/reproduction.py` from the results of complete sweeps (`mimsweep results`) and
the published means in `sweeps/published/`; don't edit it, edit `docs/reproduction_notes/`.

- *published*: mean ± spread, read from the published pictures; a blank spread is hidden behind
  its marker, and the error of reading stands in for it.
- *ours*: mean ± standard deviation over n seeds, and the 95 % bootstrap interval of the mean.
- **differs**: the two means are further apart than both spreads together.
- *same order*: of the x where both have two or more models, those that rank them alike.
"""


@dataclass(frozen=True)
class Section:
    """One sweep of the document.

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


def read_published(path: Path) -> pd.DataFrame:
    """Returns the published points of a sweep: a row per point, a column per field of `Point`.

    Args:
        path: as `read_points` takes it.

    Raises:
        ValueError: the file is wrong.
    """
    columns = [field.name for field in fields(Point)]
    return pd.DataFrame([astuple(point) for point in read_points(path)], columns=columns)


def compare(frame: pd.DataFrame, published: pd.DataFrame, x: str) -> pd.DataFrame:
    """Returns each published point beside ours.

    Args:
        frame: a row per complete run.
        published: from `read_published`.
        x: the spec field that the published x are values of.

    Returns:
        A row per published point, in that order: `metric`, `model`, `x`, `published`, `spread`,
        `reading_error`, ours as `mean`, `std`, `low`, `high`, `n` (0 where there is none),
        `difference` (ours − published) and `differs`: whether it exceeds our standard deviation
        and the published spread together.

    Raises:
        ValueError: our runs vary in more than x, model and seed, so a mean would mix them.
    """
    extra = facets(frame, x, "model")
    if extra:
        raise ValueError(f"the runs vary in {', '.join(extra)} too; compare one value at a time")
    metrics = list(dict.fromkeys(published["metric"]))
    ours = aggregate(frame, x, "model", metrics).rename(columns={x: "x"})
    both = published.rename(columns={"mean": "published"})
    both = both.merge(ours, how="left", on=["metric", "model", "x"])
    both["n"] = both["n"].fillna(0).astype(int)
    both["difference"] = both["mean"] - both["published"]
    # A single seed has no spread of its own, which makes the test stricter, never laxer.
    room = both["std"].fillna(0) + both["spread"].fillna(both["reading_error"])
    both["differs"] = both["difference"].abs() > room
    order = ["metric", "model", "x", "published", "spread", "reading_error"]
    return both[[*order, "mean", "std", "low", "high", "n", "difference", "differs"]]


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


def write_reproduction(sections: Iterable[Section], path: Path) -> None:
    """Writes the document that puts our results beside the published ones.

    Args:
        sections: the sweeps, in their order in the document.
        path: the Markdown file to write, `docs/reproduction.md`.
    """
    summary: list[list[object]] = []
    parts: list[str] = []
    for section in sections:
        comparison = compare(section.results, section.published, section.x)
        summary += [[section.title, *row] for row in _summary(comparison)]
        note = f"{section.note.strip()}\n\n" if section.note.strip() else ""
        parts.append(f"## {section.title}\n\n{note}{to_markdown(comparison, section.x)}")
    heads = ["sweep", "metric", "points", "agree", "differ", "missing", "same order"]
    text = "\n".join([_INTRO, "## Summary\n", _rows(heads, summary), *parts])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


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
        return "" if math.isnan(given) else f"{given:{sign}.{digits}f}".replace("-", "−")

    def pair(mean: float, spread: float) -> str:
        return number(mean) if math.isnan(spread) else f"{number(mean)} ± {number(spread)}"

    cells: list[list[object]] = [
        [
            style.looks("model", [row["model"]])[row["model"]].label,
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
