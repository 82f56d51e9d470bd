from pathlib import Path
from typing import Any

import pytest

from mimsweep.orchestrator.files.search import load_search
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.showing.search import study_of
from mimsweep.orchestrator.tracking.writer import Tracking

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

SEARCH = """\
name: warmup
fixed: {dataset: toy4, model: mim}
seeds: 1
space: {warmup: {int: [1, 9]}}
objective: {metric: nll, direction: minimize}
trials: 2
"""


class OldSpec:
    """A run as a version without the fields of image models stored it."""

    of_file, file, key_of_any_content = False, None, ""

    def __init__(self, run: RunSpec) -> None:
        self.run_key, self.run_name = run.run_key, run.run_name
        self.of_file, self.file = False, None
        self._fields = run.own_fields()

    def model_dump(self) -> dict[str, Any]:
        return self._fields


def test_runs_of_an_older_version_are_read_beside_new_ones(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SEARCH)
    store = Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = [RunSpec(dataset="toy4", model="mim", warmup=warmup) for warmup in (1, 2)]
    parent = store.start_sweep("warmup", "", {}, {})
    for run_id in store.create_runs(parent, [OldSpec(runs[0]), runs[1]], {}):
        store.finish(run_id, {"nll": 1.0}, {})
    study = study_of(load_search(tmp_path / "a.yaml"), store)
    assert sorted(study.sweep.runs, key=lambda run: run.warmup) == runs
    assert len(study.table) == 2
