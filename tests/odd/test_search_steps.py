"""Steps of a search come to the decimals that a sweep file has: nothing is trained twice."""

from pathlib import Path

import pytest

from mimsweep.orchestrator.files.search import load_search
from mimsweep.orchestrator.files.space import Dimension
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.search.study import Study

FILE = """\
name: steps
fixed: {{dataset: toy4, model: mim, mid_dim: 4, epochs: 1}}
seeds: 1
space: {{lr: {{float: [0.1, 0.8], step: 0.1}}}}
objective: {{metric: nll, direction: minimize}}
trials: 8
parallel: 8
sampler: {sampler}
"""
TENTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


@pytest.mark.parametrize("sampler", ["grid", "tpe", "random", "qmc"])
def test_a_trial_has_the_runs_of_a_sweep(sampler: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(FILE.format(sampler=sampler))
    search = load_search(tmp_path / "a.yaml")
    study = Study(search, str(tmp_path / "study.log"))
    asked = study.ask()
    assert len(asked) == 8
    of_sweep = {
        RunSpec(dataset="toy4", model="mim", mid_dim=4, epochs=1, lr=lr).run_key for lr in TENTHS
    }
    found = {run.run_key for trial in asked for run in search.runs(trial.params)}
    assert found <= of_sweep
    if sampler != "qmc":  # which repeats points
        assert found == of_sweep
    for number, trial in enumerate(asked):
        study.complete(trial.number, [float(number)], {"nll": {"1": float(number)}})
    assert study.summary().best["params"] == asked[0].params
    assert set(study.table()["lr"]) <= set(TENTHS)


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (Dimension("float", (0.1, 0.8), step=0.1), TENTHS),
        (Dimension("float", (1e-05, 5e-05), step=1e-05), [1e-05, 2e-05, 3e-05, 4e-05, 5e-05]),
        (Dimension("float", (0.0, 0.9), step=0.3), [0.0, 0.3, 0.6, 0.9]),
        (Dimension("float", (-0.3, 0.3), step=0.1), [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]),
        (Dimension("int", (1, 7), step=3), [1, 4, 7]),
        (Dimension("categorical", (0.30000000000000004,)), [0.30000000000000004]),
    ],
)
def test_all_values_are_decimals_as_written(dimension: Dimension, values: list[float]) -> None:
    assert dimension.grid == values
    assert dimension.count == len(values)
    assert [dimension.exact(value) for value in values] == values
    if dimension.kind == "float":
        low, step = dimension.values[0], dimension.step or 0
        sums = [low + step * number for number in range(len(values))]
        assert [dimension.exact(value) for value in sums] == values
        assert all(dimension.has(value) for value in sums)


def test_what_is_no_value_of_a_dimension_stays_as_it_is() -> None:
    steps = Dimension("float", (0.1, 0.8), step=0.1)
    assert [steps.exact(value) for value in (0.15, 0.9, "x", None)] == [0.15, 0.9, "x", None]
    assert not steps.has(float("nan"))
    assert not steps.has(float("inf"))
    assert Dimension("float", (0.1, 0.8)).exact(0.30000000000000004) == 0.30000000000000004
