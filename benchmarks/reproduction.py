"""Writes docs/reproduction.md: results of the published sweeps beside the published numbers.

    mimsweep results sweeps/bottleneck.yaml --output build/bottleneck.csv
    python benchmarks/reproduction.py build/bottleneck.csv

The stem of a results file names its sweep: `sweeps/published/<stem>.csv` has the published
numbers, `docs/reproduction_notes/<stem>.md`, if there is one, what to say about differences. Of
the figure on Fashion-MNIST there are no numbers: `bottleneck_fashion` and
`bottleneck_fashion_study`, if both are given, are put side by side.
"""

import argparse
from pathlib import Path

import pandas as pd

from mimsweep.dashboards.statistics.published import read_published
from mimsweep.dashboards.statistics.reproduction import Section, Variants, write_reproduction

ROOT = Path(__file__).resolve().parent.parent
SWEEPS = {
    "expressiveness": ("Expressiveness: hidden width on toy4", "mid_dim"),
    "bottleneck": ("Bottleneck: latent size on toy4_20", "z_dim"),
}
FASHION = {
    "bottleneck_fashion": "test images by the PCA of the training images",
    "bottleneck_fashion_study": "by a PCA of their own, as in the study",
}
FASHION_METRICS = ("mi", "mi_lower", "mi_upper", "nll", "rmse", "knn5")


def section(results: Path) -> Section:
    """Returns the section of one results file, whose stem names the sweep."""
    title, x = SWEEPS[results.stem]
    return Section(
        title=title,
        results=pd.read_csv(results),
        published=read_published(ROOT / "sweeps" / "published" / f"{results.stem}.csv"),
        x=x,
        note=_note(results.stem),
    )


def fashion(files: list[Path]) -> Variants:
    """Returns the section of both sweeps on Fashion-MNIST."""
    results = {FASHION[path.stem]: pd.read_csv(path) for path in files}
    title = "Bottleneck on real data: latent size on Fashion-MNIST, 20 principal components"
    return Variants(title, results, "z_dim", FASHION_METRICS, _note("bottleneck_fashion"))


def _note(stem: str) -> str:
    note = ROOT / "docs" / "reproduction_notes" / f"{stem}.md"
    return note.read_text(encoding="utf-8") if note.exists() else ""


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path, help="CSV files of `mimsweep results`")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "reproduction.md")
    options = parser.parse_args()
    named = {**SWEEPS, **FASHION}
    unknown = [str(path) for path in options.results if path.stem not in named]
    if unknown:
        parser.error(f"{', '.join(unknown)}: a file is named after one of {', '.join(named)}")
    sections: list[Section | Variants] = []
    sections += [section(path) for path in options.results if path.stem in SWEEPS]
    of_fashion = [path for path in options.results if path.stem in FASHION]
    if len(of_fashion) == len(FASHION):
        sections.append(fashion(of_fashion))
    write_reproduction(sections, options.output)


if __name__ == "__main__":
    main()
