"""Orchestrators of one sweep: real processes that live and are killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from mimsweep.orchestrator.tracking.claim import SweepBusyError
from mimsweep.orchestrator.tracking.owner import STALE_SECONDS, Owner
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.orchestrator.stores import start

# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

LONG_AGO = time.time() - STALE_SECONDS - 1
CONTAINED = Owner(socket.gethostname(), 2**22, LONG_AGO, LONG_AGO, "another PID namespace")

ORCHESTRATOR = """
import sys, time
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.tracking.writer import Tracking
tracking = Tracking(sys.argv[1])
parent = tracking.start_sweep("toy", "a sweep", {}, {})
tracking.create_runs(parent, [RunSpec(dataset="toy4", model="mim", seed=2)], {})
print(parent, flush=True)
time.sleep(600)
"""


@pytest.fixture
def other(uri: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another orchestrator of the sweep, alive, and its parent run."""
    process = subprocess.Popen(
        [sys.executable, "-c", ORCHESTRATOR, uri], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def test_second_orchestrator_is_refused_until_the_first_is_dead(
    tracking: Tracking, client: MlflowClient, other: tuple[subprocess.Popen[str], str]
) -> None:
    process, parent_id = other
    with pytest.raises(SweepBusyError, match=rf"process {process.pid} on {socket.gethostname()}"):
        start(tracking)
    assert tracking.close_dead("toy") == []
    (state,) = tracking.statuses("toy").values()
    assert state.status == "RUNNING"
    # Not waited for: a zombie is dead too.
    os.kill(process.pid, signal.SIGKILL)
    while tracking.owner("toy"):
        time.sleep(0.01)
    (state,) = tracking.statuses("toy").values()
    assert state.status == "KILLED"
    assert client.get_run(state.run_id).info.status == "RUNNING"
    assert tracking.close_dead("toy") == [state.run_id]
    assert client.get_run(state.run_id).info.status == "KILLED"
    assert client.get_run(parent_id).info.status == "KILLED"
    assert tracking.close_dead("toy") == []
    start(tracking)


def test_of_two_that_start_at_once_the_later_gives_way(
    tracking: Tracking, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run: Callable[..., object] = MlflowClient.create_run

    def both_create(self: MlflowClient, experiment_id: str, **arguments: object) -> object:
        create_run(self, experiment_id, start_time=1, **arguments)
        return create_run(self, experiment_id, **arguments)

    monkeypatch.setattr(MlflowClient, "create_run", both_create)
    with pytest.raises(SweepBusyError):
        start(tracking)
    later, first = client.search_runs(["1"], order_by=["attributes.start_time DESC"])
    assert (later.info.status, first.info.status) == ("KILLED", "RUNNING")


@pytest.mark.parametrize(
    ("owner", "alive"),
    [
        (Owner.this_process(), True),
        (replace(Owner.this_process(), heartbeat=LONG_AGO), True),
        (replace(Owner.this_process(), started=LONG_AGO, ticks=1), False),
        (Owner("elsewhere", 1, 0.0, time.time() + 3600), True),
        (Owner("elsewhere", 1, 0.0, LONG_AGO), False),
        (replace(CONTAINED, heartbeat=time.time() + 3600), True),
        (replace(CONTAINED, heartbeat=LONG_AGO), False),
        (replace(Owner.this_process(), heartbeat=LONG_AGO, machine=""), True),
        (replace(CONTAINED, heartbeat=time.time() + 3600, machine=""), True),
        (replace(CONTAINED, heartbeat=LONG_AGO, machine=""), False),
    ],
    ids=[
        "this process",
        "this process, silent",
        "pid given to another",
        "heart beats elsewhere",
        "stopped elsewhere",
        "heart beats in a container of our name",
        "stopped in a container of our name",
        "this process, of an older version",
        "heart beats somewhere, of an older version",
        "stopped somewhere, of an older version",
    ],
)
def test_owner_lives(owner: Owner, alive: bool) -> None:
    assert owner.alive() == alive
    read = Owner.from_tags(owner.tags())
    assert read is not None
    assert (read.host, read.pid) == (owner.host, owner.pid)
    assert read.alive() == alive


def test_a_process_lives_though_the_clock_was_set() -> None:
    owner = Owner.from_tags(Owner.this_process().tags())
    assert owner
    assert replace(owner, started=owner.started - 3600).alive()
    assert owner.ticks
    assert not replace(owner, ticks=owner.ticks - 1).alive()
    assert not replace(owner, ticks=None, started=owner.started - 3600).alive()
