"""Runs are taken out of checkpoints; what others have in them stays, to the bit."""

from pathlib import Path

import torch

from mimsweep.models.training.runs import CohortState
from mimsweep.orchestrator.engines.checkpoint import Record, read, write
from mimsweep.orchestrator.engines.forgetting import PASSES, forget


def save(folder: Path, *keys: str) -> None:
    tensors = {name: torch.randn(len(keys), 7) for name in ("weights", "adam.first")}
    progress = [
        {"epoch": 3.0 + row, "best_epoch": 2.0, "best_loss": 1.5} for row in range(len(keys))
    ]
    records = {key: Record([[1, 2.0, 3.0, 1.0, 1e-3]], 4.5, ["i386"]) for key in keys}
    write(folder / f"{keys[0]}.safetensors", CohortState(list(keys), progress, tensors), records)


def test_others_of_a_file_stay(tmp_path: Path) -> None:
    save(tmp_path, "a", "b", "c")
    save(tmp_path, "d")
    before = read(tmp_path, {"a", "c", "d"})
    forget(tmp_path, {"b", "e"})
    after = read(tmp_path, {"a", "b", "c", "d"})
    assert set(after) == {"a", "c", "d"}
    for key, saved in after.items():
        assert saved.progress == before[key].progress
        assert saved.record == before[key].record
        for name, tensor in saved.tensors.items():
            assert torch.equal(tensor, before[key].tensors[name])


def test_a_folder_with_nothing_left_goes(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    save(folder, "a", "b")
    (folder / PASSES).mkdir()
    (folder / PASSES / "pass.safetensors").write_bytes(b"1")
    forget(folder, {"a"})
    assert sorted(path.name for path in folder.iterdir()) == ["a.safetensors"]
    forget(folder, {"b"})
    assert not folder.exists()
    forget(folder, {"b"})


def test_what_cannot_be_read_stays(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"no checkpoint")
    forget(tmp_path, {"a"})
    assert (tmp_path / "broken.safetensors").read_bytes() == b"no checkpoint"
