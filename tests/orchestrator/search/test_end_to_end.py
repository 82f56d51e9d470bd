"""The command itself: real processes, killed and started again."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from tests.test_server_mode import postgres

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
FILE = """\
name: small
fixed: {{dataset: toy4, model: mim, mid_dim: 5, epochs: {epochs}}}
seeds: {seeds}
space:
  warmup: {space}
objective: {objective}
trials: {trials}
parallel: {parallel}
pruner: {pruner}
"""
PLAIN = {
    "epochs": 3, "seeds": "1..2", "space": "{int: [1, 50], log: true}", "trials": 6, "parallel": 3,
    "pruner": "none", "objective": "{metric: nll, direction: minimize}",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MIMSWEEP_CHECKPOINT_SECONDS", "1")
    return tmp_path


def write(folder: Path, **values: object) -> None:
    (folder / "small.yaml").write_text(FILE.format(**PLAIN | values))


def start(*options: str) -> "subprocess.Popen[str]":
    command = [str(BIN / "mimsweep"), "search", "small.yaml", "--json", *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )


def search(*options: str, code: int = 0) -> dict[str, Any]:
    with start(*options) as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    result: dict[str, Any] = json.loads(output) if output else {"error": errors}
    return result


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{folder}/mlflow.db?mode=rw", uri=True)) as database:
        return database.execute(query).fetchall()


def finished(folder: Path) -> list[str]:
    """The run_key of each complete run, as often as it is complete."""
    query = """
        SELECT key.value FROM runs JOIN tags key USING (run_uuid) JOIN tags done USING (run_uuid)
        WHERE runs.status = 'FINISHED' AND key.key = 'mimsweep.run_key'
        AND done.key = 'mimsweep.complete'"""
    return [key for (key,) in rows(folder, query)]


def trials() -> list[FrozenTrial]:
    backend = JournalFileBackend(".mimsweep/optuna/small.log")
    return optuna.load_study(study_name="small", storage=JournalStorage(backend)).trials


def trials_in(url: str) -> list[FrozenTrial]:
    storage = RDBStorage(url)
    try:
        return optuna.load_study(study_name="small", storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def some_finished(folder: Path) -> bool:
    try:
        return len(finished(folder)) >= 3
    except sqlite3.OperationalError:
        return False  # there is no store yet, or no schema


@contextmanager
def storages(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], Any]]:
    """The options that choose a storage, and what loads the study from there."""
    if kind == "journal":
        yield [], trials
        return
    with postgres() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        url = "postgresql+psycopg://"  # libpq's variables say the rest
        yield ["--storage", url], lambda: trials_in(url)


@pytest.mark.parametrize("kind", ["journal", "postgres"])
def test_a_killed_search_goes_on(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with storages(kind, monkeypatch) as (options, load):
        killed_and_started_again(folder, options, load)


def killed_and_started_again(
    folder: Path, options: list[str], load: Callable[[], list[FrozenTrial]]
) -> None:
    write(folder, trials=10, parallel=4, epochs=8)
    with start(*options) as process:
        until(lambda: some_finished(folder))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert any(trial.state == TrialState.RUNNING for trial in load())
    result = search(*options)
    assert (result["trials"], result["complete"], result["failed"]) == (10, 10, 0)
    states = [trial.state for trial in load()]
    assert states.count(TrialState.COMPLETE) == 10
    assert set(states) == {TrialState.COMPLETE, TrialState.FAIL}
    keys = finished(folder)
    assert len(keys) == len(set(keys))
    assert rows(folder, "SELECT count(*) FROM runs WHERE status = 'RUNNING'") == [(0,)]
    assert search(*options) == result
    assert len(finished(folder)) == len(keys)


def test_an_interrupted_search_leaves_nothing_running_and_refuses_company(folder: Path) -> None:
    write(folder, trials=20, epochs=200, space="{int: [40, 50]}")
    with start() as process:
        until(lambda: Path(".mimsweep/optuna/small.log").exists() and trials())
        assert "is being run already" in search(code=2)["error"]
        until(lambda: rows(folder, "SELECT * FROM tags WHERE key = 'mimsweep.run_key'"))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    states = {trial.state for trial in trials()}
    assert TrialState.RUNNING not in states
    assert rows(folder, "SELECT count(*) FROM runs WHERE status = 'RUNNING'") == [(0,)]


def test_a_pruned_trial_leaves_the_stack_before_its_last_epoch(folder: Path) -> None:
    lr = "{int: [39, 40]}\n  lr: {float: [1.0e-6, 1.0e-2], log: true}"
    write(folder, trials=10, parallel=2, epochs=300, pruner="median", space=lr)
    result = search()
    assert result["pruned"] > 0
    assert result["pruned"] + result["complete"] == result["trials"] == 10
    query = """
        SELECT run_uuid, status, max(step) FROM runs JOIN metrics USING (run_uuid)
        WHERE key = 'test_loss' GROUP BY run_uuid"""
    epochs = {run: last for run, status, last in rows(folder, query) if status == "KILLED"}
    killed = rows(folder, "SELECT run_uuid FROM runs WHERE status = 'KILLED'")
    assert epochs
    assert {run for (run,) in killed} >= set(epochs)
    assert min(epochs.values()) < 300  # one judged by its last epoch is pruned, too
    # Of a pruned trial one seed may have stopped early, and be complete, before.
    assert 2 * result["complete"] <= len(finished(folder)) < 2 * 10


def test_two_objectives_and_what_is_stored_on_the_parent(folder: Path) -> None:
    two = "[{metric: mi, direction: maximize}, {metric: rmse, direction: minimize}]"
    space = "{int: [1, 4]}\n  mid_dim: {categorical: [4, 6]}"
    text = FILE.format(**PLAIN | {"objective": two, "space": space, "trials": 6})
    (folder / "small.yaml").write_text(text.replace("mid_dim: 5, ", ""))
    result = search("--output", "pictures", "--cohort-size", "1", "--workers", "2")
    assert result["complete"] == 6
    assert all(len(best["values"]) == 2 for best in result["best"])
    names = {path.name for path in Path("pictures/small").iterdir()}
    assert {
        "pareto.png",
        "history.svg",
        "seeds.png",
        "slice.png",
        "trials.csv",
        "search.json",
    } <= names
    ((uri,),) = rows(
        folder,
        "SELECT artifact_uri FROM runs JOIN tags USING (run_uuid) "
        "WHERE key = 'mimsweep.role' AND value = 'sweep'",
    )
    assert {path.name for path in Path(uri.removeprefix("file://")).iterdir()} == names | {
        "packages.txt"
    }
    ((best,),) = rows(folder, "SELECT value FROM tags WHERE key = 'mimsweep.best'")
    assert json.loads(best) == result["best"]


def test_runs_of_a_sweep_are_reused(folder: Path) -> None:
    write(folder, trials=1, parallel=1)
    (folder / "sweep.yaml").write_text(
        "name: before\nfixed: {dataset: toy4, model: mim, mid_dim: 5, epochs: 3}\n"
        "grid: {seed: 1..2}\n"
    )
    subprocess.run([BIN / "mimsweep", "run", "sweep.yaml"], check=True, capture_output=True)
    before = finished(folder)
    assert search()["best"]["params"] == {"warmup": 3}
    assert finished(folder) == before


@pytest.mark.parametrize("old", ["warmup: {int", "metric: nll", "[1, 50]"])
def test_a_wrong_file_is_told_with_its_place_and_writes_nothing(folder: Path, old: str) -> None:
    write(folder)
    text = (folder / "small.yaml").read_text().replace(old, "wrong: {int" if ":" in old else "[]")
    (folder / "small.yaml").write_text(text)
    assert "small.yaml:" in search(code=2)["error"]
    assert [path.name for path in folder.iterdir()] == ["small.yaml"]


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def dashboard(storage: str) -> Iterator[str]:
    for _ in range(3):  # another test may take the port before it does
        port = free_port()
        command = [str(BIN / "optuna-dashboard"), storage, "--port", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            if answers(f"http://127.0.0.1:{port}/api/studies", process):
                yield f"http://127.0.0.1:{port}/api"
                return
        finally:
            process.terminate()
            _, said = process.communicate()
    raise AssertionError(said.decode())


def answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    """Whether a server answers before it ends; its imports take long where all tests run."""
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        try:
            answer(url)
        except OSError:
            time.sleep(0.2)
        else:
            return True
    return False


def answer(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


def test_optuna_dashboard_lists_the_trials(folder: Path) -> None:
    pytest.importorskip("optuna_dashboard")
    write(folder, trials=3)
    search()
    with dashboard(".mimsweep/optuna/small.log") as api:
        (summary,) = answer(f"{api}/studies")["study_summaries"]
        assert summary["study_name"] == "small"
        trials = answer(f"{api}/studies/{summary['study_id']}?after=0")["trials"]
        assert [trial["state"] for trial in trials] == ["Complete"] * 3
