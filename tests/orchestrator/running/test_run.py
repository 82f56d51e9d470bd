"""What `run` says before it trains."""

from pathlib import Path

from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.planning import plan
from mimsweep.orchestrator.running.run import expected
from tests.paths import ROOT


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
