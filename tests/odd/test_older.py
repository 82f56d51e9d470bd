"""What an older mimsweep left: runs and checkpoints whose random numbers were others."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from mimsweep.orchestrator.engines.forgetting import METADATA
from mimsweep.orchestrator.files.sweep import load_sweep
from tests.odd.ending import SWEEP, started, store_complete_runs


def older(path: Path) -> list[str]:
    return [run.older_keys[-1] for run in load_sweep(path).runs]


def test_checkpoints_of_an_older_version_are_refused_in_words(here: Path) -> None:
    Path("s.yaml").write_text(SWEEP)
    folder = here / ".mimsweep" / "checkpoints" / "s"
    folder.mkdir(parents=True)
    runs = [
        {"key": key, "progress": {"epoch": 1}, "epochs": [], "seconds": 1.0}
        for key in older(Path("s.yaml"))
    ]
    weights = {"weights": np.zeros((len(runs), 32), np.float32)}
    save_file(weights, folder / "cohort.safetensors", {METADATA: json.dumps(runs)})
    with started("run", "s.yaml") as program:
        code, out, err = program.end()
    assert code == 0, err
    assert f"the checkpoints of {len(runs)} runs are of an older mimsweep" in out + err
    assert not folder.exists()


def test_runs_of_an_older_version_are_told_and_left(here: Path) -> None:
    Path("s.yaml").write_text(SWEEP)
    first = load_sweep(Path("s.yaml")).runs[0]
    key = first.older_keys[-1]
    store_complete_runs()
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute(
            "UPDATE tags SET value = ? WHERE key = 'mimsweep.run_key' AND value = ?",
            (key, first.run_key),
        )
    with started("status", "s.yaml") as program:
        code, out, err = program.end()
    assert code == 0
    assert "1/2 complete" in out
    told = "complete runs in the store by an older mimsweep, with other random numbers"
    assert f"mimsweep: s: {told}, which are read but trained anew: 1\n" in err
    with started("results", "s.yaml") as program:
        code, out, err = program.end()
    assert out.count("\n") == 3
    assert key in out
    assert told in err
