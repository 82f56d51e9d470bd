"""A table as LaTeX, for `booktabs` and pdfLaTeX without further packages."""

import re

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.tables.layout import Block, Cell, Table, number
from mimsweep.dashboards.tables.words import arrow, caption, method

_ESCAPED = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "→": r"$\to$",
    "‖": r"$\Vert$", "½": r"$\frac{1}{2}$", "∞": r"$\infty$", "…": r"\dots{}", "·": r"$\cdot$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "\N{RIGHT SINGLE QUOTATION MARK}": "'", "—": "---",
    "–": "--", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$",
    "λ": r"$\lambda$", "μ": r"$\mu$", "σ": r"$\sigma$", "τ": r"$\tau$", "ψ": r"$\psi$",
    **dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", (f"$^{digit}$" for digit in range(10)), strict=True)),
    **dict(zip("₀₁₂₃₄₅₆₇₈₉", (f"$_{digit}$" for digit in range(10)), strict=True)),
}  # fmt: skip
_LETTERS = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßŒœŠšŽž"
_MARKS = {"best": r"$\mathbf{{{}}}$", "same": r"\underline{{${}$}}", "": "${}$"}


def to_latex(table: Table, versions: str) -> str:
    """Returns the table as a float with caption and label, and a paragraph on its method."""
    columns = len(table.columns)
    lines = [
        r"% \usepackage{booktabs} in the preamble",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(caption(table, 'bold', 'underlined'))}}}",
        rf"\label{{tab:{''.join(c if c.isalnum() and c.isascii() else '-' for c in table.name)}}}",
        rf"\begin{{tabular}}{{l{'r' * columns}}}",
        r"\toprule",
        _row([escape(table.corner), *map(escape, table.columns)]),
    ]
    for block in table.blocks:
        lines += [r"\midrule", *_block(block, table)]
    ends = [r"\bottomrule", r"\end{tabular}", r"\end{table}", "", escape(method(table, versions))]
    return "\n".join([*lines, *ends, ""])


def _block(block: Block, table: Table) -> list[str]:
    metric = style.metric(block.metric)
    title = rf"\emph{{{escape(metric.label + arrow(block.metric))}}}"
    lines = [rf"\multicolumn{{{1 + len(table.columns)}}}{{l}}{{{title}}} \\"]
    for name, cells in zip(table.rows, block.cells, strict=True):
        lines.append(_row([escape(name), *map(_cell, cells)]))
    return lines


def _row(cells: list[str]) -> str:
    text = " & ".join(cells)
    guard = "{}" if text.startswith(("[", "*")) else ""  # else it is of the row end before it
    return rf"{guard}{text} \\"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    mean, half = number(cell)
    text = re.sub(
        r"e([+-]\d+)",
        lambda power: rf" \times 10^{{{int(power[1])}}}",
        rf"{mean} \pm {half}" if half else mean,
    )
    return _MARKS[cell.mark].format(rf"\geq {text}" if cell.least else text)


def escape(text: str) -> str:
    """Returns a text as LaTeX has it, with ? for what pdfLaTeX may not know."""
    return "".join(_ESCAPED.get(c, c if c.isascii() or c in _LETTERS else "?") for c in text)
