"""Workers that can't be started, as torch can't be loaded in them."""

import os
from pathlib import Path

import pytest

from tests.odd.ending import SWEEP, started, statuses, store_complete_runs

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

BROKEN = 'raise ImportError("libcudart.so.99: no such file")\n'
LAST = "ImportError: libcudart.so.99: no such file"
CRASHES = 'import os; os.write(2, b"about to crash"); os.abort()\n'
MANY = ["--set", "seed=1..4", "--set", "z_dim=2,3,4"]


@pytest.fixture
def broken(here: Path) -> dict[str, str]:
    """An environment in which torch is another, which can't be loaded."""
    (here / "s.yaml").write_text(SWEEP)
    (here / "bad" / "torch").mkdir(parents=True)
    (here / "bad" / "torch" / "__init__.py").write_text(BROKEN)
    before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    return {"PYTHONPATH": os.pathsep.join([str(here / "bad"), *before])}


def test_a_torch_that_cannot_be_loaded_is_told_once(broken: dict[str, str]) -> None:
    with started("run", "s.yaml", *MANY, "--workers", "2", environment=broken) as program:
        code, _, err = program.end()
    assert code == 1
    said = err[err.index("mimsweep: ") :].splitlines()
    assert said[0].startswith(
        "mimsweep: no worker can be started: the worker process ended with exit code 1; "
    )
    assert said[0].endswith(" ends with:")
    assert said[-1].strip() == LAST
    assert err.count(LAST) == 1
    assert "failed:" not in err
    logs = [path.read_text() for path in Path(".mimsweep/logs/s").iterdir()]
    assert sum(text.count(LAST) for text in logs) <= 4
    assert set(statuses()) == {"KILLED", "FAILED"}  # runs, and the invocation


@pytest.mark.slow
def test_a_torch_that_crashes_and_other_engines(broken: dict[str, str], here: Path) -> None:
    with started("run", "s.yaml", "--engine", "inline", environment=broken) as program:
        code, _, err = program.end()
    last = f"mimsweep: torch, and what trains, can't be loaded: {LAST}"
    assert (code, err.splitlines()[-1]) == (1, last)
    (here / "bad" / "torch" / "__init__.py").write_text(CRASHES)
    with started("run", "s.yaml", "--workers", "1", environment=broken) as program:
        code, _, err = program.end()
    assert code == 1
    assert "no worker can be started: the worker process was killed by SIGABRT; " in err
    assert err.splitlines()[-1] == "  about to crash"


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_torch_that_no_node_of_ray_can_load_is_told_once(broken: dict[str, str]) -> None:
    pytest.importorskip("ray")
    with started(
        "run", "s.yaml", "--engine", "ray", "--workers", "2", environment=broken
    ) as program:
        code, _, err = program.end(120)
    assert code == 1
    said = err.splitlines()[-1]
    assert said.startswith("mimsweep: no worker can be started on the Ray cluster: ")
    assert said.endswith(LAST)
    assert set(statuses()) <= {"FAILED", "KILLED"}


@pytest.mark.slow
def test_other_commands_that_need_torch_say_what_is_missing(broken: dict[str, str]) -> None:
    store_complete_runs()
    with started("measure", "s.yaml", environment=broken) as program:
        code, _, err = program.end()
    cause = LAST.removeprefix("ImportError: ")
    assert (code, err) == (
        2,
        f"mimsweep: a part of what is installed can't be loaded: {cause}\n",
    )
