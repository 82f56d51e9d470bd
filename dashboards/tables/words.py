"""What a table says of itself, in any form."""

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.tables.layout import Table

_ARROWS = {1: " ↑", -1: " ↓", 0: ""}


def arrow(metric: str) -> str:
    """Returns which way a metric is better."""
    return _ARROWS[style.metric(metric).better]


def caption(table: Table, best: str, same: str) -> str:
    """Returns what is shown, with how the best and those not told from it look."""
    what = ", ".join(style.metric(block.metric).title for block in table.blocks)
    text = f"{what}: mean over {_seeds(table)}"
    text += " ± half of its 95 % interval." if table.seeds > 1 else "."
    cells = [cell for b in table.blocks for row in b.cells for cell in row if cell]
    marked = {cell.mark for cell in cells}
    if "best" in marked:
        text += f" The best of a column is {best}"
        text += f", what isn't statistically different from it {same}." if "same" in marked else "."
    if any(cell.least for cell in cells):
        text += " ≥: a lower bound at its ceiling, log N, which can show no more."
    return text


def method(table: Table, versions: str) -> str:
    """Returns a paragraph for a paper: seeds, interval, test, correction, versions."""
    text = f"Each number is a mean over {_seeds(table)}"
    if table.seeds < 2:
        return f"{text}, of which nothing can be said of its spread. {versions}"
    text += ", with half of the width of its 95 % percentile bootstrap interval (9,999 resamples)."
    compared = [b for b in table.blocks if any(c and c.mark for row in b.cells for c in row)]
    if compared:
        names = ", ".join(style.metric(block.metric).title for block in compared)
        of = f" of {names}" if len(compared) < len(table.blocks) else ""
        text += (
            f" In each column{of} the others were compared with the best by a two-sided exact "
            "Wilcoxon signed-rank test over runs of equal seeds, corrected by Holm's procedure "
            "over the comparisons of the column; those with p ≥ 0.05 are marked as not different, "
            "which doesn't show that they are equal."
        )
    return f"{text} {versions}"


def _seeds(table: Table) -> str:
    counts = {cell.n for b in table.blocks for row in b.cells for cell in row if cell}
    least, most = min(counts, default=0), max(counts, default=0)
    return f"{most} seed{'s' * (most != 1)}" if least == most else f"{least} to {most} seeds"
