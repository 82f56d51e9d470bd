"""The recorder on a real SQLite store."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml

from mimsweep.orchestrator.engines.base import EpochEnded, RunFailed, RunFinished
from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.running import recorder as recorder_module
from mimsweep.orchestrator.running.recorder import Recorder
from mimsweep.orchestrator.running.spool import Result, Spool
from mimsweep.orchestrator.stopping import STOP
from mimsweep.orchestrator.tracking.runs import PROFILE
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

RUNS = [RunSpec(dataset="toy4", model="mim", seed=seed) for seed in (1, 2, 3)]


@pytest.fixture
def parent_id(tracking: Tracking) -> str:
    return tracking.start_sweep("toy", "", {}, {})


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def recorder(tracking: Tracking, parent_id: str, spool: Spool) -> Recorder:
    return Recorder(tracking, "toy", parent_id, {"mimsweep.device": "cpu"}, spool)


def epoch(run: RunSpec, number: int, loss: float = 0.5) -> EpochEnded:
    return EpochEnded(run.run_key, number, {"train_loss": loss, "lr": 0.001})


def losses(client: MlflowClient, run_id: str) -> list[tuple[int, float]]:
    history = client.get_metric_history(run_id, "train_loss")
    return sorted((metric.step, metric.value) for metric in history)


def text(client: MlflowClient, run_id: str, artifact: str, folder: Path) -> str:
    return Path(client.download_artifacts(run_id, artifact, str(folder))).read_text()


def test_a_run_from_creation_to_its_end(
    recorder: Recorder, tracking: Tracking, client: MlflowClient, parent_id: str, tmp_path: Path
) -> None:
    recorder.create(RUNS[:2]).result()
    ids = dict(recorder.open)
    assert ids.keys() == {run.run_key for run in RUNS[:2]}
    recorder.epoch(epoch(RUNS[0], 1, 0.5))
    recorder.epoch(epoch(RUNS[0], 2, 0.25))
    profile = {"kl": [0.5, 0.0], "variance": [1.0, 0.0]}
    parts = (RUNS[0].run_key, {"mi": 1.5}, b"the weights")
    told = {"processor": "i386", "code": '{"loss wae": "1"}'}
    recorder.finish(RUNS[0], RunFinished(*parts, profile=profile, **told))
    recorder.epoch(epoch(RUNS[1], 1, float("nan")))
    recorder.fail(RUNS[1], RunFailed(RUNS[1].run_key, "it turned nan"), "Traceback: here")
    recorder.close("FAILED", {"runs_complete": 1, "runs_failed": 1}, 30.0)
    assert recorder.open == {}
    good, bad = (client.get_run(ids[run.run_key]) for run in RUNS[:2])
    assert (good.info.status, bad.info.status) == ("FINISHED", "FAILED")
    assert good.data.tags["mimsweep.complete"] == "true"
    assert good.data.tags["mimsweep.device"] == "cpu"
    assert good.data.tags["mimsweep.processor"] == "i386"
    assert good.data.tags["mimsweep.code"] == '{"loss wae": "1"}'
    assert not {"mimsweep.processor", "mimsweep.code"} & {*bad.data.tags}
    assert losses(client, good.info.run_id) == [(1, 0.5), (2, 0.25)]
    assert good.data.metrics["mi"] == 1.5
    assert text(client, good.info.run_id, "weights.safetensors", tmp_path) == "the weights"
    assert json.loads(text(client, good.info.run_id, PROFILE, tmp_path)) == profile
    spec = yaml.safe_load(text(client, good.info.run_id, "spec.yaml", tmp_path))
    assert RunSpec(**spec) == RUNS[0]
    assert [step for step, _ in losses(client, bad.info.run_id)] == [1]
    assert text(client, bad.info.run_id, "traceback.txt", tmp_path) == "Traceback: here"
    parent = client.get_run(parent_id)
    assert parent.info.status == "FAILED"
    assert parent.data.metrics == {"runs_complete": 1, "runs_failed": 1}
    assert tracking.statuses("toy")[RUNS[1].run_key].reason == "it turned nan"


def test_runs_are_created_once(recorder: Recorder, client: MlflowClient, parent_id: str) -> None:
    recorder.create(RUNS[:2]).result()
    before = dict(recorder.open)
    recorder.create(RUNS).result()
    assert {key: recorder.open[key] for key in before} == before
    assert len(recorder.open) == 3
    recorder.close("KILLED", {}, 30.0)
    (experiment,) = [e for e in client.search_experiments() if e.name == "toy"]
    assert len(client.search_runs([experiment.experiment_id])) == 4


def test_epochs_told_again_after_a_retry_are_stored_once(
    recorder: Recorder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "FLUSH_SECONDS", 0.0)
    run = RUNS[0]
    recorder.create([run]).result()
    run_id = recorder.open[run.run_key]
    for number in (1, 2, 3):
        recorder.epoch(epoch(run, number))
    recorder.tick()  # some are in the store already,
    recorder.epoch(epoch(run, 4))
    recorder.epoch(epoch(run, 4))  # others only gathered
    for number in range(1, 7):
        recorder.epoch(epoch(run, number))
    recorder.finish(run, RunFinished(run.run_key, {}, b""))
    recorder.close("FINISHED", {}, 30.0)
    assert losses(client, run_id) == [(number, 0.5) for number in range(1, 7)]


def test_tick_stores_epochs_and_the_heartbeat_when_they_are_due(
    recorder: Recorder, client: MlflowClient, parent_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.create(RUNS[:1]).result()
    run_id = recorder.open[RUNS[0].run_key]
    beat = client.get_run(parent_id).data.tags["mimsweep.heartbeat"]
    recorder.epoch(epoch(RUNS[0], 1))
    recorder.tick()
    recorder.create([]).result()  # all that was asked before is done
    assert losses(client, run_id) == []
    monkeypatch.setattr(recorder_module, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(recorder_module, "HEARTBEAT_SECONDS", 0.0)
    recorder.tick()
    recorder.create([]).result()
    assert losses(client, run_id) == [(1, 0.5)]
    assert float(client.get_run(parent_id).data.tags["mimsweep.heartbeat"]) > float(beat)
    recorder.close("KILLED", {}, 30.0)


def test_close_kills_what_is_open_with_its_epochs(
    recorder: Recorder, client: MlflowClient, parent_id: str
) -> None:
    recorder.create(RUNS).result()
    ids = list(recorder.open.values())
    recorder.epoch(epoch(RUNS[1], 1))
    recorder.close("KILLED", {}, 2.0)
    assert {client.get_run(run_id).info.status for run_id in [*ids, parent_id]} == {"KILLED"}
    assert losses(client, ids[1]) == [(1, 0.5)]


@contextmanager
def outage(folder: Path) -> Iterator[None]:
    """While it lasts the store's tables are gone: every call fails at once."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("ALTER TABLE runs RENAME TO runs_away")
    yield
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("ALTER TABLE runs_away RENAME TO runs")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_told_to_stop_it_closes_runs_and_leaves_their_epochs(
    recorder: Recorder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a store that lags behind quick training leaves them RUNNING."""
    recorder.create(RUNS[:2]).result()
    ids = list(recorder.open.values())
    for number in range(1, 20_001):  # takes SQLite many seconds
        recorder.epoch(epoch(RUNS[0], number))
    monkeypatch.setattr(STOP, "asked", time.monotonic())
    recorder.close("KILLED", {}, 30.0)
    assert [client.get_run(run_id).info.status for run_id in ids] == ["KILLED"] * 2
    assert losses(client, ids[0]) == []


def test_an_outage_is_told_and_borne(
    recorder: Recorder, client: MlflowClient, tmp_path: Path, spool: Spool
) -> None:
    recorder.create(RUNS[:1]).result()
    run_id = recorder.open[RUNS[0].run_key]
    assert recorder.outage is None
    with outage(tmp_path):
        recorder.epoch(epoch(RUNS[0], 1))
        recorder.finish(RUNS[0], RunFinished(RUNS[0].run_key, {"mi": 1.0}, b"weights"))
        created = recorder.create(RUNS[1:])
        until(lambda: recorder.outage)
        recorder.tick()  # training goes on
        assert not created.done()
        assert [result.run for result in spool.results()] == [RUNS[0]]
    created.result(30)
    assert recorder.outage is None
    assert client.get_run(run_id).data.tags["mimsweep.complete"] == "true"
    assert losses(client, run_id) == [(1, 0.5)]
    assert recorder.open.keys() == {run.run_key for run in RUNS[1:]}
    assert list(spool.results()) == []
    recorder.close("FINISHED", {}, 30.0)


def test_results_that_an_outage_kept_back_are_delivered_by_the_next_recorder(
    recorder: Recorder, tracking: Tracking, client: MlflowClient, tmp_path: Path, spool: Spool
) -> None:
    recorder.create(RUNS).result()
    with outage(tmp_path):
        for run in RUNS[:2]:
            recorder.epoch(epoch(run, 1, float("nan")))
            profile = {"kl": [0.5], "variance": [1.0]}
            parts = (run.run_key, {"mi": 1.0}, b"weights")
            told = {"processor": "i386", "code": "{}"}
            recorder.finish(run, RunFinished(*parts, profile=profile, **told))
        start = time.monotonic()
        with pytest.raises(TrackingError, match="tracking store"):
            recorder.close("FAILED", {}, 0.1)
        assert time.monotonic() - start < 5
    parent_id = tracking.start_sweep("later", "", {}, {})
    tracking.create_runs(parent_id, RUNS[:1], {})
    later = Recorder(tracking, "later", parent_id, {}, spool)
    assert later.deliver({RUNS[0].run_key}) == [RUNS[1].run_key]
    later.close("FINISHED", {}, 30.0)
    assert tracking.complete("later").keys() == {RUNS[1].run_key}
    run_id = tracking.complete("later")[RUNS[1].run_key]
    assert [step for step, _ in losses(client, run_id)] == [1]
    assert text(client, run_id, "weights.safetensors", tmp_path) == "weights"
    assert client.get_run(run_id).data.tags["mimsweep.processor"] == "i386"
    assert client.get_run(run_id).data.tags["mimsweep.code"] == "{}"
    assert json.loads(text(client, run_id, PROFILE, tmp_path)) == profile
    assert list(spool.results()) == []


def test_a_spooled_result_of_an_older_version_has_less(spool: Spool, tmp_path: Path) -> None:
    spool.put(Result(RUNS[0], [], {"mi": 1.0}, b"weights", processor="i386"))
    (file,) = (tmp_path / "spool").glob("*.json")
    content = json.loads(file.read_text())
    del content["profile"], content["processor"], content["code"]
    file.write_text(json.dumps(content))
    (result,) = spool.results()
    assert (result.metrics, result.profile, result.tags) == ({"mi": 1.0}, {}, {})


def test_a_dropped_run_is_killed_with_the_reason(
    recorder: Recorder, tracking: Tracking, client: MlflowClient
) -> None:
    recorder.create(RUNS[:1]).result()
    recorder.epoch(epoch(RUNS[0], 1))
    recorder.drop(RUNS[0], "it is the worst")
    recorder.close("FINISHED", {}, 30.0)
    state = tracking.statuses("toy")[RUNS[0].run_key]
    assert (state.status, state.reason) == ("KILLED", "it is the worst")
    assert losses(client, state.run_id) == [(1, 0.5)]


def test_a_mistake_of_ours_is_raised_by_tick(recorder: Recorder) -> None:
    recorder.fail(RUNS[0], RunFailed(RUNS[0].run_key, "it was never created"), "")
    with pytest.raises(KeyError):
        until(recorder.tick)
    recorder.close("FAILED", {}, 30.0)
