"""A worker process: trains the cohorts that come through a pipe, and streams events back.

Run as `python -m orchestrator.engines.worker FD DEVICE DATA_DIR`. It ends when the other end of the
pipe is closed, so no worker outlives its orchestrator by more than an epoch.
"""

import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from safetensors.torch import save

from models import cohort as training
from models.data import load
from orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    EpochEnded,
    Event,
    RunFailed,
    RunFinished,
)
from orchestrator.spec import VARIES_IN_COHORT, RunSpec


def main(fd: str, device: str, data_dir: str) -> None:
    """Serves the pipe until it is closed."""
    # One thread: a run's numbers don't depend on its cohort only where no sum is split.
    torch.set_num_threads(1)
    pipe = Connection(int(fd))
    try:
        while True:
            number, runs = pipe.recv()
            for event in _train(number, runs, device, Path(data_dir)):
                pipe.send(event)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _train(number: int, runs: Sequence[RunSpec], device: str, data_dir: Path) -> Iterator[Event]:
    started = time.monotonic()
    try:
        data = load(runs[0].dataset, data_dir)
        for event in training.train(cohort_of(runs), data, device):
            yield _message(event, time.monotonic() - started)
        yield CohortEnded(number)
    except Exception as error:
        yield CohortLost(number, f"{type(error).__name__}: {error}", traceback.format_exc())


def cohort_of(runs: Sequence[RunSpec]) -> training.Cohort:
    """Returns runs, which agree on all fields but `VARIES_IN_COHORT`, as `models` takes them."""
    members = tuple(
        training.Run(key=run.run_key, **{field: getattr(run, field) for field in VARIES_IN_COHORT})
        for run in runs
    )
    shared = [field for field in training.Cohort.__dataclass_fields__ if field != "runs"]
    return training.Cohort(**{field: getattr(runs[0], field) for field in shared}, runs=members)


def _message(event: training.Event, seconds: float) -> Event:
    match event:
        case training.EpochEnd(key=key, epoch=epoch):
            names = ("train_loss", "test_loss", "beta", "lr")
            return EpochEnded(key, epoch, {name: getattr(event, name) for name in names})
        case training.RunEnd(key=key, metrics=metrics, weights=weights):
            return RunFinished(key, {**metrics, "seconds": seconds}, save(weights))
        case training.RunFailed(key=key, reason=reason):
            return RunFailed(key, reason)


if __name__ == "__main__":
    main(*sys.argv[1:])
