"""A database that is read without MLflow: what MLflow's client tells of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mimsweep.orchestrator.tracking.database import Tables
from mimsweep.orchestrator.tracking.reader import open_lister
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.orchestrator.stores import SPECS, start
from tests.test_server_mode import postgres, uri_of

# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, uri: str) -> Iterator[str]:
    """The URI of an empty store."""
    if request.param == "sqlite":
        yield uri
        return
    with postgres() as login:
        yield uri_of(login)


def facts(experiment: object) -> list[object]:
    names = ("experiment_id", "name", "artifact_location", "lifecycle_stage")
    found: list[object] = [str(getattr(experiment, name)) for name in names]
    return [*found, experiment.tags]  # type: ignore[attr-defined]


def test_experiments_and_runs_are_those_of_mlflow(database: str) -> None:
    tracking = Tracking(database)
    parent_id = start(tracking)
    run_ids = tracking.create_runs(parent_id, SPECS, {})
    tracking.log_epochs(run_ids[0], [(1, {"nll": 2.0}), (2, {"nll": 1.0})])
    tracking.finish(run_ids[0], {"mi": 0.5}, {})
    client = MlflowClient(database)
    gone = client.create_experiment("gone")
    client.delete_experiment(gone)
    client.create_experiment("other", tags={"a": "1", "b": "2"})
    tables = Tables(database)
    for name in ("toy", "gone", "other", "Default"):
        assert facts(tables.get_experiment_by_name(name)) == facts(
            client.get_experiment_by_name(name)
        )
    assert tables.get_experiment_by_name("never") is None
    theirs = [facts(each) for each in client.search_experiments()]
    assert [facts(each) for each in tables.search_experiments()] == theirs
    lister = open_lister(database)
    assert lister is not None
    assert lister.statuses("toy") == tracking.statuses("toy")
    assert lister.complete("toy") == tracking.complete("toy") == {SPECS[0].run_key: run_ids[0]}
    assert lister.frame("toy").equals(tracking.frame("toy"))
    assert lister.frame("toy")["nll"].tolist() == [1.0]
    assert lister.statuses("never") == {}


def test_listing_loads_no_mlflow(store: Tracking, sweep: Path) -> None:
    script = f"""
import sys
from mimsweep.orchestrator.cli.main import main
for command in ("plan", "status"):
    main([command, {str(sweep)!r}], standalone_mode=False)
heavy = {{"torch", "mlflow", "pandas", "numpy", "matplotlib", "rich"}}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "6 runs, 2 complete" in done.stdout
