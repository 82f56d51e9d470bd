"""The local engine: its slots, and processes that leave nothing behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mimsweep.orchestrator.engines.local import local_slots
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.spec import RunSpec
from tests.orchestrator.engines.helpers import (
    ORCHESTRATOR,
    WITH_PROCESSES,
    children,
    endless,
    local,
    until,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_PROCESSES)
def test_close_leaves_no_process(name: str, tmp_path: Path) -> None:
    before = children()
    engine = WITH_PROCESSES[name](tmp_path, 2)
    engine.submit(0, endless())
    until(engine, lambda events: len(events) > 0)
    engine.submit(1, endless(2))  # it may not have started yet
    assert len(children() - before) >= 2
    start = time.monotonic()
    engine.close()
    assert time.monotonic() - start < 2
    assert children() - before == set()
    engine.close()


@pytest.mark.slow
def test_workers_end_when_their_orchestrator_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORCHESTRATOR, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as orchestrator:
        assert orchestrator.stdout is not None
        assert orchestrator.stdout.readline() == "trains\n"
        assert orchestrator.stdout.readline() == "one is free\n"
        workers = psutil.Process(orchestrator.pid).children(recursive=True)
        assert len(workers) == 2
        # A session of their own: what the terminal sends to the orchestrator's group, e.g. Ctrl-C,
        # does not reach them.
        assert all(os.getsid(worker.pid) == worker.pid for worker in workers)
        orchestrator.kill()
    _, alive = psutil.wait_procs(workers, timeout=10)
    for worker in alive:
        worker.kill()
    assert alive == []


def test_local_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cores = len(os.sched_getaffinity(0))
    assert local_slots("auto", None) == ("cpu", [None] * cores)
    assert local_slots("cpu", 3) == ("cpu", [None] * 3)
    with pytest.raises(SpecError, match="--device cuda: no GPU is visible"):
        local_slots("cuda", None)


def test_the_first_worker_loads_while_nothing_is_to_be_trained(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    engine = local(tmp_path, 2)
    (worker,) = set(psutil.Process().children()) - before
    try:
        assert engine.idle == 2
        assert engine.events(0.1) == []
        engine.submit(0, [RunSpec(dataset="toy4", model="vae", mid_dim=5, epochs=1)])
        assert set(psutil.Process().children()) - before == {worker}
    finally:
        engine.close()
    assert not worker.is_running()
