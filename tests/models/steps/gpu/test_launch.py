"""Epochs on a GPU against those on a CPU: `gpu` tests, which need one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mimsweep.models.data.loading import load
from mimsweep.models.steps.choice import steps_for
from mimsweep.models.training.abreast import Abreast
from mimsweep.models.training.cohort import Cohort, Training
from mimsweep.models.training.runs import EpochEnd, Event, Run, RunEnd
from tests.models.cohorts import COHORT

pytest.importorskip("triton", reason="this torch came without Triton")

from mimsweep.models.steps.gpu import launch

RUNS = tuple(Run(f"{seed} {warmup}", seed, 1e-3, warmup, 3) for seed in (1, 2) for warmup in (1, 3))
SHAPES = {
    "mim": replace(COHORT, runs=RUNS),
    "wide": replace(COHORT, mid_dim=500, runs=RUNS),
    "vae": replace(COHORT, model="vae", runs=RUNS),
    "ae": replace(COHORT, model="ae", act="relu", runs=RUNS),
    "many features": replace(COHORT, dataset="toy4_20", z_dim=10, act="swish", runs=RUNS),
    "given items": replace(COHORT, batch_size=100, runs=RUNS),
    "eager": replace(COHORT, p_z="prior", p_z_gmm=4, runs=RUNS),
    "wide and eager": replace(COHORT, layers=3, runs=RUNS),
}


def of(cohort: Cohort, device: str) -> Training:
    return Training(cohort, load(cohort.dataset, Path("nowhere")), device)


@pytest.mark.gpu
@pytest.mark.parametrize("name", SHAPES)
def test_a_gpu_and_a_cpu_agree(name: str) -> None:
    """Losses of three epochs differ by rounding that training amplifies."""
    told = [[e for _ in range(3) for e in of(SHAPES[name], d).epoch()] for d in ("cpu", "cuda")]
    for mine, theirs in zip(*(losses(events) for events in told), strict=True):
        assert mine == pytest.approx(theirs, rel=2e-3, abs=2e-3)


def losses(events: list[Event]) -> list[float]:
    ended = [event for event in events if isinstance(event, EpochEnd)]
    return [value for event in ended for value in (event.train_loss, event.test_loss)]


@pytest.mark.gpu
def test_side_by_side_a_run_is_as_alone() -> None:
    """A program sums in an order of its own, whatever else the GPU does: the same bits."""
    cohorts = [
        replace(cohort, runs=tuple(replace(run, key=f"{name} {run.key}") for run in RUNS))
        for name, cohort in SHAPES.items()
        if "eager" not in name
    ]
    alone = {e.key: e for c in cohorts for e in trained(of(c, "cuda")) if isinstance(e, RunEnd)}
    together = Abreast([of(cohort, "cuda") for cohort in cohorts])
    for event in trained(together):
        if isinstance(event, RunEnd):
            for weight, other in zip(
                event.weights.values(), alone[event.key].weights.values(), strict=True
            ):
                assert torch.equal(weight, other), event.key


def trained(training: Training | Abreast) -> list[Event]:
    events: list[Event] = []
    while training.live:
        events += training.epoch()
    return events


@pytest.mark.parametrize(("name", "kernel"), [(n, "eager" not in n) for n in SHAPES])
def test_what_the_kernel_is_for(name: str, kernel: bool) -> None:
    cohort = SHAPES[name]
    objective = cohort.objective(load(cohort.dataset, Path("nowhere")))
    steps = steps_for(objective, torch.device("cuda"), cohort.batch_size)
    assert (steps is launch) == kernel
    assert steps_for(objective, torch.device("cuda"), 1000) is not launch
