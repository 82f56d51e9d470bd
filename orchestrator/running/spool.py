"""Results on their way to the tracking store, on disk, so that none is lost if it can't take them.

A result is two files named by its run_key: the weights, then a JSON file of all else, each written
beside and renamed. It is there once the JSON file is.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.tracking.runs import CODE, PROCESSOR

Row = tuple[int, Mapping[str, float]]
"""An epoch, and its metrics."""


@dataclass(frozen=True)
class Result:
    """All that a finished run leaves in the store.

    Attributes:
        run: its spec.
        epochs: all its epochs.
        metrics: the final ones.
        weights: content of a safetensors file.
        snapshots: likewise, of each epoch; empty where none were kept.
        profile: numbers of each latent dimension, by name.
        processor: the kind that trained it; empty if it isn't known.
        code: what `stale.code_of` returned as it was trained.
    """

    run: RunSpec
    epochs: Sequence[Row]
    metrics: Mapping[str, float]
    weights: bytes
    snapshots: bytes = b""
    profile: Mapping[str, list[float]] = field(default_factory=dict)
    processor: str = ""
    code: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """How it was trained, as far as that is known."""
        return {n: v for n, v in ((PROCESSOR, self.processor), (CODE, self.code)) if v}


class Spool:
    """The results of one sweep that the store does not have yet."""

    def __init__(self, folder: Path) -> None:
        """Uses `folder`, which is made when there is something to put into it."""
        self._folder = folder

    def put(self, result: Result) -> None:
        """Writes a result.

        Raises:
            OSError: the disk is full, or can't be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        key = result.run.run_key
        content = {
            "spec": result.run.model_dump(),
            "epochs": result.epochs,
            "metrics": dict(result.metrics),
            "profile": dict(result.profile),
            "processor": result.processor,
            "code": result.code,
        }
        self._write(f"{key}.safetensors", result.weights)
        if result.snapshots:
            self._write(f"{key}.snapshots", result.snapshots)
        self._write(f"{key}.json", json.dumps(content).encode())

    def results(self) -> Iterator[Result]:
        """Yields what is in the spool; one that is damaged, or of an older version, is left out."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                content = json.loads(path.read_bytes())
                run = RunSpec.model_validate(content["spec"])
                if run.run_key != path.stem:
                    continue
                weights = path.with_suffix(".safetensors").read_bytes()
                epochs = [(int(epoch), metrics) for epoch, metrics in content["epochs"]]
                film = path.with_suffix(".snapshots")
                snapshots = film.read_bytes() if film.exists() else b""
                more = [content.get("profile", {})]
                more += [content.get(name, "") for name in ("processor", "code")]
                yield Result(run, epochs, content["metrics"], weights, snapshots, *more)
            except (OSError, ValueError, KeyError, TypeError):
                continue

    def count(self) -> int:
        """Returns how many results there are."""
        return len(list(self._folder.glob("*.json")))

    def remove(self, run_key: str) -> None:
        """Removes a result, which the store has now."""
        for ending in ("json", "safetensors", "snapshots"):
            with suppress(OSError):
                (self._folder / f"{run_key}.{ending}").unlink()

    def _write(self, name: str, content: bytes) -> None:
        temporary = self._folder / f".{name}.{os.getpid()}"
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / name)
        finally:
            temporary.unlink(missing_ok=True)
