"""Checkpoints of cohorts: from where the runs of a killed worker go on.

A checkpoint is one safetensors file of a cohort's stack, its metadata JSON: it can't execute code.
It is written beside, synced, and renamed, so that a file is there whole or not at all. It belongs
to its runs, not to its cohort: each run goes on from the file in which it is farthest, whatever
cohort it is in now. An unreadable file is as good as none.
"""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mimsweep.models.training.runs import CohortState, Progress
from mimsweep.orchestrator.engines.forgetting import METADATA

Row = list[float]
"""An epoch of a run: its number, then the values of `metrics.EPOCH_METRICS`."""


@dataclass
class Record:
    """What was told of a run so far.

    Attributes:
        epochs: those it has trained.
        seconds: its training time.
        processors: the kinds that trained it, in order.
        code: what `stale.code_of` returned; None if its version of mimsweep didn't say.
    """

    epochs: list[Row]
    seconds: float
    processors: list[str]
    code: str | None = ""


@dataclass(frozen=True)
class Saved:
    """Where a run stood.

    Attributes:
        progress: for `Training.restore`.
        tensors: likewise, each with shape (P,).
        record: what was told of it by then.
    """

    progress: Progress
    tensors: Mapping[str, Tensor]
    record: Record


def write(path: Path, state: CohortState, records: Mapping[str, Record]) -> None:
    """Stores the live runs of a cohort, in place of the checkpoint before.

    Args:
        path: of the file; its folder is made.
        state: of the runs.
        records: of the runs, by key.

    Raises:
        OSError: the disk is full, or can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = [
        {"key": key, "progress": progress, **vars(records[key])}
        for key, progress in zip(state.keys, state.progress, strict=True)
    ]
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        tensors = {name: tensor.cpu().contiguous() for name, tensor in state.tensors.items()}
        save_file(tensors, temporary, {METADATA: json.dumps(runs)})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path} can't be written: {error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def read(folder: Path, keys: Collection[str]) -> dict[str, Saved]:
    """Returns where runs stand in the checkpoints of a folder; those in none are left out."""
    farthest: dict[str, Saved] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for key, saved in _read_file(path, keys).items():
            if key not in farthest or saved.progress["epoch"] > farthest[key].progress["epoch"]:
                farthest[key] = saved
    return farthest


def _read_file(path: Path, keys: Collection[str]) -> dict[str, Saved]:
    try:
        with safe_open(path, framework="pt") as file:
            runs: list[dict[str, Any]] = json.loads(file.metadata()[METADATA])
            rows = [row for row, run in enumerate(runs) if run["key"] in keys]
            tensors = {name: file.get_tensor(name) for name in file.keys()} if rows else {}  # noqa: SIM118
        return {
            runs[row]["key"]: Saved(
                runs[row]["progress"],
                {name: tensor[row] for name, tensor in tensors.items()},
                Record(
                    runs[row]["epochs"],
                    runs[row]["seconds"],
                    runs[row].get("processors", []),  # an older version's has none
                    runs[row].get("code"),
                ),
            )
            for row in rows
        }
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, IndexError):
        return {}
