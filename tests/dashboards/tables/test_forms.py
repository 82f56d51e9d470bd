"""A table as LaTeX, Markdown, HTML: what a reader of each makes of it."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.tables import latex
from mimsweep.dashboards.tables.latex import escape, to_latex
from mimsweep.dashboards.tables.layout import Block, Cell, Table
from mimsweep.dashboards.tables.markup import to_html, to_markdown

TABLE = Table(
    "a_sweep",
    "latent size z_dim",
    ["VAE, mmd 10 & <more>", "MIM | x_y"],
    ["2", "10"],
    [
        Block(
            "mi_lower",
            [
                [Cell(10, 1.5, 0.1, 1.45, 1.55, ""), None],
                [Cell(10, 2.5, 0.1, 2.4, 2.6, "best", least=True), Cell(9, 3.0, 0.0, 3.0, 3.0, "")],
            ],
        ),
        Block(
            "nll",
            [
                [Cell(10, -4.25, 0.1, -4.35, -4.15, "same"), Cell(10, 7, 1, 6, 8, "")],
                [Cell(10, -4.5, 0.1, -4.6, -4.4, "best"), Cell(1, 8, *[np.nan] * 3, "")],
            ],
        ),
    ],
)
VERSIONS = "Trained with mimsweep 0.1.0 and PyTorch 2.14.1."


def test_latex_has_the_rows_of_booktabs() -> None:
    text = to_latex(TABLE, VERSIONS)
    assert r"VAE, mmd 10 \& $<$more$>$ & $1.500 \pm 0.050$ & -- \\" in text
    assert r"MIM $|$ x\_y & $\mathbf{\geq 2.50 \pm 0.10}$ & $3$ \\" in text
    assert r"VAE, mmd 10 \& $<$more$>$ & \underline{$-4.25 \pm 0.10$} & $7.0 \pm 1.0$ \\" in text
    assert r"\multicolumn{3}{l}{\emph{MI, lower bound (nats) $\uparrow$}} \\" in text
    assert r"\label{tab:a-sweep}" in text
    assert r"mean over 1 to 10 seeds $\pm$ half of its 95 \% interval." in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert f"\\{rule}" in text
    assert text.isascii()
    assert r"$\geq$: a lower bound at its ceiling, log N" in text
    assert "Holm" in text
    assert VERSIONS in text


def table_of(metric: str, cells: list[Cell], rows: list[str]) -> Table:
    return Table("s", "", rows, ["2"], [Block(metric, [[cell] for cell in cells])])


def test_what_latex_would_take_for_its_own_is_guarded() -> None:
    cells = [Cell(1, 12345.0, *[np.nan] * 3, ""), Cell(9, 1e-8, 1e-9, 9e-9, 11e-9, "")]
    text = to_latex(table_of("rmse", cells, ["[a] Жä", "* b"]), VERSIONS)
    assert "\n{}[a] ?ä & $1.234 \\times 10^{4}$ \\\\\n" in text
    assert "\n{}* b & $1.00 \\times 10^{-8} \\pm 1.0 \\times 10^{-9}$ \\\\\n" in text


def test_of_tests_that_were_not_made_nothing_is_said() -> None:
    cells = [Cell(9, 1.0, 0.1, 0.9, 1.1, ""), Cell(9, 2.0, 0.1, 1.9, 2.1, "")]
    text = to_markdown(table_of("rate", cells, ["a", "b"]), VERSIONS)
    assert "bootstrap" in text
    assert "Wilcoxon" not in text
    both = Table(TABLE.name, "", TABLE.rows, TABLE.columns, [*TABLE.blocks, *unmarked()])
    assert "column of Lower bound of mutual information, Negative log-likelihood the" in (
        to_markdown(both, VERSIONS)
    )


def unmarked() -> list[Block]:
    cell = Cell(9, 1.0, 0.1, 0.9, 1.1, "")
    return [Block("rate", [[cell, cell], [cell, cell]])]


@pytest.mark.parametrize("name", [*style.METRICS, *style.FIELDS])
def test_all_that_we_call_things_is_known_to_latex(name: str) -> None:
    for text in (style.metric(name).label, style.metric(name).title, style.field(name)):
        assert escape(text).isascii()
        kept = re.sub(r"\\[a-z]+\{?|[^\w ]", "", escape(text), flags=re.IGNORECASE)
        assert len(kept) >= len(re.findall(r"[a-z]", text, re.IGNORECASE))


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("pdflatex"),
    reason="needs pdflatex and booktabs (Debian: texlive-latex-recommended)",
)
def test_latex_compiles(tmp_path: Path) -> None:
    called = [*(metric.label for metric in style.METRICS.values()), *style.FIELDS.values()]
    called += [latex._LETTERS, "数据"]
    labels = " ".join(map(escape, called))
    document = (
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
        f"{to_latex(TABLE, VERSIONS)}\n\n{labels}\n\\end{{document}}\n"
    )
    (tmp_path / "t.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "t.pdf").stat().st_size > 10_000


def test_markdown_has_a_line_per_row_and_as_many_cells_in_each() -> None:
    lines = to_markdown(TABLE, VERSIONS).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + 2 * 3
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert r"| MIM \| x\_y | **≥ 2.50 ± 0.10** | 3 |" in rows
    assert "| VAE, mmd 10 & \\<more> | _−4.25 ± 0.10_ | 7.0 ± 1.0 |" in rows
    assert lines[-1].endswith(VERSIONS)


def test_html_is_well_formed_and_holds_what_names_hold() -> None:
    page = ET.fromstring(f"<div>{to_html(TABLE, VERSIONS)}</div>")
    heads = [head.text for head in page.iter("th") if head.get("scope") == "row"]
    assert heads == TABLE.rows * 2
    assert [bold.text for bold in page.iter("b")] == ["≥ 2.50 ± 0.10", "−4.50 ± 0.10"]
    assert [under.text for under in page.iter("u")] == ["−4.25 ± 0.10"]
    cells = ["".join(cell.itertext()) for cell in page.iter("td")]
    assert cells[:4] == ["1.500 ± 0.050", "–", "≥ 2.50 ± 0.10", "3"]
