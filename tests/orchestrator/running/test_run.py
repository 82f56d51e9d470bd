"""What `run` says before it trains."""

from pathlib import Path

import pytest
import torch

from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.planning import plan
from mimsweep.orchestrator.running.run import expected
from mimsweep.orchestrator.tracking.writer import MlflowClient
from tests.orchestrator.commands import mimsweep
from tests.orchestrator.conftest import Driver
from tests.paths import ROOT

SWEEP = """\
name: s
fixed: {dataset: toy4, mid_dim: 10, epochs: 2, warmup: 1, model: vae}
grid: {seed: 1..2}
"""
SEARCH = """\
name: s
fixed: {dataset: toy4, mid_dim: 10, epochs: 2, model: vae}
seeds: [1]
space: {warmup: {int: [1, 2]}}
objective: {metric: nll, direction: minimize}
trials: 2
"""


def test_what_is_to_train_is_told_with_the_time_it_takes_at_most() -> None:
    sweep = load_sweep(ROOT / "sweeps" / "bottleneck.yaml")
    some = {run.run_key for run in sweep.runs[:50]}
    told = expected(plan(sweep.name, sweep.runs, some, None, "cpu", 2), "cpu", 2)
    assert told.startswith("bottleneck: 150 of 200 runs to train, in ")
    assert told.endswith(" min if none stops early and nothing else runs")


def test_a_short_sweep_and_one_on_a_gpu_have_no_time(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nfixed: {dataset: toy4, model: vae, epochs: 2, warmup: 1}\n")
    sweep = load_sweep(file)
    planned = plan(sweep.name, sweep.runs, (), None)
    assert expected(planned, "cpu", 1) == "a: 1 of 1 runs to train, in 1 cohorts"
    long = load_sweep(ROOT / "sweeps" / "images_smoke.yaml")
    planned = plan(long.name, long.runs, (), None, "cuda")
    assert expected(planned, "cuda", 1) == "images_smoke: 16 of 16 runs to train, in 16 cohorts"


@pytest.mark.slow
@pytest.mark.skipif(torch.version.cuda is None, reason="this torch is built without CUDA")
@pytest.mark.parametrize(("command", "text"), [("run", SWEEP), ("search", SEARCH)])
def test_a_gpu_that_torch_cant_use_is_told_and_left(
    command: str,
    text: str,
    uri: str,
    client: MlflowClient,
    driver: Driver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver(1, 99000)
    Path("s.yaml").write_text(text)
    done = mimsweep(command, "s.yaml", "--tracking-uri", uri)
    assert done.exit_code == 0, done.output
    told = [line for line in done.stderr.splitlines() if line.startswith("auto: ")]
    assert len(told) == 1
    assert told[0].startswith("auto: 1 core, as vae toy4 z2 m10 ×2 can't be measured on a GPU: ")
    (experiment,) = [each for each in client.search_experiments() if each.name == "s"]
    runs = client.search_runs([experiment.experiment_id])
    assert [run.data.tags["mimsweep.device"] for run in runs] == ["cpu"] * 3
    again = mimsweep(command, "s.yaml", "--tracking-uri", uri)
    assert again.exit_code == 0, again.output
    assert "auto: " not in again.stderr
