"""Fixtures of all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.slurm import slurm
from tests.wheel import install

if TYPE_CHECKING:
    import pandas as pd

# Under `nohup` it is ignored, by all that tests start too, which are to end by it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Of MLflow's servers, whose job runners would take half a core each.
os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real image sets: in MIMSWEEP_DATA_DIR, or in shared/data beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MIMSWEEP_DATA_DIR", beside))
    if not (folder / "FashionMNIST" / "raw").is_dir():
        pytest.skip(f"no image sets in {folder}; set MIMSWEEP_DATA_DIR to a folder that has them")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    for name in ("MLFLOW_TRACKING_URI", "MIMSWEEP_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """The slurm.conf of a real Slurm, to which SLURM_CONF leads; see `tests.slurm`."""
    with slurm() as conf, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        yield conf


@pytest.fixture(scope="session")
def without_faults(tmp_path_factory: pytest.TempPathFactory) -> "pd.DataFrame":
    """What the sweep of `tests.bench` comes to on this machine and SQLite, without faults."""
    from tests import bench, faults

    ran = faults.run_with(None, tmp_path_factory.mktemp("without"), seed=0)
    try:
        assert ran.starts == 1
        table = ran.results()
    finally:
        ran.close()
    assert len(table) == bench.RUNS
    return table


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the wheel is installed, and nothing else; see `tests.wheel`."""
    return install(tmp_path_factory.mktemp("wheel"))
