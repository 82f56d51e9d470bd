"""What a user changes between two calls, code and data: stale is told, never taken for done."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimsweep.models import registry
from mimsweep.orchestrator.tracking.writer import MlflowClient
from tests.odd.users import DATA, SWEEP, write
from tests.orchestrator.commands import mimsweep

TRAIN = ("run", "s.yaml", "--engine", "inline")
SEARCH = """
name: find
fixed: {dataset: mine, model: vae, mid_dim: 4, epochs: 1, batch_size: 64}
seeds: [1]
space: {warmup: {int: [1, 2]}}
objective: {metric: nll, direction: minimize}
trials: 1
"""


@pytest.fixture
def edited(users: Path) -> Path:
    """The folder of `users`, with a sweep of two runs, one of them on its data set."""
    write(users, DATA, SWEEP.replace("dataset: mine, ", "").replace("{model:", GRID))
    return users


GRID = "{dataset: [mine, toy4], model:"


def edit(folder: Path, old: str, new: str) -> None:
    """Edits `mine.py`, which the next command then imports as a new process would."""
    text = (folder / "mine.py").read_text()
    assert old in text
    (folder / "mine.py").write_text(text.replace(old, new))
    sys.modules.pop("mine", None)
    registry.load.cache_clear()
    registry.DATA.clear()


def stale() -> dict[str, int]:
    """What `status` and `plan` say is stale, which must be the same."""
    told = [json.loads(mimsweep(name, "s.yaml", "--json").stdout) for name in ("plan", "status")]
    assert told[0]["stale"] == told[1]["stale"]
    return dict(told[0]["stale"])


def complete(sweep: str = "s") -> list[Any]:
    """The complete runs of a sweep, those of one key too."""
    client = MlflowClient(f"sqlite:///{Path('mlflow.db').absolute()}")
    number = client.get_experiment_by_name(sweep).experiment_id
    return list(client.search_runs([number], "tags.`mimsweep.complete` = 'true'"))


def trained() -> int:
    """How many runs were trained in all."""
    return len(complete())


def test_code_that_changed_is_told_and_trained_anew_only_if_wanted(edited: Path) -> None:
    assert mimsweep(*TRAIN).exit_code == 0
    assert (stale(), trained()) == ({}, 2)
    edit(edited, "# change", "# what it is\n")
    assert stale() == {}
    edit(edited, "torch.randn(self", "2 * torch.randn(self")
    assert stale() == {"data set mine": 1}
    line = "stale: the data set `mine` has changed since: 1 run, `run --fresh-stale` trains anew"
    for command in ("plan", "status"):
        assert f"  {line}\n" in mimsweep(command, "s.yaml").stdout
    left = mimsweep(*TRAIN)
    assert left.exit_code == 0
    assert f"s: {line}\n" in left.stderr
    assert "s: all 2 runs are complete" in left.stderr
    assert trained() == 2
    assert mimsweep(*TRAIN, "--fresh-stale").exit_code == 0
    assert (stale(), trained()) == ({}, 3)
    again = mimsweep(*TRAIN, "--fresh-stale")
    assert "stale" not in again.stderr.replace("--fresh-stale", "")
    assert trained() == 3


def test_what_a_module_imports_is_its_code_too(edited: Path) -> None:
    (edited / "other.py").write_text("factor = 1\n")
    edit(edited, "import numpy as np", "import numpy as np\nfrom other import factor\n")
    assert mimsweep(*TRAIN).exit_code == 0
    (edited / "other.py").write_text("factor = 2\n")
    sys.modules.pop("other", None)
    edit(edited, "# change", "pass")
    assert stale() == {"data set mine": 1}


@pytest.mark.slow
def test_a_search_takes_no_stale_result_and_refuses_a_study_of_other_code(users: Path) -> None:
    write(users, DATA, SWEEP.replace("epochs: 2", "epochs: 1"))
    (users / "find.yaml").write_text(SEARCH)
    search = ("search", "find.yaml", "--engine", "inline")
    assert mimsweep(*TRAIN, "--set", "warmup=1,2").exit_code == 0
    edit(users, "torch.randn(self", "2 * torch.randn(self")
    assert mimsweep(*search).exit_code == 0
    assert len(complete("find")) == 1
    assert mimsweep(*search).exit_code == 0  # all trials are made
    edit(users, "2 * torch.randn(self", "3 * torch.randn(self")
    refused = mimsweep(*search)
    assert refused.exit_code == 2
    assert (
        "was made with another code: its trials can't be compared with new ones" in refused.stderr
    )


def test_a_data_file_that_changed_or_moved(users: Path) -> None:
    points = np.random.default_rng(1).normal(size=(200, 2))
    np.save(users / "points.npy", points)
    write(users, "", SWEEP.replace("mine", "file:points.npy").replace("64", "32"))
    assert mimsweep(*TRAIN).exit_code == 0
    assert (stale(), trained()) == ({}, 1)
    (run,) = complete()
    assert run.data.params["dataset"] == "file:points.npy"
    assert "points" not in run.data.tags["mimsweep.run_key"]
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("points.npy", run.data.params["content"])
    assert json.loads(given.dataset.source) == {"uri": str(users / "points.npy")}
    assert json.loads(given.dataset.profile) == {"num_rows": 200, "num_elements": 400}
    (users / "points.npy").rename(users / "moved.npy")
    (users / "s.yaml").write_text((users / "s.yaml").read_text().replace("points", "moved"))
    assert "s: all 1 runs are complete" in mimsweep(*TRAIN).stderr
    np.save(users / "moved.npy", points + 1)
    assert stale() == {"file moved.npy": 1}
    line = "stale: the file moved.npy has changed since: 1 run, to be trained anew"
    assert f"  {line}\n" in mimsweep("status", "s.yaml").stdout
    assert "s.yaml: s: 0/1" not in mimsweep("status", "s.yaml").stdout
    ran = mimsweep(*TRAIN)
    assert ran.exit_code == 0
    assert f"s: {line}\n" in ran.stderr
    assert (stale(), trained()) == ({}, 2)
    np.save(users / "moved.npy", points)
    assert "s: all 1 runs are complete" in mimsweep(*TRAIN).stderr
