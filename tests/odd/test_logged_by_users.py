"""Users log params and metrics of their own to runs that are complete, in MLflow."""

from pathlib import Path

import pandas as pd
import pytest

from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.showing.study import Study
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.odd.ending import SWEEP, slow, store_complete_runs
from tests.orchestrator.commands import mimsweep


@pytest.fixture
def study(here: Path) -> Study:
    (here / "s.yaml").write_text(SWEEP)
    store_complete_runs()
    return Study(load_sweep(here / "s.yaml"), Tracking(f"sqlite:///{here}/mlflow.db"))


def log(study: Study, *params: tuple[str, str], **metrics: float) -> None:
    """Logs to one of the runs."""
    client = MlflowClient(study.store.uri)
    run_id = next(iter(study.store.complete("s").values()))
    for name, value in params:
        client.log_param(run_id, name, value)
    for name, number in metrics.items():
        client.log_metric(run_id, name, number)


@pytest.mark.slow
def test_what_tells_runs_apart_is_ours_whatever_a_user_logs_by_its_name(study: Study) -> None:
    before = mimsweep("results", "s.yaml")
    log(study, ("status", "good"), ("run_key", "1"), run_name=3.0, run_id=4.0)
    after = mimsweep("results", "s.yaml")
    assert (after.exit_code, after.stdout) == (0, before.stdout)
    drawn = mimsweep("figures", "s.yaml")
    assert drawn.exit_code == 0, drawn.output


@pytest.mark.parametrize(
    "value", ["my favourite", *map(slow, ("7", '{"a": [1, 2]}', "[3]", "true"))]
)
def test_a_users_param_is_a_column_and_parts_no_runs_in_a_picture(study: Study, value: str) -> None:
    before = study.table
    log(study, ("note", value))
    listed = mimsweep("results", "s.yaml", "--output", "r.csv")
    assert listed.exit_code == 0, listed.output
    assert "note" in pd.read_csv("r.csv")
    edited = Study(study.sweep, study.store)
    fields = [name for name in edited.table if name not in before]
    assert all(pd.api.types.is_float_dtype(edited.table[name]) for name in fields)
    drawn = mimsweep("figures", "s.yaml")
    assert drawn.exit_code == 0, drawn.output
