# ruff: noqa: E501 (a table of files and what is wrong in them)

import math
from pathlib import Path

import pytest

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.search import Objective, load_search
from mimsweep.orchestrator.files.space import Dimension
from mimsweep.orchestrator.files.spec import RunSpec
from tests.paths import ROOT

GOOD = """\
name: warmup
fixed: {dataset: toy4, model: mim}
seeds: 1..3
space:
  warmup: {int: [1, 50], log: true}
objective: {metric: nll, direction: minimize}
trials: 30
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "a.yaml"
    path.write_text(text)
    return path


def test_a_search(tmp_path: Path) -> None:
    search = load_search(written(tmp_path, GOOD))
    assert search.seeds == (1, 2, 3)
    assert search.space == {"warmup": Dimension("int", (1, 50), log=True)}
    assert search.objectives == (Objective(metric="nll", direction="minimize", seeds="mean"),)
    assert (search.trials, search.parallel, search.sampler, search.pruner) == (30, 4, "tpe", "none")
    assert search.default == {"warmup": 3}
    assert search.runs({"warmup": 7}) == [
        RunSpec(dataset="toy4", model="mim", warmup=7, seed=seed) for seed in (1, 2, 3)
    ]
    assert (search.most("warmup"), search.most("epochs")) == (50, 200)


def test_all_kinds_of_dimension(tmp_path: Path) -> None:
    text = GOOD.replace(
        "  warmup: {int: [1, 50], log: true}\n",
        "  warmup: {int: [2, 10], step: 4}\n  lr: {float: [1e-4, 1e-2], log: true}\n"
        "  act: {categorical: [tanh, relu]}\n  inv_h: {categorical: [true, false]}\n",
    )
    space = load_search(written(tmp_path, text)).space
    assert space["warmup"].grid == [2, 6, 10]
    assert space["lr"] == Dimension("float", (1e-4, 1e-2), log=True)
    assert space["lr"].grid is None
    assert space["inv_h"].grid == [True, False]
    assert load_search(written(tmp_path, text)).default is None


def test_settings_of_methods_are_searched_as_all_fields_are(tmp_path: Path) -> None:
    space = "  beta_end: {float: [0.1, 4]}\n  importance_samples: {int: [1, 1]}\n  cycles: {int: [1, 4]}\n"
    text = GOOD.replace("  warmup: {int: [1, 50], log: true}\n", space).replace("mim}", "vae}")
    search = load_search(written(tmp_path, text))
    assert search.default == {"beta_end": 1.0, "importance_samples": 1, "cycles": 1}
    assert search.runs({"beta_end": 0.5, "importance_samples": 1, "cycles": 3}) == [
        RunSpec(dataset="toy4", model="vae", beta_end=0.5, cycles=3, seed=seed)
        for seed in (1, 2, 3)
    ]
    with pytest.raises(SpecError, match="which has no beta_end"):
        load_search(written(tmp_path, text.replace("vae}", "mim}")))


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Dimension("int", (1, 50)), [1, 3, 50], [0, 51, 3.0, True, "3"]),
        (Dimension("int", (2, 10), step=4), [2, 6], [3, 4]),
        (Dimension("float", (0.0, 0.3), step=0.1), [0.1, 0.2, 0.3], [0.15]),
        (Dimension("categorical", (True, "relu")), [True, "relu"], [1, "tanh"]),
    ],
)
def test_what_a_dimension_has(
    dimension: Dimension, inside: list[object], outside: list[object]
) -> None:
    assert [value for value in inside if not dimension.has(value)] == []
    assert [value for value in outside if dimension.has(value)] == []


def test_several_objectives(tmp_path: Path) -> None:
    two = "objective: [{metric: mi, direction: maximize, seeds: worst}, "
    two += "{metric: rmse, direction: minimize, seeds: median}]"
    text = GOOD.replace("objective: {metric: nll, direction: minimize}", two)
    mi, rmse = load_search(written(tmp_path, text)).objectives
    assert mi.join([3.0, 1.0, 2.0]) == 1.0
    assert rmse.join([3.0, 1.0, 8.0]) == 3.0
    assert math.isnan(rmse.join([1.0, math.nan]))
    assert Objective(metric="nll", direction="minimize", seeds="worst").join([1.0, 2.0]) == 2.0


def swapped(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


SPACE = "{int: [1, 50], log: true}"
OBJECTIVE = "{metric: nll, direction: minimize}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (swapped("warmup: {", "warmpu: {"), "5:3: space.warmpu: no such field; did you mean warmup?"),
        (swapped(SPACE, "{int: [50, 1]}"), "5:17: space.warmup.int: [50, 1] runs backwards"),
        (swapped(SPACE, "{int: [0, 50], log: true}"), "5:18: space.warmup.int: 0 is not allowed; with"),
        (swapped(SPACE, "{int: [0, 50]}"), "5:18: space.warmup.int: 0 is not allowed; it must be at"),
        (swapped(SPACE, "{float: [1, 5]}"), "5:20: space.warmup.float: 1.0 is not allowed; it must be"),
        (swapped(SPACE, "{int: [1, 2.5]}"), "5:21: space.warmup.int: 2.5 is not allowed"),
        (swapped(SPACE, "{int: [1]}"), "5:17: space.warmup.int: [1] is not allowed; it must be [lo"),
        (swapped(SPACE, "{int: [1, 50], step: 4}"), "5:32: space.warmup.step: 4 does not lead"),
        (swapped(SPACE, "{int: [1, 5], log: true, step: 2}"), "5:36: space.warmup.step: is not allowed"),
        (swapped(SPACE, "{int: [1, 50], lgo: true}"), "5:26: space.warmup.lgo: no such field; did"),
        (swapped(SPACE, "{int: [1, 50], log: 1}"), "5:31: space.warmup.log: 1 is not allowed"),
        (swapped(SPACE, "{categorical: []}"), "5:25: space.warmup.categorical: the list is empty"),
        (swapped(SPACE, "{categorical: [1, 1]}"), "5:29: space.warmup.categorical: 1 is in the list"),
        (swapped(SPACE, "{categorical: [1], log: true}"), "5:30: space.warmup.log: no such field"),
        (swapped(SPACE, "{categorical: [1, x]}"), "5:29: space.warmup.categorical: 'x' is not allowed"),
        (swapped(SPACE, "{log: true}"), "5:11: space.warmup: must have one of int, float and cat"),
        (swapped(SPACE, "3"), "5:11: space.warmup: 3 is not allowed; write for example {int:"),
        (swapped("  warmup: ", "  seed: "), "5:3: space.seed: the seeds of a trial belong under seeds"),
        (swapped("model: mim}", "model: mim, warmup: 3}"), "5:3: space.warmup: is under fixed too, in"),
        (swapped("model: mim}", "model: mim, seed: 3}"), "2:36: fixed.seed: the seeds of a trial"),
        (swapped("model: mim}", "model: [mim, vae]}"), "several belong under space"),
        (swapped("model: mim}", "model: mmi}"), "2:31: fixed.model: mmi is not allowed"),
        (swapped(", model: mim", ""), "1:1: model: is required, under fixed or space"),
        (swapped("1..3", "[1, -1]"), "3:12: seeds: -1 is not allowed"),
        (swapped("1..3", "3..1"), "3:8: seeds: 3..1 runs backwards"),
        (swapped("metric: nll", "metric: nlll"), "6:21: objective.metric: 'nlll' is not a metric; did"),
        (swapped("metric: nll", "metric: test_loss"), "6:21: objective.metric: 'test_loss' is not a"),
        (swapped("minimize", "minimise"), "6:37: objective.direction: 'minimise' is not a direction"),
        (swapped("minimize}", "minimize, seeds: best}"), "6:54: objective.seeds: 'best' is not a way"),
        (swapped("metric: nll,", "metrik: nll,"), "6:13: objective.metrik: no such field; did you"),
        (swapped(OBJECTIVE, "[]"), "6:12: objective: the list is empty"),
        (swapped(OBJECTIVE, f"[{OBJECTIVE}, {OBJECTIVE}]"), "nll is an objective already"),
        (swapped("trials: 30", "trials: 0"), "7:9: trials: 0 is not allowed; it must be at least 1"),
        (swapped("trials: 30", "trails: 30"), "7:1: trails: no such field; did you mean trials?"),
        (GOOD + "sampler: tpi\n", "8:10: sampler: 'tpi' is not a sampler; did you mean tpe?"),
        (GOOD + "pruner: some\n", "8:9: pruner: 'some' is not a pruner"),
        (
            swapped(SPACE, "{int: [1, 5]}\n  model: {categorical: [mim, ae]}\n  inv_h: {categorical: [true]}")
            .replace(", model: mim", ""),
            "7:25: space.inv_h.categorical: true is not allowed with model ae",
        ),
        (
            swapped("  warmup: " + SPACE, "  lr: {float: [1e-4, 1e-2]}") + "sampler: grid\n",
            "5:7: space.lr: the sampler grid needs a step here",
        ),
        (
            swapped(OBJECTIVE, f"[{OBJECTIVE}, {{metric: mi, direction: maximize}}]") + "pruner: median\n",
            "8:9: pruner: median is not allowed with several objectives",
        ),
        (
            swapped(SPACE, "{int: [1, 5]}\n  model: {categorical: [mim, vae]}")
            .replace(", model: mim", "") + "pruner: hyperband\n",
            "9:9: pruner: hyperband compares test losses, which differ in meaning by model",
        ),
        (swapped("  warmup: " + SPACE + "\n", "  {}\n"), "space"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SpecError) as raised:
        load_search(path)
    assert sentence in str(raised.value)
    assert str(raised.value).startswith(f"{path}:")
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("path", sorted((ROOT / "sweeps").glob("search_*.yaml")), ids=str)
def test_shipped_searches_load_and_say_what_they_ask(path: Path) -> None:
    search = load_search(path)
    assert search.default is not None
    assert path.read_text().splitlines()[1].startswith("# Question: ")
    assert f"search_{search.name}" == path.stem
