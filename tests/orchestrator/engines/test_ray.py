"""What is the Ray engine's own; the contract of all engines is in test_local_engine.py."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mimsweep.orchestrator.engines.base import CohortEnded, CohortLost, Engine
from mimsweep.orchestrator.engines.choice import choose
from mimsweep.orchestrator.errors import SpecError
from tests.orchestrator.engines.helpers import (
    children,
    endless,
    kinds,
    ray,
    specs,
    train,
    until,
    until_idle,
)

pytestmark = pytest.mark.xdist_group("ray")

ORCHESTRATOR = """
import sys
from pathlib import Path
from mimsweep.orchestrator.engines.base import Place
from mimsweep.orchestrator.engines.choice import choose
from mimsweep.orchestrator.files.spec import RunSpec
folder = Path(sys.argv[1])
engine = choose("ray", "cpu", 1, 1.0).make(Place("cpu", folder, folder, 30), folder)
while not engine.idle:
    engine.events(1.0)
engine.submit(0, [RunSpec(dataset="toy4", model="mim", warmup=1000, epochs=100000)])
while not engine.events(1.0):
    pass
print("trains", flush=True)
sys.stdin.read()
"""


def actors() -> list[psutil.Process]:
    return [p for p in children() if p.cmdline()[:1] and p.cmdline()[0].startswith("ray::Actor")]


@pytest.fixture
def one_slot(tmp_path: Path) -> Iterator[Engine]:
    made = ray(tmp_path, 1)
    yield made
    made.close()


@pytest.mark.slow
def test_killed_and_hung_actors_lose_their_cohort_and_the_slot_works_again(
    one_slot: Engine,
) -> None:
    one_slot.submit(0, endless())
    until(one_slot, lambda events: len(events) > 2)
    (actor,) = actors()
    actor.kill()
    lost = until(one_slot, lambda events: any(isinstance(e, CohortLost) for e in events))[-1]
    assert isinstance(lost, CohortLost)
    assert lost.reason.startswith("the Ray actor was lost: ")
    assert "see Ray's logs of actor" in lost.details
    until_idle(one_slot, 1)
    one_slot.submit(1, endless())
    until(one_slot, lambda events: len(events) > 2)
    (actor,) = actors()
    actor.send_signal(signal.SIGSTOP)
    one_slot.cancel(1, "no sign of life")
    (lost,) = one_slot.events(0)
    assert isinstance(lost, CohortLost)
    until_idle(one_slot, 1)
    assert kinds(train(one_slot, 2, specs(2)))[-1] is CohortEnded
    # One that dies while idle costs nothing but its start.
    until(one_slot, lambda _: len(actors()) == 1)  # Ray may still be ending the one that hung
    (actor,) = actors()
    actor.kill()
    until(one_slot, lambda events: one_slot.idle == 0)
    until_idle(one_slot, 1)


@pytest.mark.slow
def test_close_leaves_no_process(tmp_path: Path) -> None:
    before = children()
    engine = ray(tmp_path, 2)
    engine.submit(0, endless())
    until(engine, lambda events: len(events) > 0)
    start = time.monotonic()
    engine.close()
    assert time.monotonic() - start < 10
    psutil.wait_procs(children() - before, timeout=5)
    assert children() - before == set()


@pytest.mark.slow
def test_a_killed_orchestrator_leaves_no_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORCHESTRATOR, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as orchestrator:
        assert orchestrator.stdout is not None
        assert orchestrator.stdout.readline() == "trains\n"
        processes = psutil.Process(orchestrator.pid).children(recursive=True)
        assert any("raylet" in process.name() for process in processes)
        # Ray's own agents, which do nothing then, end when they have missed the head for a minute.
        agents = [process for process in processes if "Agent" in process.name()]
        orchestrator.kill()
    _, alive = psutil.wait_procs(set(processes) - set(agents), timeout=20)
    _, alive_agents = psutil.wait_procs(agents, timeout=100)
    for process in [*alive, *alive_agents]:
        process.kill()
    assert (alive, alive_agents) == ([], [])


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:9", "RAY_ADDRESS=127.0.0.1:9: no Ray cluster answers there"),
        ("ray://127.0.0.1:10001", "it must be HOST:PORT"),
        ("somewhere", "it must be HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_told(
    address: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(SpecError, match=sentence):
        choose("ray", "auto", None, 1.0)


@pytest.mark.slow
def test_cuda_needs_a_gpu_in_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray as core

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    try:
        with pytest.raises(SpecError, match="the Ray cluster has no GPU"):
            choose("ray", "cuda", None, 1.0)
    finally:
        core.shutdown()
