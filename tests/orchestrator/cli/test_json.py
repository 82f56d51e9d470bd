"""`--json`: every command prints one value on standard output, and all else on standard error."""

import json
from pathlib import Path
from typing import Any

import pytest

from mimsweep.models import registry
from mimsweep.orchestrator.cli.main import main
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.metrics import TABLE_METRICS
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import RUNS, mimsweep, refused
from tests.orchestrator.files.test_search import GOOD as SEARCH

pytestmark = [
    pytest.mark.usefixtures("here"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]

OTHERS = {"ui", "schema"}
"""What serves pages, or prints JSON anyway."""


def printed(*arguments: str | Path, code: int = 0) -> Any:
    done = mimsweep(*arguments, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_every_command_has_it() -> None:
    lacking = {
        name
        for name, command in main.commands.items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert lacking == OTHERS


def test_validate(sweep: Path, here: Path) -> None:
    assert printed("validate", "toy.yaml") == {
        "file": "toy.yaml", "sweep": "toy", "description": "", "runs": 6, "claims": [],
        "data_files": [],
    }  # fmt: skip
    (here / "s.yaml").write_text(SEARCH)
    told = {"trials": 30, "seeds": 3, "most_runs": 90}
    assert printed("validate", "s.yaml") == {
        "file": "s.yaml", "search": "warmup", "description": "", **told,
    }  # fmt: skip
    refused(mimsweep("validate", "none.yaml", "--json"))


def test_results_are_exact_and_have_no_nan(sweep: Path, store: Tracking) -> None:
    told = printed("results", sweep, "--output", "a.csv")
    rows = told.pop("results")
    assert told == {"sweep": "toy", "total": 6, "complete": 2}
    assert Path("a.csv").exists()
    assert [row["run_key"] for row in rows] == [run.run_key for run in RUNS[:2]]
    assert rows[0].keys() >= {*RunSpec.model_fields, *TABLE_METRICS}
    assert (rows[1]["mi"], rows[1]["rmse"], rows[1]["inv_h"]) == (1.0, None, False)
    assert type(rows[0]["seed"]) is int


def test_a_table_has_its_cells(sweep: Path, store: Tracking) -> None:
    told = printed("table", sweep, "--rows", "model", "--columns", "z_dim", "--metric", "nll,mi")
    assert told.keys() == {"sweep", "cells"}
    names = ["metric", "row", "column", "n", "mean", "std", "low", "high", "mark", "least"]
    assert [list(cell) for cell in told["cells"]] == [names] * len(told["cells"])
    assert {cell["metric"] for cell in told["cells"]} == {"nll", "mi"}
    assert any(cell["std"] is None for cell in told["cells"])  # of one run


def test_status_tells_failures(sweep: Path, store: Tracking) -> None:
    (failure,) = printed("status", sweep)["failures"]
    assert failure["run_name"] == RUNS[2].run_name
    assert failure["reason"] == "the training loss turned nan in epoch 7"


def test_run_prints_what_status_does(sweep: Path, store: Tracking) -> None:
    narrowed = ("--set", "seed=1")
    assert printed("run", sweep, *narrowed) == printed("status", sweep, *narrowed)


def test_cancel_of_what_is_not_run(sweep: Path, here: Path) -> None:
    assert printed("cancel", sweep) == {"sweep": "toy", "stopped": None}


def test_measure_without_complete_runs(sweep: Path, here: Path) -> None:
    Tracking("sqlite:///mlflow.db")
    told = {"sweep": "toy", "total": 6, "measured": 0, "failures": []}
    assert printed("measure", sweep) == told


def test_copies_are_told() -> None:
    copies = json.loads(mimsweep("sweeps", "copy", "smoke", "--json").stdout)
    assert copies == {"copied": ["smoke.yaml", "sweep.schema.json"]}


def test_schema_is_json(here: Path) -> None:
    for options in ([], ["--search"]):
        made = json.loads(mimsweep("schema", *options).stdout)
        assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    registry.load.cache_clear()
    bad = mimsweep("schema", MIMSWEEP_IMPORT="nowhere_at_all")
    assert "nowhere_at_all" in refused(bad)


def test_figures_and_report_of_nothing_print_nothing(sweep: Path, here: Path) -> None:
    Tracking("sqlite:///mlflow.db")
    for command in ("figures", "report"):
        done = mimsweep(command, sweep, "--json")
        assert (done.exit_code, done.stdout) == (2, "")
