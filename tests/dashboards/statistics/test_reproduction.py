"""The document of the reproduction: tables of known numbers."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from mimsweep.dashboards.statistics.published import compare, read_published
from mimsweep.dashboards.statistics.reproduction import (
    Section,
    Variants,
    bounds,
    side_by_side,
    to_markdown,
    write_reproduction,
)
from tests.dashboards.statistics.test_published import OURS, PUBLISHED, published, runs
from tests.paths import ROOT

__all__ = ["published"]


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


def test_bounds_say_where_they_say_no_more() -> None:
    ours = OURS.assign(mi_lower=[1.0, 2.0, 0.5, 0.5, 9.2], mi_upper=[2.0, 3.0, 0.5, 0.5, 80.0])
    ours = ours.assign(mi_lower_ceiling=9.21, retrieval=0.5)
    assert bounds(ours, "z_dim").splitlines() == [
        "### Bounds of mutual information, nats (log N = 9.21)",
        "",
        "| model | z_dim | MI by KSG | lower bound | upper bound | retrieval |",
        "| --- | --- | --- | --- | --- | --- |",
        "| MIM | 2 | 0.70 | 1.50 | 2.50 | 0.50 |",
        "| MIM | 4 | 2.20 | ≥ log N |  | 0.50 |",
        "| VAE | 2 | 0.52 | 0.50 | 0.50 | 0.50 |",
    ]
    for old in (OURS, ours.assign(mi_lower=float("nan"))):
        assert bounds(old, "z_dim").startswith("Bounds are not stored")


def test_variants_stand_side_by_side() -> None:
    other = runs(("mim", 2, 1.0), ("vae", 2, 3.0))
    text = side_by_side(Variants("", {"one": OURS, "two": other}, "z_dim", ("mi",)))
    assert text.splitlines() == [
        "In each cell: one / two.",
        "",
        "| model | z_dim | MI (nats) |",
        "| --- | --- | --- |",
        "| MIM | 2 | 0.70 ± 0.14 / 1.00 |",
        "| MIM | 4 | 2.20 / missing |",
        "| VAE | 2 | 0.52 ± 0.00 / 3.00 |",
    ]
