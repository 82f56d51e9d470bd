"""Figures to files: the same input gives the same bytes, and no path or date gets into them."""

import functools
import io
import logging
import os
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from mimsweep.dashboards.drawing import style

P = ParamSpec("P")
T = TypeVar("T")

# Families that have what DejaVu Sans lacks, the scripts of Asia above all. Of characters that none
# of them has, matplotlib draws a box.
_MORE_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans JP"),
    *("Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "SimHei"),
    *("Yu Gothic", "Malgun Gothic", "NanumGothic", "IPAexGothic", "IPAGothic", "Arial Unicode MS"),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji", "Unifont"),
)


def styled(function: Callable[P, T]) -> Callable[P, T]:
    """Makes a function draw in our style, whatever the user's matplotlib is set to."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with matplotlib.rc_context(_settings()), _quiet_about_fonts():
            return function(*args, **kwargs)

    return wrapper


@contextmanager
def _quiet_about_fonts() -> Iterator[None]:
    """Keeps matplotlib from telling which characters, or bold ones, no font has."""
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def _settings() -> Any:  # noqa: ANN401  # as of style.RC
    """Returns what matplotlib is set to while it draws, but for the user's window system."""
    defaults: Any = matplotlib.rcParamsDefault
    there = {font.name for font in fontManager.ttflist}
    fonts = [style.RC["font.family"], *(name for name in _MORE_FONTS if name in there)]
    settings = {**defaults, **style.RC, "font.family": fonts}
    del settings["backend"]
    return settings


def wrapped(text: str, width: float) -> str:
    """Returns text in lines of so many characters, with nothing that matplotlib takes for TeX."""
    return textwrap.fill(text, int(width)).replace("$", r"\$")  # else matplotlib reads TeX in it


@styled
def save(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Writes `stem`.png and `stem`.svg into a folder; returns their paths."""
    _lay_out(figure)
    png, svg = folder / f"{stem}.png", folder / f"{stem}.svg"
    undated = {"Title": title_of(figure), "Software": None}
    replace(png, lambda part: figure.savefig(part, format="png", metadata=undated))
    replace(svg, lambda part: part.write_text(to_svg(figure), encoding="utf-8"))
    return [png, svg]


@styled
def to_svg(figure: Figure) -> str:
    """Returns a figure as an SVG document."""
    _lay_out(figure)
    text = io.StringIO()
    unsigned = {"Title": title_of(figure), "Date": None, "Creator": None}
    figure.savefig(text, format="svg", metadata=unsigned)
    return text.getvalue()


def _lay_out(figure: Figure) -> None:
    """Places everything, once and for all: else each file costs a second drawing to do it."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine(None)


def title_of(figure: Figure) -> str:
    """Returns a figure's title in one line of plain text."""
    return figure.get_suptitle().replace("\n", " ").replace(r"\$", "$")


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes beside `path`, then renames, so that a killed process leaves no half file."""
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
    except OSError as error:
        error.filename = error.filename or os.fspath(path)  # of a full disk Python knows no name
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)
