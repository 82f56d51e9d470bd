"""The critical-difference diagram."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.canvas import to_svg
from mimsweep.dashboards.figures.ranks import critical_difference
from mimsweep.dashboards.statistics.claims.claim import Cell, Claim, Judgement

MODELS = ("mim", "amim", "vae")
CLAIM = Claim("c", "mi", 1, {}, ranks=MODELS, over="model")


def cell(z_dim: int, values: np.ndarray) -> Cell:
    seeds = tuple(map(tuple, values.tolist()))
    return Cell({"z_dim": z_dim}, seeds, 0, 10, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0)


def drawn(*cells: Cell) -> Figure | None:
    return critical_difference(Judgement(CLAIM, "undecided", "", 1.0, 1.0, cells), "a $ sweep")


def test_mean_ranks_and_who_is_joined() -> None:
    apart = np.arange(10.0)[:, None] + [2.0, 1.0, 0.0]
    two = apart.copy()
    two[:, 1] = two[:, 2] + 0.1 * (-1.0) ** np.arange(10)
    figure = drawn(cell(2, apart), cell(4, two), cell(8, np.ones((10, 3))))
    assert figure is not None
    (axes,) = figure.axes
    ranks = {
        (line.get_color(), round(float(np.array(line.get_ydata())[0]))): line.get_xdata()[0]  # type: ignore[index]
        for line in axes.lines
        if line.get_gid() == "rank"
    }
    rows: list[list[float]] = [[1, 2, 3], [1, 2.5, 2.5], [2, 2, 2]]
    for row, expected in enumerate(rows):
        for model, rank in zip(MODELS, expected, strict=True):
            assert ranks[style.MODELS[model].colour, row] == pytest.approx(rank)
    bars = [line for line in axes.lines if line.get_gid() == "together"]
    assert [round(float(np.array(bar.get_ydata())[0])) for bar in bars] == [1, 2]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["z_dim = 2", "z_dim = 4", "z_dim = 8"]
    texts = [text.get_text() for text in axes.texts]
    assert texts[2] == "p 1, n = 10"
    assert to_svg(figure) == to_svg(figure)


def test_without_a_seed_nothing_is_drawn() -> None:
    assert drawn(cell(2, np.empty((0, 3)))) is None
