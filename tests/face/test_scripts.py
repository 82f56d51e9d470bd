"""Scripts of users, as they write them: without `if __name__ == "__main__"`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.odd import users
from tests.odd.ending import ENDLESS, STOP_SECONDS, rows, statuses, until

RUN = """
import mimsweep as ms

print("once")
sweep = ms.load("s.yaml")
sweep.run(workers=1)
print(len(sweep.results()), sorted(sweep.figures()))
"""


def started(script: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_script_is_run_once_and_what_it_imports_reaches_the_workers(here: Path) -> None:
    """The processes that draw don't import it, those that train know its folder."""
    folder = here / "scripts"
    folder.mkdir()
    users.write(folder, users.DATA)
    drawn = "figures: {x: seed, hue: model, metrics: [nll]}\n"
    (here / "s.yaml").write_text(users.SWEEP + drawn)
    (folder / "script.py").write_text(f"import mine\n{RUN}")
    out, err = started(folder / "script.py").communicate(timeout=120)
    assert out.startswith("once\n1 ['combined', "), err
    assert out.count("once") == 1


def test_what_the_script_itself_registers_is_refused(here: Path) -> None:
    (here / "s.yaml").write_text(users.SWEEP)
    (here / "script.py").write_text(users.DATA + RUN)
    process = started(here / "script.py")
    out, err = process.communicate(timeout=60)
    assert out == "once\n"
    assert err.splitlines()[-1] == (
        "mimsweep.orchestrator.errors.SpecError: s: the data set mine: registered in a cell or in "
        "the script itself, which other processes can't import; put it into a module, a file of "
        "its own, and import that here; or run with engine='inline', in this process"
    )
    assert not (here / "mlflow.db").exists()


@pytest.mark.slow
def test_ctrl_c_closes_the_runs_and_raises(here: Path) -> None:
    (here / "s.yaml").write_text(ENDLESS)
    caught = "try:\n    ms.load('s.yaml').run(workers=1)\nexcept KeyboardInterrupt as stopped:\n"
    told = "    print('stopped:', stopped, flush=True)\n"
    (here / "script.py").write_text(f"import mimsweep as ms\n{caught}{told}")
    process = started(here / "script.py")
    until(lambda: statuses().count("RUNNING") == 3)
    until(lambda: rows("SELECT count(*) FROM metrics") > [(0,)])
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    line = process.stdout.readline()  # to end Python itself takes time too
    assert time.monotonic() - start < STOP_SECONDS
    process.communicate(timeout=60)
    assert line == "stopped: the same command completes what is missing\n"
    assert "RUNNING" not in statuses()
