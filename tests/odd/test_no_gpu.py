"""A GPU that is named, by the environment or by an option, on a machine that has none."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from mimsweep.orchestrator.gpus import find_gpus
from tests.odd.ending import MIMSWEEP, SWEEP, slow, statuses

NAMED = ["0", "7", "0,1", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"]


@pytest.fixture(autouse=True)
def _sweep(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if find_gpus().names:
        pytest.skip("this machine has a GPU")
    (here / "s.yaml").write_text(SWEEP)


def run(visible: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [MIMSWEEP, *arguments],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": visible, "NVIDIA_VISIBLE_DEVICES": "all"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("visible", NAMED)
def test_device_cuda_is_refused(visible: str, here: Path) -> None:
    done = run(visible, "run", "s.yaml", "--device", "cuda")
    assert done.returncode == 2
    assert done.stderr == (
        f"mimsweep: --device cuda: no GPU is visible: CUDA_VISIBLE_DEVICES is {visible}, of which "
        "CUDA's driver finds none\n"
    )
    assert os.listdir(here) == ["s.yaml"]


@pytest.mark.parametrize("command", ["plan", slow("run")])
def test_device_auto_is_the_cpu(command: str) -> None:
    done = run("0", command, "s.yaml")
    assert done.returncode == 0, done.stderr
    if command == "run":
        assert statuses() == ["FINISHED"] * 3


def test_doctor_says_what_the_driver_says() -> None:
    done = run("0", "doctor", "--json")
    (devices,) = (check for check in json.loads(done.stdout) if check["name"] == "devices")
    assert devices["state"] == "WARN"
    assert devices["text"].endswith(
        "no GPU: CUDA_VISIBLE_DEVICES is 0, of which CUDA's driver finds none"
    )
