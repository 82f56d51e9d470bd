"""Several orchestrators of one sweep: real races, namespaces, and stopped processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from mimsweep.orchestrator.tracking.claim import SweepBusyError
from mimsweep.orchestrator.tracking.owner import HEARTBEAT_SECONDS, STALE_SECONDS, Owner
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.bench import MIMSWEEP, Bench
from tests.odd.ending import stop_between_writes
from tests.test_server_mode import postgres, uri_of

T = TypeVar("T")

PAIRS = 15
WAIT = 120.0
SWEEP = """
name: rivals
fixed: {dataset: toy4, model: mim, mid_dim: 100, epochs: 40, warmup: 40}
grid: {z_dim: [2, 3]}
"""
ELSEWHERE = f"""
import os, sys
from mimsweep.orchestrator.tracking import owner
owner.HEARTBEAT_SECONDS, owner.STALE_SECONDS = {HEARTBEAT_SECONDS / 60}, {STALE_SECONDS / 60}
owner.this_machine = lambda: "another machine of this name, " + str(os.getpid())
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
    together.wait(WAIT)  # the store may be new
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


@contextmanager
def store_of(kind: str, folder: Path) -> Iterator[str]:
    """The URI of a new store."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/new.db"
    elif kind == "postgres":
        with postgres() as login:
            yield uri_of(login)
    else:
        bench = Bench(folder / "server", seed=1)
        bench.serve()
        try:
            yield bench.uri
        finally:
            bench.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "server"])
def test_rivals_of_a_new_sweep_in_a_new_store(kind: str, folder: Path) -> None:
    with store_of(kind, folder) as store:
        found = race(store, 2, [f"new{number}" for number in range(5)])
        for sentences in zip(*found, strict=True):
            assert sorted(map(bool, sentences)) == [False, True], sentences
            assert "is being run already, by process " in "".join(sentences)


def start(folder: Path, *command: str | Path) -> "subprocess.Popen[str]":
    more = ["--device", "cpu", "--workers", "1", "--cohort-size", "1"]
    return subprocess.Popen(
        [*command, "run", "rivals.yaml", *more],
        cwd=folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )


def until(look: Callable[[], T], process: "subprocess.Popen[str]") -> T:
    deadline = time.monotonic() + WAIT
    while not (found := look()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def children(folder: Path, parent_id: str) -> list[str]:
    """The run_ids of an invocation's children that are RUNNING."""
    client = MlflowClient(uri(folder))
    experiment = client.get_experiment_by_name("rivals")
    assert experiment is not None
    query = f"attributes.status = 'RUNNING' and tags.`mlflow.parentRunId` = '{parent_id}'"
    return [run.info.run_id for run in client.search_runs([experiment.experiment_id], query)]


def invocation(folder: Path, number: int) -> str:
    """The run_id of the parent of an invocation whose first run trains, once there is one."""
    found = Tracking(uri(folder)).invocations("rivals")
    if len(found) <= number or not children(folder, found[number].run_id):
        return ""
    return found[number].run_id


@pytest.mark.slow
def test_who_was_stopped_past_its_lease_has_lost_the_sweep(folder: Path) -> None:
    elsewhere = (sys.executable, "-c", ELSEWHERE)
    with start(folder, *elsewhere) as first, start_after(folder, first, elsewhere) as second:
        taken = until(lambda: invocation(folder, 1), second)
        first.send_signal(signal.SIGCONT)
        _, said = first.communicate(timeout=60)
        assert first.returncode == 3, said
        assert "this process has lost the sweep rivals (last heartbeat " in said
        assert f"process {second.pid} on " in said
        assert "it stops, and stores nothing more" in said
        assert "Traceback" not in said
        _, said = second.communicate(timeout=WAIT)
        assert second.returncode == 0, said
    store, client = Tracking(uri(folder)), MlflowClient(uri(folder))
    complete = store.complete("rivals").values()
    parents = {client.get_run(each).data.tags["mlflow.parentRunId"] for each in complete}
    assert (len(complete), parents) == (2, {taken})
    assert [each.status for each in store.invocations("rivals")] == ["KILLED", "FINISHED"]


@contextmanager
def start_after(
    folder: Path, first: "subprocess.Popen[str]", command: tuple[str, ...]
) -> Iterator["subprocess.Popen[str]"]:
    """Stops an orchestrator that trains, and starts another when its lease has run out."""
    until(lambda: Tracking(uri(folder)).latest_parent("rivals"), first)
    until(lambda: invocation(folder, 0), first)
    stop_between_writes(first, folder)
    try:
        time.sleep(STALE_SECONDS / 60 + 1)
        with start(folder, *command) as second:
            yield second
    finally:
        first.send_signal(signal.SIGCONT)


def namespace() -> list[str]:
    """What starts a program in a PID namespace of its own, with the same host name."""
    for more in ([], ["--map-root-user"]) if shutil.which("unshare") else ():
        command = ["unshare", *more, "--pid", "--fork", "--kill-child", "--mount-proc"]
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], check=False).returncode == 0
        ):
            return command
    pytest.skip("this machine allows no PID namespace (unshare --pid --fork --mount-proc)")


@pytest.mark.slow
@pytest.mark.parametrize("inside", ["first", "second"])
def test_a_sweep_in_another_namespace_of_this_host_lives(folder: Path, inside: str) -> None:
    prefix = namespace()
    (folder / "rivals.yaml").write_text(SWEEP.replace(": 40", ": 4000"))  # some 20 s
    before, after = (prefix, []) if inside == "first" else ([], prefix)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri(folder)}
    with start(folder, *before, MIMSWEEP) as first:
        until(lambda: Tracking(uri(folder)).latest_parent("rivals"), first)
        parent_id = until(lambda: invocation(folder, 0), first)

        def other(*arguments: str) -> "subprocess.CompletedProcess[str]":
            command = [*after, MIMSWEEP, *arguments]
            return subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )

        shown = other("status", "rivals.yaml", "--json")
        assert '"killed": 0' in shown.stdout, shown
        assert '"running": 0' not in shown.stdout
        second = other("run", "rivals.yaml", "--device", "cpu")
        assert second.returncode == 2, second.stderr
        assert "the sweep rivals is being run already, by process " in second.stderr
        assert children(folder, parent_id), "the living one's runs were closed"
        _, said = first.communicate(timeout=WAIT)
        assert first.returncode == 0, said
    assert len(Tracking(uri(folder)).complete("rivals")) == 2


@pytest.mark.parametrize("silence", [0.0, 2 * STALE_SECONDS])
def test_a_process_that_the_kernel_hides_from_us_lives_as_long_as_its_heart_beats(
    silence: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where /proc is mounted with hidepid, as on many clusters, other users' processes look gone.
    owner = replace(Owner.this_process(), heartbeat=time.time() - silence)

    def hidden(pid: int) -> psutil.Process:
        raise psutil.NoSuchProcess(pid)

    def of_another_user(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(psutil, "Process", hidden)
    monkeypatch.setattr(os, "kill", of_another_user)
    assert owner.alive() == (silence == 0.0)


@pytest.mark.parametrize(
    ("tag", "value"),
    [("pid", "-1"), ("pid", "0"), ("pid_started", "inf"), ("heartbeat", "nan"), ("host", None)],
)
def test_tags_that_were_edited_to_what_can_be_no_process_name_none(
    tag: str, value: str | None
) -> None:
    tags = Owner.this_process().tags()
    assert Owner.from_tags(tags) is not None
    edited = {**tags, f"mimsweep.{tag}": value}
    assert (
        Owner.from_tags({name: text for name, text in edited.items() if text is not None}) is None
    )
