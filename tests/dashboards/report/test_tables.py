"""The tables of a report: numbers as text, and what those of MI are worth."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import digamma

from mimsweep.dashboards.report.page import alt_of_curves
from mimsweep.dashboards.report.tables import means_table, runs_table

CEILING = float(digamma(9984) - digamma(5))
BOUNDS = ["mi_lower", "mi_upper", "mi_ceiling", "mi_lower_ceiling"]
DOUBT = "* KSG is in doubt: near its ceiling, or below the lower bound."


def runs() -> pd.DataFrame:
    rows = [
        (model, z_dim, seed, mi, lower, upper)
        for model, z_dim, mi, lower, upper in (
            ("mim", 2, 2.7, 2.5, 2.9), ("mim", 20, 1.8, 9.201, 1e5), ("vae", 2, 0.8, 0.75, 0.85),
        )
        for seed in (1, 2)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["model", "z_dim", "seed", "mi", *BOUNDS[:2]])
    ids = [f"run{i}" for i in range(len(frame))]
    more = {
        "mi_ceiling": CEILING,
        "mi_lower_ceiling": math.log(9984),
        "nll": 1.5,
        "epochs_run": 9.0,
        "seconds": 2.5,
    }
    return frame.assign(run_id=ids, run_name=ids, **more)


def texts(row: list[dict[str, Any]]) -> list[str]:
    return [cell["text"] for cell in row]


def test_means_of_mi_stand_beside_their_bounds_and_say_what_they_are_worth() -> None:
    table = means_table(runs(), "z_dim", "model", ["mi", "nll"])
    bounds = ["MI, lower bound (nats)", "MI, upper bound (nats)"]
    assert table["head"] == ["z_dim", "model", "n", "MI (nats)", *bounds, "NLL (nats)"]
    assert [texts(row) for row in table["rows"]] == [
        ["2", "MIM", "2", "2.7", "2.5", "2.9", "1.5"],
        ["2", "VAE", "2", "0.8", "0.75", "0.85", "1.5"],
        ["20", "MIM", "2", "1.8*", "≥ 9.201 (log N)", "100000", "1.5"],
    ]
    assert [cell["sort"] for cell in table["rows"][2][3:5]] == ["1.8", "9.201"]
    assert table["notes"].startswith(DOUBT)
    assert "can show no more" in table["notes"]


def test_every_run_is_marked_by_its_own_numbers() -> None:
    frame = runs()
    frame.loc[5, "mi"] = 0.7
    table = runs_table(frame, ["mi"], {"run0": "there"})
    marked = [texts(row["cells"])[0] for row in table["rows"]]
    assert marked == ["2.7", "2.7", "1.8*", "1.8*", "0.8", "0.7*"]
    assert len(table["head"]) == len(table["rows"][0]["cells"]) + 1 == 6
    assert [row["link"] for row in table["rows"][:2]] == ["there", ""]
    assert texts(table["rows"][0]["cells"])[-2:] == ["9", "2.5"]


def test_notes_are_on_marks_that_occur() -> None:
    frame = runs()
    small = frame[frame["z_dim"] == 2]
    assert means_table(small, "z_dim", "model", ["mi"])["notes"] == ""
    doubtful = means_table(small.assign(mi=CEILING), "z_dim", "model", ["mi"])
    assert doubtful["notes"] == DOUBT


@pytest.mark.parametrize("lacking", ["columns", "values"])
def test_old_stores_have_their_table_as_before(lacking: str) -> None:
    frame = runs()
    nothing = dict.fromkeys(BOUNDS, np.nan)
    old = frame.drop(columns=BOUNDS) if lacking == "columns" else frame.assign(**nothing)
    table = means_table(old, "z_dim", "model", ["mi", "nll"])
    assert table["head"] == ["z_dim", "model", "n", "MI (nats)", "NLL (nats)"]
    assert table["notes"] == ""
    assert texts(table["rows"][2])[3:] == ["1.8", "1.5"]
    assert runs_table(old, ["mi"], {})["notes"] == ""
    assert means_table(old.iloc[:0], "z_dim", "model", [])["rows"] == []


def test_the_words_for_the_curves_tell_the_bounds() -> None:
    text = alt_of_curves(runs(), "z_dim", "model", ["mi"])
    assert "MI, lower bound (nats): MIM from 2.5 at 2 to 9.2 at 20" in text
