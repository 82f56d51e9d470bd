"""Recorded steps against those of `models.steps.eager`: on a GPU as graphs, on a CPU unrecorded."""

import pytest
import torch

from mimsweep.models.data.loading import load
from mimsweep.models.steps import eager
from mimsweep.models.steps.counted import SeedEpoch
from mimsweep.models.steps.gpu import graphs
from mimsweep.models.steps.sampling import Sampler
from mimsweep.models.training.cohort import Cohort
from mimsweep.models.training.runs import Run
from mimsweep.models.training.stack import Stack

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
MIXTURES = {"p_z": "prior", "p_z_gmm": 4, "q_zx_gmm": 2, "p_xz_gmm": 2}
MODELS = [("mim", {}), ("vae", {}), ("mim", {"q_x_samples": "marginal"}), ("mim", MIXTURES)]


def stack_of(model: str, options: dict[str, str | int], device: str, tmp_path: object) -> Stack:
    runs = tuple(Run(str(seed), seed, 1e-3, 3, 5) for seed in (1, 2, 3))
    fixed = {"inv_h": False, "min_logvar": 6, "batch_size": 100, "q_x_samples": "conditional"}
    cohort = Cohort(
        "toy4", model, z_dim=2, mid_dim=9, layers=2, act="tanh", runs=runs, **{**fixed, **options}
    )  # type: ignore[arg-type]
    data = load("toy4", tmp_path)  # type: ignore[arg-type]
    objective = cohort.objective(data)
    sampler = Sampler(data, 100, 2, torch.device(device), objective.model.choices)
    return Stack(objective, sampler, [run.seed for run in runs])


def epochs(stack: Stack) -> list[list[float]]:
    """Three epochs: with decoder samples for some, a run less, the same shapes again."""
    told = []
    for epoch, seeds in ((1, [1, 2, 3]), (2, [1, 3]), (3, [1, 3])):
        seed_epochs: list[SeedEpoch] = [(seed, epoch) for seed in seeds]
        beta = [0.5, 1.0, 1.0][: len(seeds)]
        told += [
            stack.train_epoch(seed_epochs, [1e-3] * len(seeds), beta),
            stack.test_epoch(seed_epochs),
        ]
        if epoch == 1:
            stack.shrink([0, 2])
    return told


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("model", "options"), MODELS)
def test_epochs_are_those_of_eager(
    model: str, options: dict[str, str | int], device: str, tmp_path: object
) -> None:
    """On a CPU to the bit. A GPU may sum in another order in another launch, and Adam then moves
    a weight whose gradient is rounding by as much as its step, 10⁻³: hence relative to all."""
    expected, stack = (stack_of(model, options, device, tmp_path) for _ in range(2))
    expected.steps, stack.steps = eager, graphs.Graphs()
    losses = torch.tensor(epochs(expected)[-1]), torch.tensor(epochs(stack)[-1])
    rtol = 0.0 if device == "cpu" else 1e-4
    torch.testing.assert_close(losses[1], losses[0], rtol=rtol, atol=rtol)
    for name, values in expected.tensors().items():
        error = (stack.tensors()[name] - values).norm(dim=1) / values.norm(dim=1)
        assert (error <= rtol).all(), name


@pytest.mark.gpu
def test_a_gpu_replays_graphs_and_a_gpu_and_a_cpu_agree(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """After three epochs losses of two devices differ by their rounding, amplified by training."""
    on_gpu, on_cpu = (stack_of("mim", {}, device, tmp_path) for device in ("cuda", "cpu"))
    assert isinstance(on_gpu.steps, graphs.Graphs)
    losses = torch.tensor(epochs(on_gpu)[-1]), torch.tensor(epochs(on_cpu)[-1])
    torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-3)
    assert "not recorded" not in capsys.readouterr().err


def test_few_recordings_are_kept(tmp_path: object) -> None:
    """A recording holds an epoch in the device's memory."""
    stack = stack_of("vae", {}, "cpu", tmp_path)
    stack.steps = recorded = graphs.Graphs()
    for rows in ([0, 1, 2], [0, 1], [0]):
        stack.shrink(rows)
        seed_epochs: list[SeedEpoch] = [(1 + row, 1) for row in rows]
        stack.train_epoch(seed_epochs, [1e-3] * len(rows), [1.0] * len(rows))
        stack.test_epoch(seed_epochs)
    assert len(recorded._recordings) == graphs.KEPT


@pytest.mark.parametrize(
    ("options", "device", "expected"),
    [({}, "cuda", True), ({"q_x": "anchor"}, "cuda", False), ({}, "cpu", False)],
)
def test_what_needs_the_host_is_not_recorded(
    options: dict[str, str | int], device: str, expected: bool, tmp_path: object
) -> None:
    objective = stack_of("mim", options, "cpu", tmp_path).objective
    assert graphs.supports(objective, torch.device(device)) == expected
