"""Finds runs in checkpoints, and takes them out, without torch, which the orchestrator lacks."""

import json
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

METADATA = "mimsweep"
"""Key of a checkpoint's metadata: a JSON list with an object for each of its runs, in order."""

PASSES = "data"
"""The folder, among checkpoints, of training passes that are kept for the runs of a seed."""


def keys_in(folder: Path) -> set[str]:
    """Returns the keys of the runs in the checkpoints of a folder."""
    keys: set[str] = set()
    for path in folder.glob("*.safetensors"):
        with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError):
            keys |= _keys_of(path)
    return keys


def _keys_of(path: Path) -> set[str]:
    with safe_open(path, framework="np") as file:
        return {run["key"] for run in json.loads(file.metadata()[METADATA])}


def forget(folder: Path, keys: Collection[str]) -> None:
    """Takes runs out of all checkpoints of a folder; what others have in them stays.

    Training passes go: they can be drawn again. So does a folder that has nothing left.

    Args:
        folder: of the checkpoints of a sweep.
        keys: of the runs.
    """
    for path in folder.glob("*.safetensors"):
        with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError):
            _forget(path, keys)
    shutil.rmtree(folder / PASSES, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


def _forget(path: Path, keys: Collection[str]) -> None:
    with safe_open(path, framework="np") as file:
        runs = json.loads(file.metadata()[METADATA])
        kept = [row for row, run in enumerate(runs) if run["key"] not in keys]
        if len(kept) == len(runs):
            return
        if not kept:
            path.unlink()
            return
        tensors = {name: np.ascontiguousarray(file.get_tensor(name)[kept]) for name in file.keys()}  # noqa: SIM118
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, {METADATA: json.dumps([runs[row] for row in kept])})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
