"""Runs of a user's networks, from the sweep to what is stored, resumed, measured and drawn."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import load

from mimsweep.models import registry
from mimsweep.orchestrator.costs import cohort_limit
from mimsweep.orchestrator.engines.base import EpochEnded, Place
from mimsweep.orchestrator.engines.training import train as training
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.planning import PlannedCohort, plan
from mimsweep.orchestrator.showing.table import results_table
from mimsweep.orchestrator.tracking.runs import WEIGHTS
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import mimsweep
from tests.orchestrator.engines.helpers import ENGINES, SLOW, numbers, specs, train

MODULE = """
import torch
from torch import nn
from mimsweep import register


class Conv(nn.Module):
    def __init__(self, inputs, outputs, width):
        super().__init__()
        self.conv = nn.Conv1d(1, width, 3, padding=1)
        self.last = nn.Linear(width * inputs, outputs)

    def forward(self, x):
        return self.last(torch.relu(self.conv(x.unsqueeze(1))).flatten(1))


register.network(
    "conv1d",
    lambda inputs, outputs, spec: Conv(inputs, outputs, spec.width),
    fields={"width": 4},
)
"""
SWEEP = """
name: few
fixed: {dataset: toy4, mid_dim: 4, epochs: 2, warmup: 1}
grid:
  - {model: [vae], encoder: [conv1d], width: [2, 4], seed: [1, 2]}
  - {model: [mim], encoder: [conv1d], decoder: [conv1d]}
  - {model: [mim]}
"""


@pytest.fixture
def mine(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the user's module and a sweep."""
    (here / "mine.py").write_text(MODULE)
    (here / "few.yaml").write_text(SWEEP)
    for table in ("NETWORKS", "_origins"):
        monkeypatch.setattr(registry, table, {})
    monkeypatch.setenv(registry.VARIABLE, "mine")
    monkeypatch.syspath_prepend(str(here))
    registry.load.cache_clear()
    yield here
    sys.modules.pop("mine", None)
    registry.load.cache_clear()


def results(file: Path) -> pd.DataFrame:
    sweep = load_sweep(file)
    store = Tracking(f"sqlite:///{file.parent / 'mlflow.db'}", create=False)
    return results_table(store.frame(sweep.name), sweep.runs)


@pytest.mark.slow
def test_they_are_trained_stored_measured_anew_and_drawn(mine: Path) -> None:
    file = mine / "few.yaml"
    planned = mimsweep("plan", file)
    assert "encoder=conv1d decoder=mlp width=2" in planned.stdout
    done = mimsweep("run", file, "--engine", "inline")
    assert done.exit_code == 0, done.output
    assert "few: eager steps: a user's network (conv1d), in 5 runs\n" in done.stderr
    before = results(file)
    assert sorted(before["encoder"]) == ["conv1d"] * 5 + ["mlp"]
    assert sorted(before["width"].dropna()) == [2, 2, 4, 4, 4]
    weights = [load(path.read_bytes()) for path in mine.rglob(WEIGHTS)]
    shapes = {w["encoder.conv.weight"].shape for w in weights if "encoder.conv.weight" in w}
    assert shapes == {(2, 1, 3), (4, 1, 3)}
    done = mimsweep("measure", file, "--workers", "1")
    assert done.exit_code == 0, done.output
    pd.testing.assert_frame_equal(results(file), before, check_exact=True)
    drawn = mimsweep("figures", file, "--latent", "--output", "drawn")
    assert "latent pictures of" in drawn.output
    assert mimsweep("run", file).stderr.startswith("few: all 6 runs are complete\n")


def test_one_goes_on_from_its_checkpoint_to_the_same_bits(mine: Path) -> None:
    runs = specs(1, 2, encoder="conv1d", decoder="conv1d", batch_size=1000)
    whole = list(training(0, runs, Place("cpu", mine, mine / "one", 30), tuple))
    place = Place("cpu", mine, mine / "other", checkpoint_seconds=0)
    cut = training(0, runs, place, tuple)
    while not list(place.checkpoint_dir.glob("*.safetensors")):
        assert isinstance(next(cut), EpochEnded)
    cut.close()
    resumed = list(training(1, runs, place, tuple))
    for run in runs:
        assert numbers(resumed, run) == numbers(whole, run)


@pytest.mark.parametrize("name", [pytest.param(n, marks=SLOW.get(n, ())) for n in ENGINES])
def test_every_engine_comes_to_the_same_bits(name: str, mine: Path) -> None:
    runs = specs(1, 2, encoder="conv1d", width=3)
    expected = list(training(0, runs[:1], Place("cpu", mine, mine / "alone", 30), tuple))
    engine = ENGINES[name](mine, 1)
    try:
        events = train(engine, 1, runs)
    finally:
        engine.close()
    assert numbers(events, runs[0]) == numbers(expected, runs[0])


def test_cohorts_of_theirs_stay_whole_and_leave_no_run_alone(mine: Path) -> None:
    registry.load()

    def runs(count: int, **fields: object) -> list[RunSpec]:
        of = {"dataset": "toy4", "model": "vae", "epochs": 200, **fields}
        return [RunSpec.model_validate({**of, "seed": seed}) for seed in range(count)]

    assert len(plan("s", runs(20), (), None, slots=4).cohorts) > 4
    assert len(plan("s", runs(20, encoder="conv1d"), (), None, slots=4).cohorts) == 1
    wide = {"mid_dim": 5000, "encoder": "conv1d"}
    assert cohort_limit(runs(1, mid_dim=5000)[0], "cpu") == 1
    for count in range(2, 12):
        cohorts = plan("s", runs(count, **wide), (), None, slots=4).cohorts
        assert {cohort.size for cohort in cohorts} <= {2, 3}
    label = PlannedCohort(tuple(runs(3, encoder="conv1d", decoder="mlp"))).label
    assert label == "vae encoder conv1d width 4 toy4 z2 m50 ×3"


def test_a_network_of_ours_leaves_key_and_name_as_they_were(mine: Path) -> None:
    plain = RunSpec(dataset="toy4", model="vae")
    said = RunSpec(dataset="toy4", model="vae", encoder="mlp", decoder="mlp")
    assert said.run_key == plain.run_key
    assert said.run_name == plain.run_name
    theirs = RunSpec(dataset="toy4", model="vae", encoder="conv1d")
    assert theirs.run_key != plain.run_key
    assert theirs.run_name == f"{plain.run_name}-encoder_conv1d-width4"
