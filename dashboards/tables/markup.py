"""A table as Markdown and as HTML."""

import html

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.tables.layout import Cell, Table, number
from mimsweep.dashboards.tables.words import arrow, caption, method

_MARKDOWN = {"best": "**{}**", "same": "_{}_", "": "{}"}
_HTML = {"best": "<b>{}</b>", "same": "<u>{}</u>", "": "{}"}


def to_markdown(table: Table, versions: str) -> str:
    """Returns caption, table and method as Markdown (GitHub's)."""
    lines = [caption(table, "bold", "in italics"), ""]
    lines += [_line([table.corner, *table.columns]), _line(["---", *["---:"] * len(table.columns)])]
    for block in table.blocks:
        title = f"*{_escaped(_title(block.metric))}*"
        lines.append(_line([title, *[""] * len(table.columns)], plain=True))
        for name, cells in zip(table.rows, block.cells, strict=True):
            shown = [_shown(cell, _MARKDOWN) for cell in cells]
            lines.append(_line([_escaped(name), *shown], plain=True))
    return "\n".join([*lines, "", method(table, versions), ""])


def to_html(table: Table, versions: str) -> str:
    """Returns a table element, whose method is a paragraph behind it; for any page."""
    columns = "".join(f'<th scope="col">{html.escape(each)}</th>' for each in table.columns)
    lines = [
        "<table>",
        f"<caption>{html.escape(caption(table, 'bold', 'underlined'))}</caption>",
        f'<thead><tr><th scope="col">{html.escape(table.corner)}</th>{columns}</tr></thead>',
    ]
    for block in table.blocks:
        title, span = html.escape(_title(block.metric)), 1 + len(table.columns)
        head = f'<tr><th scope="rowgroup" colspan="{span}">{title}</th></tr>'
        lines += ["<tbody>", head]
        for name, cells in zip(table.rows, block.cells, strict=True):
            shown = "".join(f"<td>{_shown(cell, _HTML)}</td>" for cell in cells)
            lines.append(f'<tr><th scope="row">{html.escape(name)}</th>{shown}</tr>')
        lines.append("</tbody>")
    return "\n".join([*lines, "</table>", f"<p>{html.escape(method(table, versions))}</p>", ""])


def _title(metric: str) -> str:
    return style.metric(metric).label + arrow(metric)


def _shown(cell: Cell | None, marks: dict[str, str]) -> str:
    if cell is None:
        return "–"
    mean, half = (text.replace("-", "−") for text in number(cell))
    text = f"{mean} ± {half}" if half else mean
    return marks[cell.mark].format(f"≥ {text}" if cell.least else text)


def _line(cells: list[str], plain: bool = False) -> str:
    return f"| {' | '.join(cells if plain else map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\|*_`<" else c for c in text)
