"""A store that the version before the move to one import name has made is still read."""

from pathlib import Path

import pandas as pd
import pytest

from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.showing.learned.scenes import load_weights, scene
from mimsweep.orchestrator.showing.table import results_table
from mimsweep.orchestrator.tracking.runs import WEIGHTS
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import mimsweep
from tests.stores.unpack import old_store


@pytest.fixture
def old(here: Path) -> Path:
    """A folder with the sweep `before.yaml`, its store, and its results as they were tabled."""
    old_store(here)
    return here


def test_its_complete_runs_are_called_by_their_version(old: Path) -> None:
    sweep = load_sweep(old / "before.yaml")
    store = Tracking(f"sqlite:///{old / 'mlflow.db'}", create=False)
    complete = store.complete(sweep.name)
    failed = [run for run in sweep.runs if run.key_among(complete) not in complete]
    assert [run.lr for run in failed] == [1e30]
    assert store.statuses(sweep.name)[failed[0].older_keys[0]].status == "FAILED"
    planned = mimsweep("plan", "before.yaml")
    assert "5 runs, 0 complete" in planned.stdout
    assert (
        "by an older mimsweep, with other random numbers, which are read but trained anew: 4"
        in (planned.stderr)
    )


def test_its_results_are_what_they_were(old: Path) -> None:
    sweep = load_sweep(old / "before.yaml")
    store = Tracking(f"sqlite:///{old / 'mlflow.db'}", create=False)
    now = results_table(store.frame(sweep.name), sweep.runs)
    was = pd.read_csv(old / "results.csv")
    assert set(was) - set(now) == set()
    pd.testing.assert_frame_equal(
        now[list(was)], was, check_dtype=False, check_exact=True, check_column_type=False
    )


def test_its_weights_are_drawn(old: Path) -> None:
    sweep = load_sweep(old / "before.yaml")
    store = Tracking(f"sqlite:///{old / 'mlflow.db'}", create=False)
    run = sweep.runs[0]
    content = store.artifact(store.complete(sweep.name)[run.older_keys[0]], WEIGHTS)
    assert content is not None
    assert scene(run, load_weights(content)).reconstructed.shape == (200, 2)
