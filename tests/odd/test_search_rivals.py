"""Two searches of one study at once, which keep their runs in stores of their own."""

import os
import subprocess
from pathlib import Path

import pytest

from mimsweep.orchestrator.files.search import load_search
from mimsweep.orchestrator.search.study import Study
from tests.bench import MIMSWEEP
from tests.odd.test_foreign_studies import FILE


def start(store: str) -> "subprocess.Popen[str]":
    command = [MIMSWEEP, "search", "small.yaml", "--storage", "shared.log", "--device", "cpu"]
    return subprocess.Popen(
        [*command, "--tracking-uri", f"sqlite:///{store}.db", "--output", store],
        env=os.environ.copy(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_of_two_searches_of_a_study_that_start_at_once_one_has_it(here: Path) -> None:
    (here / "small.yaml").write_text(FILE.replace("epochs: 1", "epochs: 40"))
    rivals = [start("one"), start("two")]
    said = {rival.pid: "".join(rival.communicate(timeout=120)) for rival in rivals}
    assert sorted(rival.returncode for rival in rivals) == [0, 2], said
    winner, loser = sorted(rivals, key=lambda rival: rival.returncode)
    assert f"the search small is being run already, by process {winner.pid} on " in said[loser.pid]
    assert "small: 2 trials (2 complete, 0 pruned, 0 failed)" in said[winner.pid]
    assert "Traceback" not in "".join(said.values())
    study = Study(load_search(here / "small.yaml"), "shared.log")
    assert study.table()["number"].tolist() == [0, 1]
    assert study.closed == []
