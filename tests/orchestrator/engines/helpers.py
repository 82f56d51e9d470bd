"""Every engine to be tried, and what is asked of it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Engine,
    EpochEnded,
    Event,
    Place,
    RunFinished,
)
from mimsweep.orchestrator.engines.choice import choose
from mimsweep.orchestrator.engines.inline import InlineEngine
from mimsweep.orchestrator.engines.local import LocalEngine
from mimsweep.orchestrator.files.spec import RunSpec

MakeEngine = Callable[[Path, int], Engine]


def local(folder: Path, slots: int) -> Engine:
    place = Place("cpu", folder / "data", folder / "checkpoints", checkpoint_seconds=30)
    return LocalEngine([None] * slots, place, folder / "logs")


def inline(folder: Path, slots: int) -> Engine:
    return InlineEngine(Place("cpu", folder / "data", folder / "checkpoints", 30))


def ray(folder: Path, slots: int) -> Engine:
    place = Place("cpu", folder / "data", folder / "checkpoints", 30)
    engine = choose("ray", "cpu", slots, 1.0).make(place, folder)
    until_idle(engine, slots)
    return engine


def slurm(folder: Path, slots: int, **pace: float) -> Engine:
    """In jobs of the cluster at SLURM_CONF, for which fixture `cluster` is wanted."""
    from mimsweep.orchestrator.engines.slurm.engine import Pace, SlurmEngine

    place = Place("cpu", folder / "data", folder / "checkpoints", checkpoint_seconds=0.1)
    return SlurmEngine(place, slots, {}, folder / "logs", Pace(**{"ask": 1.0, **pace}))


ENGINES: dict[str, MakeEngine] = {"local": local, "inline": inline, "ray": ray, "slurm": slurm}
SLOW = {name: [pytest.mark.slow, pytest.mark.xdist_group(name)] for name in ("ray", "slurm")}
WITH_PROCESSES: dict[str, MakeEngine] = {"local": local}

ORCHESTRATOR = """
import sys
from pathlib import Path
from mimsweep.orchestrator.engines.base import Place
from mimsweep.orchestrator.engines.local import LocalEngine
from mimsweep.orchestrator.files.spec import RunSpec
folder = Path(sys.argv[1])
engine = LocalEngine([None, None], Place("cpu", folder, folder, 30), folder)
engine.submit(0, [RunSpec(dataset="toy4", model="mim", warmup=1000, epochs=100000)])
while not engine.events(1.0):
    pass
print("trains", flush=True)
engine.submit(1, [RunSpec(dataset="toy4", model="vae", epochs=1)])
while engine.idle == 0:
    engine.events(1.0)
print("one is free", flush=True)
sys.stdin.read()
"""


def specs(*seeds: int, **fields: object) -> list[RunSpec]:
    """Runs that train in no time: one step an epoch."""
    quick = {"dataset": "toy4", "model": "vae", "mid_dim": 8, "epochs": 3, "batch_size": 10_000}
    return [RunSpec.model_validate({**quick, **fields, "seed": seed}) for seed in seeds]


def endless(seed: int = 1) -> list[RunSpec]:
    return specs(seed, epochs=1_000_000, warmup=1_000_000, batch_size=128)


def until(engine: Engine, done: Callable[[list[Event]], bool], seconds: float = 60) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + seconds
    while not done(events):
        assert time.monotonic() < deadline, f"only {events}"
        events += engine.events(0.2)
    return events


def until_ended(engine: Engine, cohorts: int = 1) -> list[Event]:
    """The events until so many cohorts have ended or are lost."""
    return until(
        engine,
        lambda events: sum(isinstance(e, CohortEnded | CohortLost) for e in events) == cohorts,
    )


def until_idle(engine: Engine, slots: int) -> None:
    """Waits until so many slots are free: one that was lost is made anew, which takes a while."""
    until(engine, lambda _: engine.idle == slots)


def train(engine: Engine, cohort: int, runs: Sequence[RunSpec]) -> list[Event]:
    engine.submit(cohort, runs)
    return until_ended(engine)


def of_run(events: Sequence[Event], run: RunSpec) -> list[Event]:
    return [e for e in events if not isinstance(e, CohortEnded | CohortLost)
            and e.run_key == run.run_key]  # fmt: skip


def kinds(events: Sequence[Event]) -> list[type]:
    return [type(event) for event in events]


def numbers(events: Sequence[Event], run: RunSpec) -> list[object]:
    """All that the events say of a run's training, without how long it took."""
    return [
        (e.metrics | {"seconds": 0}, getattr(e, "weights", None))
        for e in of_run(events, run)
        if isinstance(e, EpochEnded | RunFinished)
    ]


def children() -> set[psutil.Process]:
    found = set(psutil.Process().children(recursive=True))
    return {process for process in found if process.status() != psutil.STATUS_ZOMBIE}
