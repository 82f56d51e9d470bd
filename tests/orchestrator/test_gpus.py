"""Which GPUs are found, by drivers made for the test: with so many GPUs, of a version of CUDA."""

import os

import pytest
import torch

from mimsweep.orchestrator.engines.local import local_slots
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.gpus import Gpus, find_gpus
from tests.orchestrator.conftest import Driver


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 2, ["0", "1"]),
        ("1,0", 2, ["1", "0"]),
        ("2, GPU-1f", 2, ["2", "GPU-1f"]),
        ("0,7,1", 1, ["0"]),  # CUDA shows those before the first that is not there
        ("0,-1,1", 1, ["0"]),
    ],
)
def test_gpus_that_are_there(
    visible: str | None,
    count: int,
    names: list[str],
    driver: Driver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver(count, 99000)
    monkeypatch.setattr("mimsweep.orchestrator.gpus._torch", lambda: ("2.9", "13.0"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert find_gpus() == Gpus(names)
    assert local_slots("auto", None) == ("cuda", names)
    assert local_slots("cuda", 3) == ("cuda", [*names, *names, *names][:3])
    assert local_slots("cpu", 1) == ("cpu", [None])


@pytest.mark.parametrize("visible", ["0", "7", "GPU-1f", "nonsense", "", "-1", " ", None])
def test_gpus_that_are_not_there(
    visible: str | None, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(0, 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert local_slots("auto", None) == ("cpu", [None] * len(os.sched_getaffinity(0)))
    with pytest.raises(SpecError, match="--device cuda: no GPU is visible: CUDA"):
        local_slots("cuda", None)


def test_a_torch_that_cant_use_the_gpu(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver(1, 12040)
    monkeypatch.setattr("mimsweep.orchestrator.gpus._torch", lambda: ("2.9", "13.0"))
    text = "this torch (2.9) is for CUDA 13.0, the driver for CUDA 12"
    assert find_gpus() == Gpus([], text, wrong=True)
    monkeypatch.setattr("mimsweep.orchestrator.gpus._torch", lambda: ("2.9+cpu", None))
    assert find_gpus() == Gpus([], "this torch (2.9+cpu) is built without CUDA", wrong=True)


@pytest.mark.gpu
def test_torch_sees_as_many() -> None:
    assert len(find_gpus().names) == torch.cuda.device_count() > 0
