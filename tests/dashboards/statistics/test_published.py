from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mimsweep.dashboards.statistics.published import compare, read_published
from tests.paths import ROOT

PUBLISHED = ROOT / "sweeps" / "published"

POINTS = """\
# a comment
# error of reading a mean: mi=0.01
metric,model,x,mean,spread
mi,mim,2,1.0,0.5
mi,vae,2,0.5,
mi,mim,4,2.0,0.1
mi,vae,4,9.0,0.1
"""


@pytest.fixture
def published(tmp_path: Path) -> pd.DataFrame:
    path = tmp_path / "points.csv"
    path.write_text(POINTS)
    return read_published(path)


def runs(*rows: tuple[str, int, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["model", "z_dim", "mi"])
    return frame.assign(seed=range(len(frame)))


OURS = runs(("mim", 2, 0.6), ("mim", 2, 0.8), ("vae", 2, 0.52), ("vae", 2, 0.52), ("mim", 4, 2.2))


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("expressiveness", [5, 20, 50, 100, 200, 300, 400, 500]),
        ("bottleneck", [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
    ],
)
def test_published_files_are_whole(name: str, sizes: list[int]) -> None:
    points = read_published(PUBLISHED / f"{name}.csv")
    assert len(points) == 4 * 2 * len(sizes)
    assert not points.duplicated(["metric", "model", "x"]).any()
    for _, curve in points.groupby(["metric", "model"]):
        assert list(curve["x"]) == sizes
    assert points["mean"].notna().all()
    assert (points["reading_error"] > 0).all()
    assert "arXiv 1910.03175" in (PUBLISHED / f"{name}.csv").read_text()


def test_a_missing_error_of_reading_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text(POINTS.replace("mi=0.01", "nll=0.01"))
    with pytest.raises(ValueError, match="no error of reading for mi"):
        read_published(path)


def test_compare_known_answers(published: pd.DataFrame) -> None:
    table = compare(OURS, published, "z_dim")
    assert list(table["n"]) == [2, 2, 1, 0]
    assert list(table["difference"][:3]) == pytest.approx([-0.3, 0.02, 0.2])
    # Within both spreads; beyond the error of reading; beyond the spread; not there.
    assert list(table["differs"]) == [False, True, True, False]
    assert np.isnan(table["difference"].iloc[3])


def test_runs_that_vary_in_more_are_refused(published: pd.DataFrame) -> None:
    frame = OURS.assign(warmup=[3, 25, 3, 25, 3])
    with pytest.raises(ValueError, match="vary in warmup"):
        compare(frame, published, "z_dim")
