"""What is written to a real SQLite store, and read of it."""

import math
import os
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.tracking.owner import HEARTBEAT
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.orchestrator.stores import SPECS, start

# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_runs_hold_their_spec_tags_metrics_and_artifacts(
    tracking: Tracking, client: MlflowClient, tmp_path: Path
) -> None:
    parent_id = start(tracking)
    first, second = tracking.create_runs(parent_id, SPECS, {"device": "cpu"})
    run = client.get_run(first)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == SPECS[0].run_name
    assert run.data.params.keys() == RunSpec.model_fields.keys()
    assert run.data.params["dataset"] == "toy4"
    assert run.data.tags == {
        "device": "cpu",
        "mimsweep.run_key": SPECS[0].run_key,
        "mimsweep.sweep": "toy",
        "mlflow.parentRunId": parent_id,
        "mlflow.runName": SPECS[0].run_name,
    }
    artifacts = {"spec.yaml": b"a: 1", "weights.safetensors": b"\0"}
    tracking.finish(
        first, {"mi": 1.25}, artifacts, tags={"mimsweep.processor": "i386", "mimsweep.code": "{}"}
    )
    tracking.fail(second, "NaN in epoch 3", {"traceback.txt": b"trace"})
    run = client.get_run(first)
    assert run.info.status == "FINISHED"
    assert run.info.end_time is not None
    assert run.data.metrics == {"mi": 1.25}
    assert run.data.tags["mimsweep.complete"] == "true"
    assert run.data.tags["mimsweep.processor"] == "i386"
    assert run.data.tags["mimsweep.code"] == "{}"
    # Where a plain `mlflow ui` in this folder looks, wherever it is started from.
    assert run.info.artifact_uri.startswith(str(tmp_path / "mlruns"))
    assert Path(run.info.artifact_uri, "weights.safetensors").read_bytes() == b"\0"
    failed = client.get_run(second)
    assert failed.info.status == "FAILED"
    assert failed.data.tags["mimsweep.reason"] == "NaN in epoch 3"
    assert Path(failed.info.artifact_uri, "traceback.txt").read_bytes() == b"trace"


def test_parent_run_tells_the_sweep(
    tracking: Tracking, client: MlflowClient, tmp_path: Path
) -> None:
    assert tracking.latest_parent("toy") is None
    assert tracking.owner("toy") is None
    parent_id = start(tracking)
    owner = tracking.owner("toy")
    assert owner is not None
    assert owner.pid == os.getpid()
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mi.png").write_bytes(b"png")
    tracking.log_folder(parent_id, tmp_path / "figures")
    tracking.heartbeat(parent_id)
    tracking.finish_sweep(parent_id, "FAILED", {"n_complete": 1, "n_failed": 1})
    run = client.get_run(parent_id)
    assert run.info.status == "FAILED"
    assert run.data.params == {"size": "2"}
    assert run.data.metrics == {"n_complete": 1, "n_failed": 1}
    assert run.data.tags["torch"] == "2.9"
    assert float(run.data.tags[HEARTBEAT]) > owner.heartbeat
    assert Path(run.info.artifact_uri, "mi.png").exists()
    assert tracking.owner("toy") is None
    assert tracking.latest_parent("toy") == parent_id
    assert start(tracking) == tracking.latest_parent("toy") != parent_id
    client.create_experiment("of another tool")
    assert tracking.sweeps() == ["toy"]


def test_epochs_beyond_a_thousand_points_and_numbers_that_are_none(
    tracking: Tracking, client: MlflowClient
) -> None:
    (run_id,) = tracking.create_runs(start(tracking), SPECS[:1], {})
    rows = [(epoch, {"train_loss": 1 / epoch, "beta": 0.5, "lr": 1e-3}) for epoch in range(1, 501)]
    rows.append((501, {"train_loss": math.nan, "beta": math.inf, "lr": -math.inf}))
    tracking.log_epochs(run_id, rows)
    history = client.get_metric_history(run_id, "train_loss")
    assert [point.step for point in history] == list(range(1, 502))
    assert history[3].value == 0.25
    assert math.isnan(history[-1].value)
    tracking.finish(run_id, {"mi": math.nan}, {})
    row = tracking.frame("toy").iloc[0]
    assert math.isnan(row["train_loss"])
    assert math.isnan(row["mi"])
    assert row["beta"] == math.inf


def test_histories_are_those_of_the_client(tracking: Tracking, client: MlflowClient) -> None:
    run_ids = tracking.create_runs(start(tracking), SPECS[:2], {})
    for offset, run_id in enumerate(run_ids):
        rows = [(epoch, {"a": epoch + offset, "b": -math.inf}) for epoch in (1, 2, 3 + offset)]
        tracking.log_epochs(run_id, [*rows, (9, {"a": math.nan})])
    history = tracking.history(run_ids, ("a", "b", "none")).set_index(["run_id", "epoch"])
    assert history["none"].isna().all()
    assert len(history) == 8
    for run_id in run_ids:
        for name in ("a", "b"):
            points = {p.step: p.value for p in client.get_metric_history(run_id, name)}
            ours = history.loc[run_id, name]
            stored = pd.Series(points).reindex(ours.index)
            pd.testing.assert_series_equal(
                ours, stored.replace(-sys.float_info.max, -math.inf), check_names=False
            )


def test_frame_gives_back_typed_params_in_order(tracking: Tracking) -> None:
    specs = [RunSpec(dataset="toy4", model="vae", z_dim=z, lr=1.0) for z in (10, 2)]
    run_ids = tracking.create_runs(start(tracking), [*specs, SPECS[0]], {})
    for run_id in run_ids[:2]:
        tracking.log_epochs(run_id, [(1, {"lr": 0.5, "test_loss": 2.0})])
        tracking.finish(run_id, {"mi": 1.0, "best_epoch": 7}, {})
    frame = tracking.frame("toy")
    assert list(frame.columns) == [
        *("run_key", "run_id", "run_name", "status"),
        *sorted(RunSpec.model_fields),
        *("best_epoch", "mi", "test_loss"),
    ]
    assert list(frame["run_id"]) == [run_ids[1], run_ids[0]]
    assert list(frame["run_key"]) == [specs[1].run_key, specs[0].run_key]
    for row, spec in zip(frame.to_dict("records"), reversed(specs), strict=True):
        values = {field: row[field] for field in RunSpec.model_fields}
        assert RunSpec.model_validate(values) == spec
        assert row["status"] == "FINISHED"
    assert frame["lr"].dtype == float
    assert frame["z_dim"].dtype == int
    assert frame["inv_h"].dtype == bool


def test_complete_is_finished_and_tagged(
    tracking: Tracking, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent_id = start(tracking)
    (cut,) = tracking.create_runs(parent_id, SPECS[:1], {})

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_tag", dies)
        with pytest.raises(KeyboardInterrupt):
            tracking.finish(cut, {"mi": 1.0}, {})
    assert client.get_run(cut).info.status == "FINISHED"
    assert tracking.complete("toy") == {}
    assert tracking.frame("toy").empty
    assert tracking.statuses("toy")[SPECS[0].run_key].status == "RUNNING"
    (tagged,) = tracking.create_runs(parent_id, SPECS[:1], {})
    client.set_tag(tagged, "mimsweep.complete", "true")
    assert tracking.complete("toy") == {}
    tracking.finish_sweep(parent_id, "KILLED", {})
    assert tracking.statuses("toy")[SPECS[0].run_key].status == "KILLED"


def test_a_complete_run_decides_else_the_newest(tracking: Tracking, client: MlflowClient) -> None:
    parent_id = start(tracking)
    key = SPECS[0].run_key

    def create() -> str:
        time.sleep(0.002)
        return tracking.create_runs(parent_id, SPECS[:1], {})[0]

    assert tracking.statuses("toy") == {}
    tracking.fail(create(), "exploded", {})
    assert tracking.statuses("toy")[key].reason == "exploded"
    tracking.kill([create()])
    assert tracking.statuses("toy")[key].status == "KILLED"
    complete = [create(), create()]
    for run_id in complete:
        tracking.finish(run_id, {"mi": 1.0}, {})
    last = create()
    assert tracking.statuses("toy")[key].run_id == complete[1]
    assert tracking.statuses("toy")[key].status == "FINISHED"
    assert tracking.complete("toy") == {key: complete[1]}
    assert list(tracking.frame("toy")["run_id"]) == [complete[1]]
    for run_id in complete:
        client.delete_run(run_id)
    assert tracking.statuses("toy")[key].run_id == last
    assert tracking.complete("toy") == {}


def test_deleted_experiment_is_told_with_the_way_out(
    tracking: Tracking, client: MlflowClient
) -> None:
    tracking.finish_sweep(start(tracking), "FINISHED", {})
    client.delete_experiment("1")
    for call in (lambda: start(tracking), lambda: tracking.complete("toy")):
        with pytest.raises(TrackingError, match="restore --experiment-id 1"):
            call()
