"""What a user's script is told by mypy --strict."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow

GOOD = """\
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

import mimsweep as ms
from mimsweep import register


def best(sweep: ms.Sweep) -> ms.Run:
    sweep.run(engine="inline", workers=2, cohort_size="auto")
    table: pd.DataFrame = sweep.results()
    pictures: dict[str, Path] = sweep.figures("figures", latent=True)
    page: Path = sweep.report()
    holds = bool(sweep.verify()["all_hold"])
    print(pictures, page, holds, sweep.plan(device="cpu"), sweep.status())
    return sweep.runs[int(table["nll"].to_numpy().argmin())]


def gap(run: ms.Run) -> float:
    model: ms.Model = run.model()
    x, labels = run.data()
    q_z: ms.Density = model.encode(x)
    mean: npt.NDArray[np.float32] = q_z.mean
    print(model.decode(mean).sample(seed=2), model.sample(3), labels[0], run.fields["z_dim"])
    return float(model.log_prob([0.0, 1.0]).mean())


try:
    print(gap(best(ms.load(Path("a.yaml"), ["seed=1"], tracking_uri="sqlite:///a.db"))))
except ms.MimsweepError as error:
    raise SystemExit(error.exit_code) from error

register.data("mine", dims=2, load=lambda folder: None)
ms.register.data("other", dims=2, load=lambda folder: None)
"""
BAD = """\
import mimsweep as ms

sweep = ms.load("a.yaml")
sweep.run(engine="lokal")
sweep.runs[0].model().sample("3")
ms.lode("a.yaml")
"""


def mypy(folder: Path, script: str) -> str:
    (folder / "script.py").write_text(script)
    options = ["--strict", "--follow-imports=silent", "--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "script.py"],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_a_users_script_is_typed(tmp_path: Path) -> None:
    told = mypy(tmp_path, GOOD)
    assert told.startswith("Success: no issues found"), told


def test_mistakes_of_a_users_script_are_found(tmp_path: Path) -> None:
    told = mypy(tmp_path, BAD).splitlines()
    for line, what in ((4, '"engine" to "run"'), (5, '"sample" of "Model"'), (6, '"lode"')):
        found = [each for each in told if each.startswith(f"script.py:{line}:") and what in each]
        assert len(found) == 1, told
