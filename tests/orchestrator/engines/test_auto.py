"""Which kind of device `auto` comes to: by numbers, and measured on a CPU in both roles."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mimsweep.orchestrator.engines import auto
from mimsweep.orchestrator.engines.auto import Rate, compare, faster, rate
from mimsweep.orchestrator.engines.choice import Choice, choose
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.planning import Plan, plan
from tests.orchestrator.conftest import Driver
from tests.orchestrator.engines.helpers import children, specs

SLOW = "no two epochs in 120 s"


def measured(tmp_path: Path, runs: list[RunSpec], device: str = "cpu") -> Rate:
    return rate(runs, device, None, tmp_path / "data", tmp_path / "logs")


def rivals(cores: int, *gpus: str) -> tuple[Choice, Choice]:
    def never(*_: object) -> object:
        raise AssertionError("no engine is made to measure")

    make: Callable[..., object] = never
    return Choice("cuda", make, gpus), Choice("cpu", make, [None] * cores)  # type: ignore[arg-type]


def planned(runs: list[RunSpec], size: int | None = None) -> Callable[[str, int], Plan]:
    return partial(plan, "a", runs, (), size)


@pytest.mark.parametrize(
    ("on_gpu", "gpus", "on_core", "cores", "wins", "told"),
    [
        (670.4, 2, 25.6, 16, True, "2 GPUs (1,340 run-epochs a second, 16 cores 410)"),
        (400.0, 1, 25.6, 16, False, "16 cores (410 run-epochs a second, 1 GPU 400)"),
        (400.0, 1, 410.0, 1, False, "1 core (410 run-epochs a second, 1 GPU 400)"),
        (0.0123, 1, 0.001, 2, True, "1 GPU (0.0123 run-epochs a second, 2 cores 0.002)"),
        (2.0, 1, 0.0, 2, True, f"1 GPU (2 run-epochs a second, 2 cores: {SLOW})"),
        (1.0, 1, 1.0, 1, False, "1 core (1 run-epochs a second, 1 GPU 1)"),
    ],
)
def test_what_is_faster_in_all_is_taken(
    on_gpu: float, gpus: int, on_core: float, cores: int, wins: bool, told: str
) -> None:
    slow = Rate(on_core, "" if on_core else SLOW)
    assert compare(Rate(on_gpu), gpus, slow, cores) == (wins, told)


def test_a_cohort_is_measured_and_leaves_nothing(tmp_path: Path) -> None:
    before = children()
    # They would end after their first epoch.
    runs = specs(1, 2, epochs=1, warmup=1, batch_size=1000)
    found = measured(tmp_path, runs)
    assert not found.why
    assert 1 < found.value < 10_000
    assert os.listdir(tmp_path) == ["logs"]
    assert children() == before


@pytest.mark.slow
def test_ten_runs_are_faster_than_one_by_eager_steps(tmp_path: Path) -> None:
    fields = {"model": "mim", "q_x_samples": "marginal", "batch_size": 1000}
    one = measured(tmp_path, specs(1, **fields))
    ten = measured(tmp_path, specs(*range(10), **fields))
    assert ten.value > 1.5 * one.value


def test_runs_that_stop_meanwhile_are_measured_until_then(tmp_path: Path) -> None:
    assert measured(tmp_path, specs(1, warmup=1, lr=0.1, batch_size=100)).value > 1


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"dataset": "pca-fashion-mnist20"}, "is not the file of Fashion-MNIST"),
        ({"lr": 1e30, "warmup": 1, "batch_size": 128}, "the training loss turned nan in epoch "),
    ],
)
def test_what_cant_be_trained_has_no_rate(
    fields: dict[str, object], why: str, tmp_path: Path
) -> None:
    broken = tmp_path / "data" / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz"
    broken.parent.mkdir(parents=True)
    broken.touch()
    found = measured(tmp_path, specs(1, **fields))
    assert found.value == 0
    assert why in found.why


def test_what_takes_too_long_has_no_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "LIMIT", 0.1)
    assert measured(tmp_path, specs(1)) == Rate(0.0, "no two epochs in 0 s")


def test_a_gpu_that_cant_be_used_leaves_the_cores(tmp_path: Path) -> None:
    gpus, cores = rivals(16, "")  # CUDA shows none by that name
    runs = specs(1, 2, 3)
    chosen, line = faster(gpus, cores, planned(runs), tmp_path, tmp_path)
    assert chosen is cores
    assert line.startswith("auto: 2 cores, as vae toy4 z2 m8 ×3 can't be measured on a GPU: ")
    assert "CUDA" in line or "NVIDIA" in line
    assert "\n" not in line


@pytest.mark.slow
def test_a_cohort_of_either_size_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def on_cpu(runs: list[RunSpec], device: str, gpu: str | None, *folders: Path) -> Rate:
        seen.append((len(runs), device, gpu, runs[0].mid_dim))
        return rate(runs, "cpu", None, *folders)

    monkeypatch.setattr(auto, "rate", on_cpu)
    gpus, cores = rivals(1, "3", "4", "4")
    runs = [*specs(*range(70), mid_dim=5, batch_size=128), *specs(1, batch_size=128)]
    chosen, line = faster(gpus, cores, planned(runs), tmp_path, tmp_path)
    # On a core cohorts have at most 64 runs, and are about as large as each other.
    assert seen == [(70, "cuda", "3", 5), (35, "cpu", None, 5)]
    assert line.endswith("), measured on vae toy4 z2 m5 ×70, ×35 on a core")
    assert chosen is (gpus if line.startswith("auto: 2 GPUs (") else cores)


def test_image_models_go_to_gpus_unmeasured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(auto, "rate")
    run = RunSpec(dataset="dynamic_mnist", model="convhvae_2level", z_dim=8, epochs=3, warmup=1)
    gpus, cores = rivals(16, "0", "1")
    assert faster(gpus, cores, planned([run]), tmp_path, tmp_path) == (
        gpus,
        "auto: 1 GPU, not measured: an epoch of convhvae_2level takes minutes on a core",
    )


@pytest.mark.parametrize("engine", ["local", "inline"])
def test_only_auto_has_rivals(engine: str, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimsweep.orchestrator.gpus._torch", lambda: ("2.9", "13.0"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver(2, 99000)
    choice = choose(engine, "auto", None, 1.0)
    gpus, cores = (1, 1) if engine == "inline" else (2, len(os.sched_getaffinity(0)))
    assert (choice.kind, list(choice.slots)) == ("cuda", ["0", "1"][:gpus])
    assert choice.rival is not None
    assert (choice.rival.kind, list(choice.rival.slots)) == ("cpu", [None] * cores)
    assert choose(engine, "cuda", None, 1.0).rival is None
    assert choose(engine, "cpu", None, 1.0).rival is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert choose(engine, "auto", None, 1.0).rival is None
