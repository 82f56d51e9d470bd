"""A system that refuses: folders that can't be written or are gone, a full disk, nobody's user."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from mimsweep.models import registry
from mimsweep.orchestrator.errors import MimsweepError
from mimsweep.orchestrator.processes import Processes
from mimsweep.orchestrator.surroundings import system_refuses
from tests.odd.ending import MIMSWEEP, SWEEP, statuses, store_complete_runs

# Permissions don't bind root, unless it gives up the right to pass over them.
BOUND = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]
NOBODY = [
    *("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),  # to find this Python
]
ROOT = os.geteuid() == 0
GONE = "the folder that the command was started in is not there any more; go to another"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of a complete sweep."""
    folder = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "s.yaml").write_text(SWEEP)
        store_complete_runs()
    return folder


@pytest.fixture
def elsewhere(here: Path, stored: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sweep file alone, of which the store is in another folder."""
    shutil.copy(stored / "s.yaml", here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{stored}/mlflow.db")
    return here


def run(
    *arguments: str, by: Sequence[str] = (), without: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs a command, by another program if so, in an environment without some variables."""
    environment = {name: value for name, value in os.environ.items() if name not in without}
    done = subprocess.run(
        [*by, MIMSWEEP, *arguments],
        env={**environment, "CUDA_VISIBLE_DEVICES": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def refused(*arguments: str, by: Sequence[str] = (), code: int = 2) -> str:
    """The sentence with which a command ends."""
    done = run(*arguments, by=by)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr.removeprefix("mimsweep: ").strip()


def able(by: Sequence[str]) -> bool:
    """Whether another program can run one so here."""
    try:
        return subprocess.run([*by, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def locked(elsewhere: Path) -> list[str]:
    """What binds a command to permissions, by which the folder can't be written."""
    if ROOT and not able(BOUND):
        pytest.skip("root can't give up its rights here")
    elsewhere.chmod(0o555)
    return BOUND if ROOT else []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "s.yaml", "--fresh"], "{here}/.mimsweep: Permission denied"),
        (["figures", "s.yaml"], "{here}/figures: Permission denied"),
        (["report", "s.yaml"], "--output reports/report.html: Permission denied"),
        (["results", "s.yaml", "--output", "t.csv"], "--output t.csv: Permission denied"),
    ],
)
def test_a_folder_that_cant_be_written(
    arguments: list[str], sentence: str, elsewhere: Path, locked: list[str], stored: Path
) -> None:
    assert refused(*arguments, by=locked) == sentence.format(here=elsewhere)
    assert os.listdir(elsewhere) == ["s.yaml"]
    os.chdir(stored)
    assert statuses() == ["FINISHED"] * 3


def test_what_only_reads_needs_no_folder_that_can_be_written(locked: list[str]) -> None:
    assert run("status", "s.yaml", by=locked).returncode == 0


def test_a_file_in_a_folders_place(elsewhere: Path) -> None:
    Path("figures").mkdir()
    Path("figures/s").write_text("mine")
    assert refused("figures", "s.yaml") == f"{elsewhere}/figures/s: File exists"
    assert Path("figures/s").read_text() == "mine"


def test_a_full_disk(elsewhere: Path) -> None:
    full = elsewhere / "full"
    full.mkdir()
    mount = f'mount -t tmpfs -o size=32k none {full} && "$@"'
    by = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    if not able(by):
        pytest.skip("no file system can be mounted here")
    sentence = refused("figures", "s.yaml", "--output", str(full), by=by)
    assert sentence.startswith(str(full))
    assert sentence.endswith(": No space left on device")


@pytest.mark.parametrize("command", ["status", "run", "figures", "doctor", "ui"])
def test_a_folder_that_is_gone(here: Path, stored: Path, command: str) -> None:
    (here / "gone").mkdir()
    os.chdir("gone")
    (here / "gone").rmdir()
    files = [] if command in ("doctor", "ui") else [str(stored / "s.yaml")]
    assert refused("--import", "x", command, *files).startswith(GONE)


def test_a_folder_that_is_gone_has_no_modules(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "gone").mkdir()
    monkeypatch.chdir("gone")
    (here / "gone").rmdir()
    monkeypatch.setenv("MIMSWEEP_IMPORT", "not_there")
    registry.load.cache_clear()
    with pytest.raises(registry.RegistrationError, match="No module named 'not_there'"):
        registry.load()


@pytest.mark.parametrize("arguments", [["doctor"], ["plan", "s.yaml"], ["cancel", "s.yaml"]])
def test_a_user_without_a_name_or_a_home(here: Path, arguments: list[str]) -> None:
    if not (ROOT and able(NOBODY)):
        pytest.skip("nobody else can be had here")
    Path("s.yaml").write_text(SWEEP)
    here.chmod(0o777)
    done = run(*arguments, by=NOBODY, without=("HOME", "USER", "LOGNAME"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("limit", [400_000, 450_000, 500_000])
def test_too_little_memory(elsewhere: Path, limit: int) -> None:
    done = run("status", "s.yaml", by=["bash", "-c", f'ulimit -v {limit}; exec "$0" "$@"'])
    assert done.returncode in (0, 2)  # what suffices depends on the machine
    assert done.stderr.count("\n") == (done.returncode == 2)


@pytest.mark.parametrize(
    "error", [MemoryError(), SystemError(), RuntimeError("can't start new thread")]
)
def test_memory_and_threads_that_are_refused_are_told(error: Exception) -> None:
    told = system_refuses(error)
    assert told is not None
    assert told.startswith("the system gives no more memory or threads (")
    assert told.endswith("): see `ulimit -a`, and what limits the job or container has")


def test_a_system_without_a_thread_to_heed_signals_is_told(here: Path) -> None:
    limited = [*NOBODY, "bash", "-c", 'ulimit -u 1; exec "$0" "$@"']
    if not (ROOT and able(NOBODY)):
        pytest.skip("nobody else can be had here")
    assert refused("validate", "s.yaml", by=limited).startswith(
        "the system gives no more memory or threads (can't start new thread)"
    )


def test_an_error_that_cannot_be_told_is_none_of_the_systems() -> None:
    odd = type("Odd", (Exception,), {"__str__": None})
    assert system_refuses(odd()) is None


def test_a_process_that_is_killed() -> None:
    killed = pytest.raises(MimsweepError, match="a process of this command was killed")
    with killed, Processes(1, int) as pool:
        pool.submit(os._exit, 1).result()


@pytest.mark.slow
def test_ray_with_a_path_too_long(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    folder = elsewhere / ("long" * 30)
    folder.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    sentence = refused("run", "s.yaml", "--fresh", "--engine", "ray")
    assert sentence.startswith("--engine ray: Ray can't be started: ")
    assert "RAY_TMPDIR, which must have a short path" in sentence
