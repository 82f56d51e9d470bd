"""Figures to files: the same input gives the same bytes, and no path or date gets into them."""

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure


def wrapped(text: str, width: float) -> str:
    """Returns text in lines of so many characters, with nothing that matplotlib takes for TeX."""
    return textwrap.fill(text, int(width)).replace("$", r"\$")  # else matplotlib reads TeX in it


def save(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Writes `stem`.png and `stem`.svg into a folder; returns their paths."""
    title = figure.get_suptitle().replace("\n", " ").replace(r"\$", "$")
    png, svg = folder / f"{stem}.png", folder / f"{stem}.svg"
    undated = {"Title": title, "Software": None}
    replace(png, lambda part: figure.savefig(part, format="png", metadata=undated))
    unsigned = {"Title": title, "Date": None, "Creator": None}
    replace(svg, lambda part: figure.savefig(part, format="svg", metadata=unsigned))
    return [png, svg]


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes beside `path`, then renames, so that a killed process leaves no half file."""
    part = path.with_name(f".{path.name}.part")
    write(part)
    os.replace(part, path)
