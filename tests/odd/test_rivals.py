"""Several orchestrators of one sweep: real races, namespaces, and stopped processes."""

from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TypeVar

import pytest

from mimsweep.orchestrator.tracking.claim import SweepBusyError
from mimsweep.orchestrator.tracking.owner import HEARTBEAT_SECONDS, STALE_SECONDS
from mimsweep.orchestrator.tracking.writer import Tracking

T = TypeVar("T")

PAIRS = 15
WAIT = 120.0
SWEEP = """
name: rivals
fixed: {dataset: toy4, model: mim, mid_dim: 100, epochs: 40, warmup: 40}
grid: {z_dim: [2, 3]}
"""
ELSEWHERE = f"""
import sys
from mimsweep.orchestrator.tracking import owner
owner.HEARTBEAT_SECONDS, owner.STALE_SECONDS = {HEARTBEAT_SECONDS / 60}, {STALE_SECONDS / 60}
owner.this_machine = lambda: "another machine of this name"
from mimsweep.orchestrator.cli.main import main
main(sys.argv[1:])
"""
"""The program as another machine, or a container, of the same host name; with a short lease."""


@pytest.fixture
def folder(here: Path) -> Path:
    (here / "rivals.yaml").write_text(SWEEP)
    Tracking(uri(here))
    return here


def uri(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


def rival(uri: str, sweeps: list[str], together: Barrier, found: list[str]) -> None:
    """Starts each sweep at the same instant as its rival; says what came of it."""
    tracking = Tracking(uri)
    for sweep in sweeps:
        together.wait(WAIT)
        try:
            parent_id = tracking.start_sweep(sweep, "", {}, {})
        except SweepBusyError as error:
            found.append(str(error))
            together.wait(WAIT)
        else:
            found.append("")
            together.wait(WAIT)
            tracking.finish_sweep(parent_id, "FINISHED", {})


def race(uri: str, rivals: int, sweeps: list[str]) -> list[list[str]]:
    """What came of each start of each rival: nothing, or why it was refused."""
    context = get_context("spawn")
    together = context.Barrier(rivals)
    with context.Manager() as manager:
        found = [manager.list() for _ in range(rivals)]
        racers = [
            context.Process(target=rival, args=(uri, sweeps, together, each)) for each in found
        ]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(2 * WAIT)
        assert [racer.exitcode for racer in racers] == [0] * rivals
        return [list(each) for each in found]


@pytest.mark.slow
@pytest.mark.parametrize("rivals", [2, 3])
def test_of_rivals_that_start_at_once_one_has_the_sweep(folder: Path, rivals: int) -> None:
    sweeps = [f"new{number}" for number in range(PAIRS)] + ["known"] * PAIRS
    Tracking(uri(folder)).finish_sweep(
        Tracking(uri(folder)).start_sweep("known", "", {}, {}), "FINISHED", {}
    )
    found = race(uri(folder), rivals, sweeps)
    for sweep, *sentences in zip(sweeps, *found, strict=True):
        assert sentences.count("") == 1, (sweep, sentences)
        for sentence in filter(None, sentences):
            assert sentence.startswith(f"the sweep {sweep} is being run already, by process ")
    store = Tracking(uri(folder), create=False)
    assert store.sweeps() == sorted(set(sweeps))
    assert [each.status for each in store.invocations("known")] == ["FINISHED"] * (PAIRS + 1)
    assert store.owner("known") is None
