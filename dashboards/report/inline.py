"""Figures inside an HTML page: vector, small, and in the page's own light and dark colours."""

import re

from matplotlib.figure import Figure

from mimsweep.dashboards.drawing.canvas import to_svg

_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_IDS = re.compile(r'(\bid="|href="#|url\(#)')
_COLOUR = re.compile(r"#([0-9a-fA-F]{6})(?=[;\"'])")
_LONG = re.compile(r"(?<![\d.])([1-9]\d*\.\d\d)\d+")


def inline_svg(figure: Figure | str, name: str, alt: str) -> str:
    """Returns a figure as an `<svg>` element.

    Colours are CSS variables with what they are in print as fallback (`--0072b2`), so that the page
    can give them others in the dark. Numbers have two digits after the point, in points.

    Args:
        figure: to be shown, itself or as it was saved.
        name: a prefix of its element ids, unique in the page: letters, digits, hyphens.
        alt: what it shows, in words.
    """
    if isinstance(figure, Figure):
        figure.suptitle("")  # the page has a heading
        figure = to_svg(figure)
    svg = _METADATA.sub("", _HEAD.sub("", figure))
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = _IDS.sub(rf"\g<1>{name}-", svg)
    svg = svg.replace("*{stroke-linejoin", f"#{name} *{{stroke-linejoin")
    svg = _COLOUR.sub(lambda match: f"var(--{match[1].lower()}, #{match[1].lower()})", svg)
    svg = _LONG.sub(r"\1", svg)
    label = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg ", f'<svg id="{name}" role="img" aria-label="{label}" ', 1).strip()
