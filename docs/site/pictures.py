"""Figures of `mimsweep figures` as the pictures of docs/pictures: small, for light and for dark.

`python docs/site/pictures.py NAME FIGURE.svg ALT…` writes docs/pictures/NAME.svg. Colours are those
of a report: they follow what the reader's system prefers.
"""

import argparse
import re
from importlib.resources import files
from pathlib import Path

from mimsweep.dashboards.report.inline import inline_svg

PICTURES = Path(__file__).parents[1] / "pictures"
LIMIT = 150_000
"""Bytes of a picture, at most."""

_DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{([^}]*)\}")


def picture(figure: str, alt: str) -> str:
    """Returns a saved figure as a picture that needs nothing else.

    Args:
        figure: the SVG as `mimsweep figures` writes it.
        alt: what it shows, in words.
    """
    page = files("mimsweep.dashboards.report") / "templates" / "report.html"
    dark = _DARK.search(page.read_text())
    assert dark, "the report's template has no dark colours"
    colours = " ".join(part for part in dark[1].split() if part)
    style = f"<style>@media (prefers-color-scheme: dark) {{ svg {{ {colours} }} }}</style>"
    svg = inline_svg(figure, "picture", alt)
    svg = re.sub(r"\n\s+", "\n", svg)
    svg = svg.replace("<svg ", '<svg fill="var(--000000, #000000)" ', 1)
    return re.sub(r"(<svg [^>]*>)", rf"\1{style}", svg, count=1) + "\n"


def main() -> None:
    """Writes one picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("figure", type=Path)
    parser.add_argument("alt", nargs="+")
    given = parser.parse_args()
    made = picture(given.figure.read_text(), " ".join(given.alt))
    if len(made.encode()) > LIMIT:
        parser.error(f"{given.figure}: {len(made.encode()):,} bytes, of {LIMIT:,} at most")
    (PICTURES / f"{given.name}.svg").write_text(made)


if __name__ == "__main__":
    main()
