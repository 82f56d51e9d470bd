"""Figures of `mimsweep figures` as the pictures of docs/pictures: small, for light and for dark.

`python docs/site/pictures.py NAME FIGURE.svg ALT` writes docs/pictures/NAME.svg. Colours are those
of a report: they follow what the reader's system prefers.
"""

import argparse
import base64
import io
import re
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from PIL import Image

from mimsweep.dashboards.report.inline import inline_svg

PICTURES = Path(__file__).parents[1] / "pictures"
LIMIT = 150_000
"""Bytes of a picture, at most."""

_SCALE = 1.5
"""Pixels of a point, where there is room."""

_DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{([^}]*)\}")
_STYLE = re.compile(r'style="([^"]*)"')
_IMAGE = re.compile(r"(data:image/png;base64,)([A-Za-z0-9+/=\s]+)")
_USED = re.compile(r'(href="#|url\(#)([^")]*)')


def picture(figure: str, alt: str) -> str:
    """Returns a saved figure as a picture that needs nothing else.

    Args:
        figure: the SVG as `mimsweep figures` writes it.
        alt: what it shows, in words.
    """
    page = files("mimsweep.dashboards.report") / "templates" / "report.html"
    dark = _DARK.search(page.read_text())
    assert dark, "the report's template has no dark colours"
    rules = [f"@media (prefers-color-scheme: dark) {{svg {{{' '.join(dark[1].split())}}}}}"]
    svg = _compact(inline_svg(figure, "picture", alt))
    names = {
        style: f"s{number}"
        for number, (style, count) in enumerate(Counter(_STYLE.findall(svg)).items())
        if count > 2
    }
    rules += [f".{name} {{{style}}}" for style, name in names.items()]
    svg = _STYLE.sub(lambda m: f'class="{names[m[1]]}"' if m[1] in names else m[0], svg)
    box = re.search(r'viewBox="0 0 ([\d.]+) ', svg)
    assert box, "a figure has a size"
    width = round(_SCALE * float(box[1]))
    svg = svg.replace("<svg ", f'<svg width="{width}" fill="var(--000000, #000000)" ', 1)
    return re.sub(r"(<svg [^>]*>)", rf"\1<style>{' '.join(rules)}</style>", svg, count=1) + "\n"


def _compact(svg: str) -> str:
    """Returns an SVG to a tenth of a point, without comments and ids that nobody uses."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = _IMAGE.sub(lambda m: m[1] + _in_few_colours(m[2]), svg)
    svg = re.sub(r' d="([^"]*)"', lambda m: f' d="{"".join(_path(m[1]))}"', svg)
    svg = re.sub(r' (x|y)="(-?[\d.]+)"', lambda m: f' {m[1]}="{float(m[2]):.1f}"', svg)
    used = sorted({found[2] for found in _USED.finditer(svg)} | {"picture"})
    short = {name: f"i{number}" for number, name in enumerate(used)}
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{short[m[1]]}"' if m[1] in short else "", svg)
    svg = _USED.sub(lambda m: m[1] + short[m[2]], svg)
    svg = svg.replace("#picture *", f"#{short['picture']} *")
    return re.sub(r"\n\s*", "\n", svg)


def _in_few_colours(text: str) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    file = io.BytesIO()
    image.quantize(32, method=Image.Quantize.FASTOCTREE).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _path(text: str) -> Iterator[str]:
    """Yields the steps of a path, straight lines as differences, which are shorter to write."""
    x = y = 0
    for step, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", text):
        tenths = [round(10 * float(number)) for number in numbers.split()]
        if step == "L":
            yield f"l{_tenth(tenths[0] - x)} {_tenth(tenths[1] - y)}"
        else:
            yield step + " ".join(map(_tenth, tenths))
        if tenths:
            x, y = tenths[-2:]


def _tenth(count: int) -> str:
    whole = f"{count / 10:.1f}".removesuffix(".0")
    return re.sub(r"^(-?)0\.", r"\1.", whole)


def main() -> None:
    """Writes one picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("figure", type=Path)
    parser.add_argument("alt")
    given = parser.parse_args()
    made = picture(given.figure.read_text(), given.alt)
    if len(made.encode()) > LIMIT:
        parser.error(f"{given.figure}: {len(made.encode()):,} bytes, of {LIMIT:,} at most")
    (PICTURES / f"{given.name}.svg").write_text(made)


if __name__ == "__main__":
    main()
