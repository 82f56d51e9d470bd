import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mimsweep.dashboards.statistics.published import (
    Section,
    compare,
    read_published,
    to_markdown,
    write_reproduction,
)
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


def test_markdown(published: pd.DataFrame) -> None:
    lines = to_markdown(compare(OURS, published, "z_dim"), "z_dim").splitlines()
    assert lines[0] == "### Mutual information, MI (nats)"
    assert lines[2].startswith("| model | z_dim | published | ours |")
    assert (
        lines[4] == "| MIM | 2 | 1.000 ± 0.500 | 0.700 ± 0.141 | 0.600 to 0.800 | 2 | −0.300 |  |"
    )
    assert lines[6] == "| MIM | 4 | 2.000 ± 0.100 | 2.200 |  | 1 | +0.200 | **differs** |"
    assert lines[7] == "| VAE | 4 | 9.000 ± 0.100 | missing |  | 0 |  |  |"


def test_document(published: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "docs" / "reproduction.md"
    sections = [Section("Bottleneck", OURS, published, "z_dim", "Because.\n")]
    write_reproduction(sections, path)
    text = path.read_text()
    assert "| Bottleneck | MI (nats) | 4 | 1 | 2 | 1 | 1 of 1 |" in text
    assert "## Bottleneck\n\nBecause.\n\n### Mutual information" in text
    write_reproduction(sections, path)
    assert path.read_text() == text


def test_command_makes_the_document_from_results(tmp_path: Path) -> None:
    points = read_published(PUBLISHED / "bottleneck.csv")
    wide = points.pivot(index=["model", "x"], columns="metric", values="mean").reset_index()
    results = tmp_path / "bottleneck.csv"
    wide.rename(columns={"x": "z_dim"}).assign(seed=1).to_csv(results, index=False)
    output = tmp_path / "reproduction.md"
    script = ROOT / "benchmarks" / "reproduction.py"
    subprocess.run([sys.executable, script, results, "--output", output], check=True, cwd=ROOT)
    assert "| MI (nats) | 20 | 20 | 0 | 0 | 10 of 10 |" in output.read_text()
