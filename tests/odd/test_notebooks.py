"""A notebook: sweeps that are run, stopped and lost in the kernel of a real one."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from mimsweep.orchestrator.running.progress import READY
from tests.odd import users
from tests.odd.ending import (
    ENDLESS,
    MIMSWEEP,
    STOP_SECONDS,
    SWEEP,
    rows,
    statuses,
    until,
)

pytestmark = pytest.mark.slow

SECONDS = 120.0


class Notebook:
    """A kernel, and what its cells print."""

    def __init__(self, folder: Path) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(folder), env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
        self.client: BlockingKernelClient = self.manager.client()
        self._connect()

    def _connect(self) -> None:
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    def begin(self, cell: str) -> str:
        """Begins a cell; returns its id."""
        return str(self.client.execute(cell))

    def end(self, cell_id: str) -> str:
        """Waits for the end of a cell; returns what it printed, errors too."""
        printed, deadline = "", time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            content: dict[str, Any] = message["content"]
            if message["parent_header"].get("msg_id") != cell_id:
                continue
            if message["msg_type"] == "stream":
                printed += content["text"]
            elif message["msg_type"] in ("display_data", "update_display_data"):
                printed += content["data"]["text/plain"]
            elif message["msg_type"] == "error":
                printed += f"{content['ename']}: {content['evalue']}\n"
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return printed
        raise AssertionError(f"no end of the cell, which printed {printed}")

    def run(self, cell: str) -> str:
        """Runs a cell; returns what it printed."""
        return self.end(self.begin(cell))

    def restart(self) -> None:
        """Kills the kernel, whatever it does, and starts another, as the button does."""
        self.client.stop_channels()
        self.manager.restart_kernel(now=True)
        self.client = self.manager.client()
        self._connect()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def notebook(here: Path) -> Iterator[Notebook]:
    opened = Notebook(here)
    yield opened
    opened.close()


def test_a_sweep_is_run_and_drawn_in_a_cell(notebook: Notebook, here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    printed = notebook.run(f"!{MIMSWEEP} run s.yaml --workers 1")
    assert "s: 2 of 2 runs to train" in printed
    assert "s: 2/2 runs complete" in printed
    printed += notebook.run(f"!{MIMSWEEP} figures s.yaml")
    assert len(list(here.glob("figures/s/*.png"))) > 0
    assert "Traceback" not in printed
    read = notebook.run(
        "import mimsweep as ms, io, pandas as pd\n"
        f"csv = !{MIMSWEEP} results s.yaml 2>/dev/null\n"
        "print(len(ms.load('s.yaml').runs), pd.read_csv(io.StringIO('\\n'.join(csv))).nll.count())"
    )
    assert read == "2 2\n"


def test_the_stop_button_ends_a_sweep_that_goes_on(notebook: Notebook, here: Path) -> None:
    (here / "s.yaml").write_text(ENDLESS)
    cell = notebook.begin(f"!{MIMSWEEP} run s.yaml --workers 1")
    until(lambda: statuses().count("RUNNING") == 3)
    notebook.manager.interrupt_kernel()
    assert "Traceback" not in notebook.end(cell)
    (here / "s.yaml").write_text(SWEEP)
    assert "s: 2/2 runs complete" in notebook.run(f"!{MIMSWEEP} run s.yaml --workers 1")
    assert "RUNNING" not in statuses()  # IPython gives it half a second to end, then kills it


def test_the_stop_button_ends_a_command_of_the_kernel_and_not_the_kernel(
    notebook: Notebook, here: Path
) -> None:
    (here / "s.yaml").write_text(ENDLESS)
    # A notebook's own torch may be set in any way.
    cell = notebook.begin(
        "import torch\ntorch.set_default_dtype(torch.float64)\nkept = 'kept'\n"
        "from mimsweep.orchestrator.cli.main import main\n"
        "main(['run', 's.yaml', '--engine', 'inline'], standalone_mode=False)"
    )
    until(lambda: rows("SELECT count(*) FROM metrics") > [(0,)])
    notebook.manager.interrupt_kernel()
    assert "mimsweep: interrupted" in notebook.end(cell)
    time.sleep(2 * STOP_SECONDS)
    assert notebook.run("print(kept, torch.get_default_dtype())") == "kept torch.float64\n"
    cell = notebook.begin("time = __import__('time')\ntime.sleep(60)")
    time.sleep(1)
    notebook.manager.interrupt_kernel()
    assert "KeyboardInterrupt" in notebook.end(cell)
    assert "RUNNING" not in statuses()


def test_a_kernel_that_is_restarted_leaves_a_sweep_that_goes_on(
    notebook: Notebook, here: Path
) -> None:
    (here / "s.yaml").write_text(ENDLESS)
    notebook.begin(f"!{MIMSWEEP} run s.yaml --workers 1")
    until(lambda: statuses().count("RUNNING") == 3)
    notebook.restart()
    until(lambda: "RUNNING" not in statuses())  # its terminal has gone with the kernel
    (here / "s.yaml").write_text(SWEEP)
    assert "s: 2/2 runs complete" in notebook.run(f"!{MIMSWEEP} run s.yaml --workers 1")


def test_workers_start_where_main_has_no_file(notebook: Notebook, here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    printed = notebook.run(
        "from mimsweep.orchestrator.cli.main import main\n"
        "main(['run', 's.yaml', '--workers', '2', '--cohort-size', '1'], standalone_mode=False)"
    )
    assert "s: 2/2 runs complete" in printed
    handlers = "[signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]"
    assert "Stop" not in notebook.run(f"import signal; print({handlers})")


def test_a_sweep_is_run_shown_and_used_from_python(notebook: Notebook, here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    printed = notebook.run("import mimsweep as ms\nsweep = ms.load('s.yaml')\nsweep.run(workers=1)")
    assert READY in printed
    assert "s: 2 of 2 runs to train" in printed
    assert "s: 0/2 runs complete, 2 running" in printed  # what stands there while it trains
    assert "s: 2/2 runs complete" in printed
    assert "nll.png" in notebook.run("print(sweep.figures())")
    read = "print(len(sweep.results()), sweep.runs[0].model().sample(3).shape)"
    assert notebook.run(read) == "2 (3, 2)\n"
    kept = "import matplotlib\nprint(matplotlib.get_backend())"
    assert "inline" in notebook.run(kept)  # plots of the user's own still stand under their cells


def test_the_stop_button_ends_a_sweep_from_python_and_not_the_kernel(
    notebook: Notebook, here: Path
) -> None:
    (here / "s.yaml").write_text(ENDLESS)
    cell = notebook.begin("import mimsweep as ms\nms.load('s.yaml').run(workers=1)")
    until(lambda: statuses().count("RUNNING") == 3)
    until(lambda: rows("SELECT count(*) FROM metrics") > [(0,)])
    start = time.monotonic()
    notebook.manager.interrupt_kernel()
    told = notebook.end(cell)
    assert time.monotonic() - start < STOP_SECONDS
    assert "KeyboardInterrupt: the same command completes what is missing\n" in told
    assert "RUNNING" not in statuses()
    (here / "s.yaml").write_text(SWEEP)
    assert "s: 2/2 runs complete" in notebook.run("ms.load('s.yaml').run(workers=1)")


def test_a_cell_is_awaited_in_the_same_kernel(notebook: Notebook, here: Path) -> None:
    """The kernel's event loop runs while a sweep does."""
    (here / "s.yaml").write_text(SWEEP)
    cell = (
        "import asyncio, mimsweep as ms\nawait asyncio.sleep(0)\nms.load('s.yaml').run(workers=1)"
    )
    assert "s: 2/2 runs complete" in notebook.run(cell + "\nawait asyncio.sleep(0)")


def test_what_a_cell_registers_is_for_this_process_alone(notebook: Notebook, here: Path) -> None:
    (here / "s.yaml").write_text(users.SWEEP)
    notebook.run(users.DATA)
    told = notebook.run("import mimsweep as ms\nsweep = ms.load('s.yaml')\nsweep.run(workers=1)")
    assert "SpecError: s: the data set mine: registered in a cell" in told
    assert "put it into a module, a file of its own, and import that here" in told
    assert not (here / "mlflow.db").exists()
    assert "s: 1/1 runs complete" in notebook.run("sweep.run(engine='inline')")
    assert notebook.run("print(sweep.runs[0].model().sample(3).shape)") == "(3, 2)\n"
    assert "SpecError: s: the data set mine" in notebook.run("sweep.figures()")


@pytest.mark.parametrize("folder", ["", "elsewhere"])
def test_a_module_that_a_cell_imports_reaches_the_workers(
    folder: str, notebook: Notebook, here: Path
) -> None:
    (here / folder).mkdir(exist_ok=True)
    (here / folder / "mine.py").write_text(users.DATA)
    (here / "s.yaml").write_text(
        users.SWEEP.replace("[vae]}", "[vae]}\nfigures: {x: seed, hue: model, metrics: [nll]}")
    )
    notebook.run(f"import sys\nsys.path.insert(0, {str(here / folder)!r})\nimport mine")
    told = notebook.run("import mimsweep as ms\nsweep = ms.load('s.yaml')\nsweep.run(workers=1)")
    assert "s: 1/1 runs complete" in told
    assert "nll.png" in notebook.run("print(sweep.figures(latent=True))")
