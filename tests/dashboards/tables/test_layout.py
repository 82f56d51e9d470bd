"""Means over seeds as a table, against pandas."""

import numpy as np
import pandas as pd
import pytest

from mimsweep.dashboards.tables.layout import Cell, Table, layout, mixed, number, tidy


def runs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            "run_key": f"{model}{z}{seed}",
            "model": model,
            "z_dim": z,
            "seed": seed,
            "warmup": 3 if model == "vae" else 5,
            "nll": z + seed / 10 + (model == "mim") + rng.normal() / 100,
            "rate": rng.normal(),
        }
        for model in ("vae", "mim")
        for z in (10, 2)
        for seed in range(1, 8)
    ]
    return pd.DataFrame(rows)


def table_of(frame: pd.DataFrame, metrics: list[str]) -> Table:
    named = [frame["model"].str.upper(), frame["z_dim"].astype(str)]
    return layout("sweep", frame, *named, metrics, "z_dim")


def test_cells_are_the_means_over_seeds_in_the_order_of_the_runs() -> None:
    frame = runs()
    table = table_of(frame, ["nll", "rate"])
    assert (table.rows, table.columns) == (["VAE", "MIM"], ["10", "2"])
    assert [block.metric for block in table.blocks] == ["nll", "rate"]
    assert table.seeds == 7
    expected = frame.groupby(["model", "z_dim"])["nll"].agg(["mean", "std"])
    for row, cells in zip(("vae", "mim"), table.blocks[0].cells, strict=True):
        for column, cell in zip((10, 2), cells, strict=True):
            assert cell is not None
            assert (cell.n, cell.mean) == (7, pytest.approx(expected["mean"][row, column]))
            assert cell.std == pytest.approx(expected["std"][row, column])
            assert cell.low < cell.mean < cell.high
            assert cell.half == pytest.approx((cell.high - cell.low) / 2)
    marks = [[cell.mark for cell in cells if cell] for cells in table.blocks[0].cells]
    assert marks == [["best", "best"], ["", ""]]  # less is better
    assert not any(cell.mark for cells in table.blocks[1].cells for cell in cells if cell)


def test_what_was_not_run_or_has_no_value_has_no_cell() -> None:
    frame = runs()
    frame = frame[(frame["model"] == "vae") | (frame["z_dim"] == 2)]
    frame.loc[(frame["model"] == "vae") & (frame["z_dim"] == 2), "nll"] = np.nan
    cells = table_of(frame, ["nll"]).blocks[0].cells
    assert [[cell is not None for cell in row] for row in cells] == [[True, False], [False, True]]


def test_a_lower_bound_at_its_ceiling_says_no_more_than_that() -> None:
    """Of two that are there neither is told to be the better, however surely one is above."""
    frame = runs()
    lower = {"mim": 6.95, "vae": 6.99}
    frame["mi_lower"] = frame["model"].map(lower) + frame["seed"] / 1000
    frame["mi_lower_ceiling"] = 7.0
    cells = [cell for row in table_of(frame, ["mi_lower"]).blocks[0].cells for cell in row if cell]
    assert [cell.mark for cell in cells] == ["best", "best", "same", "same"]
    assert all(cell.least for cell in cells)
    frame["mi_lower_ceiling"] = 9.0
    cells = [cell for row in table_of(frame, ["mi_lower"]).blocks[0].cells for cell in row if cell]
    assert [cell.mark for cell in cells] == ["best", "best", "", ""]
    assert not any(cell.least for cell in cells)
    frame["mi_lower_ceiling"] = frame["model"].map({"mim": 7.0, "vae": 9.0})  # as of data sets
    cells = [cell for row in table_of(frame, ["mi_lower"]).blocks[0].cells for cell in row if cell]
    assert [cell.least for cell in cells] == [False, False, True, True]


def test_fields_that_follow_from_others_mix_nothing() -> None:
    frame = runs()
    assert mixed(frame, ["model", "z_dim"]) == []
    assert mixed(frame, ["z_dim"]) == ["model", "warmup"]
    assert mixed(frame, ["model"]) == ["z_dim"]


def test_tidy_has_a_row_per_cell_with_whole_numbers() -> None:
    frame = runs()
    rows = tidy(table_of(frame, ["nll", "rate"]))
    assert len(rows) == 8
    one = rows[(rows["metric"] == "nll") & (rows["row"] == "MIM") & (rows["column"] == "2")]
    values = frame[(frame["model"] == "mim") & (frame["z_dim"] == 2)]["nll"]
    assert one["mean"].item() == pytest.approx(values.mean(), rel=1e-12)
    assert list(rows["mark"].unique()) == ["best", ""]
    assert tidy(table_of(frame[:0], ["nll"])).empty


@pytest.mark.parametrize(
    ("mean", "half", "expected"),
    [
        (9.2032, 0.0036, ("9.2032", "0.0036")),
        (53.12, 0.74, ("53.12", "0.74")),
        (0.000123456, 0.0000003, ("1.2346e-04", "3.0e-07")),
        (1234.5, 17.0, ("1234", "17")),
        (12345.6, 170.0, ("12346", "170")),
        (-1.5, 0.099, ("-1.500", "0.099")),
        (2.0, 0.0, ("2", "")),
        (1.23456, np.nan, ("1.235", "")),
    ],
)
def test_numbers_have_two_digits_of_their_interval(
    mean: float, half: float, expected: tuple[str, str]
) -> None:
    assert number(Cell(5, mean, 1.0, mean - half, mean + half, "")) == expected
