"""Results that can't be stored when all is trained: the wait is told, and can be ended."""

import re
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from mimsweep.orchestrator.errors import RefusedError, TrackingError
from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.odd.ending import SWEEP, started, statuses, until

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

WAITS = (
    r"mimsweep: 2 results wait on disk for the store: the artifact folder \S+/mlruns/1/\w+/"
    r"artifacts failed: \S+: Not a directory; it is tried for 9 min \d+ s more, and Ctrl-C leaves "
    r"the rest to the next start"
)


@pytest.mark.slow
def test_an_artifact_folder_that_cannot_be_written_is_waited_for_and_told(here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    (here / "mlruns").touch()
    log = here / "log.txt"
    with (
        log.open("w") as stderr,
        started("run", "s.yaml", "--workers", "1", stderr=stderr.fileno()) as program,
    ):
        until(lambda: re.search(WAITS, log.read_text()))
        program.signal(signal.SIGTERM, signal.SIGINT)
        assert program.end(5)[0] == 130
    said = log.read_text().splitlines()[-1]
    assert said.startswith(
        "mimsweep: interrupted; 2 results wait on disk for the store, as the art"
    )
    assert said.endswith(": Not a directory; the same command completes what is missing")

    (here / "mlruns").unlink()
    with started("run", "s.yaml", "--workers", "1") as program:
        code, _, err = program.end()
    assert (code, "s: 0 of 2 runs to train" in err) == (0, True), err
    assert "epochs/min" not in err.replace("0 epochs/min", "")
    assert statuses().count("FINISHED") == 3
    assert len(Tracking("sqlite:///mlflow.db").complete("s")) == 2


def test_the_folder_is_named_that_fails(here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    (here / "mlruns").touch()
    tracking = Tracking("sqlite:///mlflow.db")
    parent_id = tracking.start_sweep("s", "", {}, {})
    run_ids = tracking.create_runs(parent_id, load_sweep(Path("s.yaml")).runs, {})
    told = (
        rf"^the artifact folder {here}/mlruns/1/{run_ids[0]}/artifacts failed: .*Not a directory$"
    )
    with pytest.raises(TrackingError, match=told) as error:
        tracking.finish(run_ids[0], {}, {"spec.yaml": b""})
    assert not isinstance(error.value, RefusedError)
    (here / "figures").mkdir()
    (here / "figures" / "a.png").touch()
    with pytest.raises(TrackingError, match=r"^the artifact folder "):
        tracking.log_folder(parent_id, here / "figures")


@pytest.mark.slow
def test_a_silence_as_a_run_starts_is_told(here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with started("run", "s.yaml", "--tracking-uri", uri) as program:
            code, _, err = program.end()
    waits, ready, failed = err.splitlines()
    assert code == 3
    assert waits.startswith(
        f"mimsweep: the tracking store {uri} has not answered yet; it is waited "
    )
    assert re.match(r"getting ready: the store, data sets, workers; 1\d s so far$", ready), err
    assert failed.startswith(f"mimsweep: the tracking store {uri} failed: ")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "figures"])
def test_a_store_that_a_reader_waits_for_is_told(here: Path, command: str) -> None:
    (here / "s.yaml").write_text(SWEEP)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with started(command, "s.yaml", "--tracking-uri", uri) as program:
            code, _, err = program.end()
    waits, failed = err.splitlines()
    assert code == 3
    assert waits == (
        f"mimsweep: the tracking store {uri} has not answered yet; it is waited for, which may "
        "take minutes, and Ctrl-C ends that"
    )
    assert failed.startswith(f"mimsweep: the tracking store {uri} failed: ")
