import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from mimsweep.dashboards.search.figures import draw_search
from mimsweep.dashboards.search.panels import Search
from mimsweep.dashboards.search.table import Objective, by_seed, front, points

NLL, MI = Objective("nll", maximize=False), Objective("mi", maximize=True)


def trials(count: int, objectives: tuple[Objective, ...] = (NLL,), **fields: Any) -> pd.DataFrame:
    """Trials over `fields`; the metric is |warmup - 10|; every fifth was pruned."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        row: dict[str, Any] = {"number": number, "state": "complete", "reason": ""}
        row |= {name: values[number % len(values)] for name, values in fields.items()}
        noise = rng.normal(scale=0.01, size=3)
        for objective in objectives:
            value = abs(row["warmup"] - 10) + noise
            row[objective.metric] = float(value.mean())
            row[f"{objective.metric}_by_seed"] = {str(i + 1): float(v) for i, v in enumerate(value)}
        if number % 5 == 4:
            row |= {o.metric: np.nan for o in objectives} | {"state": "pruned"}
            row |= {f"{o.metric}_by_seed": {} for o in objectives}
        rows.append(row)
    return pd.DataFrame(rows)


def texts(svg: Path) -> str:
    """All texts of a picture; matplotlib leaves each line in a comment."""
    return " ".join(re.findall("<!-- (.*?) -->", svg.read_text(), re.DOTALL))


def searched(objectives: tuple[Objective, ...] = (NLL,), **changes: Any) -> Search:
    given: dict[str, Any] = {
        "name": "warmup", "description": "Costs $1 & $2 <now>", "objectives": objectives,
        "fields": {"warmup": True}, "default": {"warmup": 3}, "importances": {},
    }  # fmt: skip
    return Search(**given | changes)


def test_one_field_and_one_objective(tmp_path: Path) -> None:
    table = trials(12, warmup=[3, 1, 9, 30])
    written = draw_search(table, searched(), tmp_path / "not" / "there")
    assert [path.name for path in written] == [
        "history.png", "history.svg", "slice.png", "slice.svg", "seeds.png", "seeds.svg",
        "trials.csv",
    ]  # fmt: skip
    for path in written:
        if path.suffix == ".png":
            assert imread(path)[..., :3].std() > 0.05
    assert "12 trials: 10 complete, 2 pruned, 0 failed" in texts(written[1])
    assert "Best (warmup = 9) minus default (warmup = 3), paired by seed: nll" in texts(written[5])
    assert str(tmp_path) not in written[5].read_text()
    assert len(pd.read_csv(written[-1])) == 12


def test_several_fields_and_two_objectives(tmp_path: Path) -> None:
    fields = {"warmup": [3, 1, 9], "act": ["tanh", "relu"], "inv_h": [True, False, True, True]}
    shown = searched(
        (NLL, MI), fields=dict.fromkeys(fields, False),
        default={"warmup": 3, "act": "tanh", "inv_h": False},
        importances={"nll": {"warmup": 0.75, "act": 0.25, "inv_h": 0.0}},
    )  # fmt: skip
    written = draw_search(trials(12, (NLL, MI), **fields), shown, tmp_path)
    assert {path.stem for path in written} == {
        "history", "slice", "seeds", "importance", "pareto", "trials",
    }  # fmt: skip


def test_same_trials_same_bytes(tmp_path: Path) -> None:
    table = trials(6, warmup=[3, 1, 9, 30])
    first, second = (
        [path.read_bytes() for path in draw_search(table, searched(), tmp_path / name)]
        for name in "ab"
    )
    assert first == second


@pytest.mark.parametrize("count", [1, 2])
def test_few_trials_without_a_default(tmp_path: Path, count: int) -> None:
    draw_search(trials(count, warmup=[5]), searched(default=None), tmp_path)


def test_extreme_values_are_drawn(tmp_path: Path) -> None:
    table = trials(4, warmup=[1, 2, 4, 8])
    table.loc[0, "nll"] = np.inf
    table.at[0, "nll_by_seed"] = {"1": np.inf, "2": 3.0, "3": 4.0}
    table.loc[1, "nll"] = 1e9
    draw_search(table, searched(), tmp_path)


def test_by_seed_and_points() -> None:
    table = trials(4, warmup=[9, 3])
    assert len(by_seed(table, NLL, ["warmup"])) == 12
    rows = points(table, NLL, ["warmup"])
    assert rows["warmup"].tolist() == [3, 9]
    assert rows["best"].tolist() == [False, True]
    assert (rows["low"] < rows["mean"]).all()
    assert points(table.assign(mi=table["nll"], mi_by_seed=table["nll_by_seed"]), MI, ["warmup"])[
        "best"
    ].tolist() == [True, False]


def test_front() -> None:
    table = pd.DataFrame(
        {"nll": [1.0, 2.0, 3.0, 2.0, np.nan, 1.0], "mi": [1.0, 5.0, 4.0, 5.0, 9.0, 0.0]}
    )
    assert front(table, (NLL, MI)).tolist() == [True, True, False, True, False, False]
