"""Writes docs/reproduction.md: results of the published sweeps beside the published numbers.

    mimsweep results sweeps/bottleneck.yaml --output build/bottleneck.csv
    python benchmarks/reproduction.py build/bottleneck.csv

The stem of a results file names its sweep: `sweeps/published/<stem>.csv` has the published
numbers, `docs/reproduction_notes/<stem>.md`, if there is one, what to say about differences.
"""

import argparse
from pathlib import Path

import pandas as pd

from mimsweep.dashboards.statistics.published import Section, read_published, write_reproduction

ROOT = Path(__file__).resolve().parent.parent
SWEEPS = {
    "expressiveness": ("Expressiveness: hidden width on toy4", "mid_dim"),
    "bottleneck": ("Bottleneck: latent size on toy4_20", "z_dim"),
}


def section(results: Path) -> Section:
    """Returns the section of one results file, whose stem names the sweep."""
    title, x = SWEEPS[results.stem]
    note = ROOT / "docs" / "reproduction_notes" / f"{results.stem}.md"
    return Section(
        title=title,
        results=pd.read_csv(results),
        published=read_published(ROOT / "sweeps" / "published" / f"{results.stem}.csv"),
        x=x,
        note=note.read_text(encoding="utf-8") if note.exists() else "",
    )


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path, help="CSV files of `mimsweep results`")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "reproduction.md")
    options = parser.parse_args()
    unknown = [str(path) for path in options.results if path.stem not in SWEEPS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: a file is named after one of {', '.join(SWEEPS)}")
    write_reproduction([section(path) for path in options.results], options.output)


if __name__ == "__main__":
    main()
