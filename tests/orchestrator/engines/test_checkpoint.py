"""A run that one kind of processor began and another ended."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from mimsweep.models.jit import processor
from mimsweep.orchestrator.engines.base import EpochEnded, Place, RunFinished
from mimsweep.orchestrator.engines.forgetting import METADATA
from mimsweep.orchestrator.engines.training import train
from tests.orchestrator.engines.helpers import specs

HERE = processor("cpu")


def edit(path: Path, fields: dict[str, Any]) -> None:
    """Makes a checkpoint one of another machine, or of an older version."""
    with safe_open(path, framework="pt") as file:
        (run,) = json.loads(file.metadata()[METADATA])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert (run.pop("processors"), run.pop("code")) == ([HERE], "")
    save_file(tensors, path, {METADATA: json.dumps([run | fields])})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"processors": [HERE]}, HERE),
        ({"processors": ["i386"]}, f"i386 then {HERE}"),
        ({"processors": ["i386", HERE]}, f"i386 then {HERE}"),
        ({}, HERE),
    ],
)
def test_a_run_names_all_that_trained_it(
    tmp_path: Path, fields: dict[str, Any], expected: str
) -> None:
    runs = specs(1)
    place = Place("cpu", tmp_path, tmp_path / "checkpoints", checkpoint_seconds=0)
    cut = train(0, runs, place, tuple)
    first, second = next(cut), next(cut)  # the checkpoint of the first epoch is written
    assert isinstance(first, EpochEnded)
    assert isinstance(second, EpochEnded)
    cut.close()
    (path,) = place.checkpoint_dir.glob("*.safetensors")
    edit(path, fields)
    *_, finished, _ = train(0, runs, place, tuple)
    assert isinstance(finished, RunFinished)
    assert finished.processor == expected


@pytest.mark.parametrize(("code", "anew"), [("", False), (None, False), ('{"loss a": "1"}', True)])
def test_a_checkpoint_of_other_code_is_not_gone_on_with(
    tmp_path: Path, code: str | None, anew: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = specs(1)
    place = Place("cpu", tmp_path, tmp_path / "checkpoints", checkpoint_seconds=0)
    cut = train(0, runs, place, tuple)
    next(cut), next(cut)
    cut.close()
    (path,) = place.checkpoint_dir.glob("*.safetensors")
    edit(path, {"processors": ["i386"]} | ({} if code is None else {"code": code}))
    *_, finished, _ = train(0, runs, place, tuple)
    assert isinstance(finished, RunFinished)
    assert (finished.processor == HERE) == anew
    assert (f"{runs[0].run_key}: its checkpoint is of other code" in capfd.readouterr().err) == anew
