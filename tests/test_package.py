"""What is installed: one name, with all that it needs, whatever the user's folders are called."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.wheel import environment

MINE = """
from mimsweep import register
from models.shapes import SIDES

assert SIDES == 3
register.data("mine", dims=2, load=__import__("models.points").points.load)
"""
POINTS = """
import torch
from mimsweep.models.streams import generator


class Points:
    dims, classes = 2, 2

    def items(self, split):
        return 400

    def draw(self, split, seed, epoch):
        source = generator("data", "mine", split, seed, epoch)
        x = torch.randn(400, 2, generator=source)
        return x, (x[:, 0] > 0).long()

    def log_prob(self, x):
        return None


def load(data_dir):
    return Points()
"""
SWEEP = """
name: mine
fixed: {dataset: mine, mid_dim: 3, epochs: 2, warmup: 1, batch_size: 32}
grid: {model: [mim, vae]}
"""


def mimsweep(installed: Path, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        ["mimsweep", *arguments],
        cwd=cwd,
        env=environment(installed),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_holds_one_package_and_all_its_files(installed: Path) -> None:
    tops = {path.name for path in installed.iterdir()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mimsweep", "bin"}
    listed = {
        str(file.relative_to(ROOT / "src"))
        for folder in ("models", "orchestrator", "dashboards", "sweeps", "")
        for file in (ROOT / "src" / "mimsweep" / folder).glob("**/*" if folder else "*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    held = {str(p.relative_to(installed)) for p in (installed / "mimsweep").rglob("*")}
    assert listed - held == set()
    assert not any(path.is_symlink() for path in installed.rglob("*"))


@pytest.mark.slow
def test_a_shipped_sweep_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    less = ("--set", "seed=1", "--set", "epochs=2")
    mimsweep(installed, "run", "smoke", *less, cwd=tmp_path)
    assert (tmp_path / "mlflow.db").exists()
    mimsweep(installed, "figures", "smoke", *less, cwd=tmp_path)
    mimsweep(installed, "report", "smoke", *less, cwd=tmp_path)
    assert "smoke" in (tmp_path / "reports" / "report.html").read_text()
    place = "import mimsweep; print(mimsweep.__file__)"
    found = subprocess.check_output(
        [sys.executable, "-c", place], env=environment(installed), text=True
    )
    assert found.startswith(str(installed))


@pytest.mark.slow
def test_a_users_own_models_package_is_theirs(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    (tmp_path / "models" / "shapes.py").write_text("SIDES = 3\n")
    (tmp_path / "models" / "points.py").write_text(POINTS)
    (tmp_path / "models" / "ideas.py").write_text(MINE)
    (tmp_path / "mine.yaml").write_text(SWEEP)
    mimsweep(installed, "--import", "models.ideas", "run", "mine.yaml", cwd=tmp_path)
    table = mimsweep(installed, "--import", "models.ideas", "results", "mine.yaml", cwd=tmp_path)
    assert len(table.splitlines()) == 1 + 2
