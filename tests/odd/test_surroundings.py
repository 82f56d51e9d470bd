"""Variables, and what else a process inherits, as notebooks, editors and other tools leave them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from tests.odd.ending import MIMSWEEP, SWEEP, slow, store_complete_runs

NOTEBOOK = "module://matplotlib_inline.backend_inline"
FIGURES = ("nll.svg", "nll.png", "learning.svg", "table.csv")
OF_MATPLOTLIB = {
    "MPLBACKEND": "nonsense",
    "MATPLOTLIBRC": "styles",  # a folder that has one
    "PYTHONWARNINGS": "error",
    "SOURCE_DATE_EPOCH": "yesterday",
}
OF_MLFLOW = {
    "MLFLOW_LOGGING_LEVEL": "quiet",
    "MLFLOW_RUN_ID": "0123456789abcdef0123456789abcdef",
    "MLFLOW_EXPERIMENT_ID": "99",
    "MLFLOW_EXPERIMENT_NAME": "another",
    "MLFLOW_TRACKING_USERNAME": "somebody",
    "MLFLOW_TRACKING_PASSWORD": "secret",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
}
OF_NUMBERS = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "NUMBA_DISABLE_JIT": "1",  # minutes an epoch
    "NUMBA_OPT": "0",
    "OMP_NUM_THREADS": "nonsense",
    "OMP_PROC_BIND": "true",
}
NOWHERE = {
    "HOME": "/proc/nowhere",
    "TMPDIR": "/proc/nowhere",
    "XDG_CACHE_HOME": "/proc/nowhere",
    "NUMBA_CACHE_DIR": "/proc/nowhere",
}
TERMINAL = {"LC_ALL": "C", "COLUMNS": "1", "LINES": "1", "TERM": "dumb", "FORCE_COLOR": "1"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete sweep, and its figures."""
    folder = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "s.yaml").write_text(SWEEP)
        store_complete_runs()
        told("figures", "s.yaml")
    return folder


@pytest.fixture
def folder(here: Path, stored: Path) -> Path:
    """A folder with the complete sweep alone."""
    shutil.copy(stored / "mlflow.db", here)
    shutil.copy(stored / "s.yaml", here)
    return here


def told(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[str, str]:
    """What a command that ends well prints."""
    done = subprocess.run(
        ["sh", "-c", 'umask 077; exec "$0" "$@" <&-', MIMSWEEP, *arguments],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_figures_heed_nobodys_settings(folder: Path, stored: Path) -> None:
    Path("styles").mkdir()
    Path("styles/matplotlibrc").write_text("lines.linewidth: 9\nbackend: nonsense2\n")
    out, _ = told("figures", "s.yaml", environment={**OF_MATPLOTLIB, **OF_MLFLOW, **TERMINAL})
    assert out == "figures/s: 2 of 2 runs\n"
    for name in FIGURES:
        assert (folder / "figures/s" / name).read_bytes() == (
            stored / "figures/s" / name
        ).read_bytes()


@pytest.mark.slow
def test_figures_are_drawn_in_a_notebook_without_a_home(folder: Path) -> None:
    out, _ = told("figures", "s.yaml", environment={"MPLBACKEND": NOTEBOOK, **NOWHERE})
    assert out == "figures/s: 2 of 2 runs\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_any_name_is_printed_in_any_encoding(here: Path, encoding: str) -> None:
    Path("s.yaml").write_text(SWEEP.replace("name: s", "name: s\ndescription: 多次 − β"))
    shutil.copy("s.yaml", "多次.yaml")
    environment = {"PYTHONIOENCODING": f"{encoding}:strict"}
    assert told("validate", "多次.yaml", environment=environment)[0].endswith("s, 2 runs\n")
    assert "entropy" in told("sweeps", environment=environment)[0]


@pytest.mark.parametrize("command", [slow("run"), "plan", "status"])
def test_numbers_heed_nobodys_settings(here: Path, command: str) -> None:
    Path("s.yaml").write_text(SWEEP)
    Path(".numba_config.yaml").write_text("disable_jit: 1\nopt: '0'\n")
    everything = {**OF_MATPLOTLIB, **OF_MLFLOW, **OF_NUMBERS, **NOWHERE, **TERMINAL}
    _, err = told(command, "s.yaml", environment=everything)
    assert "arning" not in err
    if command == "run":
        Path(".numba_config.yaml").unlink()
        assert measured() == measured(fresh=True)


def test_a_file_of_numbas_is_not_heeded(here: Path) -> None:
    Path(".numba_config.yaml").write_text("disable_jit: 1\nopt: '0'\n")
    code = (
        "from mimsweep.models.measures.pairs import reduction; from numba.core import config;"
        "print(type(reduction(lambda x: x)).__name__, int(config.OPT))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("CPUDispatcher 3\n", "")


def measured(fresh: bool = False) -> object:
    """The metrics of the sweep here, of a second training if asked to."""
    if fresh:
        told("run", "s.yaml", "--fresh")
    told("results", "s.yaml", "--output", "results.csv")
    return pd.read_csv("results.csv").drop(columns=["run_id", "seconds"]).to_json()
