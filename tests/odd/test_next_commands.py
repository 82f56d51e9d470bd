"""What a user does next: the command that is proposed, other ways to type one, and slips."""

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.odd.ending import SWEEP, store_complete_runs
from tests.orchestrator.commands import mimsweep, refused

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture
def stored(here: Path) -> Path:
    (here / "s.yaml").write_text(SWEEP)
    store_complete_runs()
    return here


def test_the_command_proposed_is_of_the_same_file_fields_and_store(stored: Path) -> None:
    Path("my sweep.yaml").write_text(SWEEP)
    said = mimsweep("--import", "json", "run", "my sweep.yaml", "--set", "seed=1").stderr
    assert "`mimsweep --import json figures 'my sweep.yaml' --set=seed=1` draws it" in said
    uri = f"sqlite:///{stored}/mlflow.db"
    said = mimsweep("run", "s.yaml", "--tracking-uri", uri).stderr
    assert f"`mimsweep figures s.yaml --tracking-uri {uri}` draws it" in said
    assert f"`mimsweep ui --tracking-uri {uri}` shows" in said
    Path("-s.yaml").write_text(SWEEP)
    assert "`mimsweep figures ./-s.yaml` draws it" in mimsweep("run", "./-s.yaml").stderr


@pytest.mark.parametrize("output", ["s.yaml", "report", "/dev/full"])
def test_a_report_replaces_nothing_but_a_page(output: str, stored: Path) -> None:
    said = refused(mimsweep("report", "s.yaml", "--output", output))
    assert said == f"--output {output}: the file must end in .html"
    assert Path("s.yaml").read_text() == SWEEP


def test_pages_on_a_port_that_is_taken(stored: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(mimsweep("ui", "--port", str(port)))
    assert said == f"--port {port}: Address already in use; name another port"


def test_the_command_of_a_python(here: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mimsweep", "validate", "no.yaml"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (2, "mimsweep: no.yaml: no such file\n")


def test_a_command_runs_in_any_thread(here: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(mimsweep, "validate", "smoke").result()
    assert (result.exit_code, result.stdout) == (0, "smoke: smoke, 12 runs\n")


@pytest.mark.slow
def test_a_home_behind_an_equals_sign(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(stored / "home"))
    (stored / "home").mkdir()
    assert mimsweep("figures", "s.yaml", "--output=~/drawn").exit_code == 0
    assert mimsweep("results", "s.yaml", "--output=~/r.csv").exit_code == 0
    assert (stored / "home/drawn/s/table.csv").is_file()
    assert (stored / "home/r.csv").is_file()
    assert not Path("~").exists()
