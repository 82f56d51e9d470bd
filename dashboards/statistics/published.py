"""Published points of a sweep, and our results beside them."""

from dataclasses import astuple, fields
from pathlib import Path

import pandas as pd

from mimsweep.dashboards.statistics.points import Point, read_points
from mimsweep.dashboards.statistics.seeds import aggregate, facets


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
