"""The examples of docs/extending.md do what they say, through the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the document."""
    text = DOCUMENT.read_text()
    for language, names in (
        ("python", ("my_ideas.py", None, "my_network.py")),
        ("yaml", ("my_sweep.yaml", "networks.yaml")),
    ):
        blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        for name, code in zip(names, blocks, strict=True):
            if name:
                (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIMSWEEP_IMPORT", raising=False)
    return tmp_path


def mimsweep(
    *arguments: str, path: Path | None = None, **environment: str
) -> subprocess.CompletedProcess:
    code = "from mimsweep.orchestrator.cli.main import main; main()"
    more = [str(path)] if path else []
    paths = os.pathsep.join([str(DOCUMENT.parents[1]), *more, *sys.path])
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def refused(here: Path, imported: tuple[str, ...] = (), **fields: str) -> str:
    """What is said of a sweep of one run with a field that it can't have."""
    fixed = json.dumps({"dataset": "toy4", "model": "mim", **fields})
    (here / "part.yaml").write_text(f"name: part\nfixed: {fixed}\n")
    done = mimsweep(*imported, "validate", "part.yaml")
    assert done.returncode == 2
    return done.stderr


@pytest.mark.slow
def test_the_example_is_validated_only_when_imported(here: Path) -> None:
    done = mimsweep("validate", "my_sweep.yaml")
    assert done.returncode == 2
    assert "my_sweep.yaml:4:20: grid.alpha: no such field" in done.stderr
    hint = "; those of your own are added by --import MODULE"
    assert hint in done.stderr
    for field, name in (("dataset", "ring"), ("encoder", "conv1d"), ("p_z", "scaled")):
        assert hint in refused(here, **{field: name})
    for done in (
        mimsweep("--import", "my_ideas", "validate", "my_sweep.yaml"),
        mimsweep("validate", "my_sweep.yaml", MIMSWEEP_IMPORT="my_ideas"),
    ):
        assert done.returncode == 0, done.stderr
        assert "3 runs" in done.stdout
    assert hint not in refused(here, model="qqq", imported=("--import", "my_ideas"))


@pytest.mark.slow
def test_an_installed_package_needs_no_option(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    installed = tmp_path_factory.mktemp("site")
    shutil.copy(here / "my_ideas.py", installed / "my_package.py")
    about = installed / "my_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (group,) = re.findall(r'project.entry-points."(.*?)"', DOCUMENT.read_text())
    (about / "entry_points.txt").write_text(f"[{group}]\nideas = my_package\n")
    done = mimsweep("validate", "my_sweep.yaml", path=installed)
    assert done.returncode == 0, done.stderr
    done = mimsweep("run", "my_sweep.yaml", "--workers", "1", path=installed)
    assert done.returncode == 0, done.stderr


def test_a_module_that_is_not_there_is_told(here: Path) -> None:
    done = mimsweep("--import", "no_ideas", "validate", "my_sweep.yaml")
    assert done.returncode == 2
    assert done.stderr.strip() == "mimsweep: --import no_ideas: No module named 'no_ideas'"
    done = mimsweep("validate", "my_sweep.yaml", MIMSWEEP_IMPORT="no_ideas")
    assert done.returncode == 2
    assert "MIMSWEEP_IMPORT: no_ideas: No module named 'no_ideas'" in done.stderr


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("x = 1\ndef f(:\n", "broken.py:2: SyntaxError: invalid syntax"),
        ("\n\n1 / 0\n", "broken.py:3: ZeroDivisionError: division by zero"),
        ("import nothing_at_all\n", "broken.py:1: ModuleNotFoundError: No module named 'nothing"),
        ("import sys\nsys.exit(5)\n", "broken.py:2: SystemExit: 5"),
    ],
)
def test_an_error_in_a_module_is_told_with_its_place(here: Path, code: str, sentence: str) -> None:
    (here / "broken.py").write_text(code)
    by_option = mimsweep("--import", "broken", "validate", "my_sweep.yaml")
    by_variable = mimsweep("validate", "my_sweep.yaml", MIMSWEEP_IMPORT="broken")
    for done in (by_option, by_variable):
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_a_file_in_place_of_a_module_is_told(here: Path) -> None:
    done = mimsweep("--import", "./my_ideas.py", "validate", "my_sweep.yaml")
    assert done.returncode == 2
    assert "./my_ideas.py is a file; give the module's name, my_ideas" in done.stderr


@pytest.mark.slow
def test_the_example_trains(here: Path) -> None:
    done = mimsweep("--import", "my_ideas", "run", "my_sweep.yaml", "--workers", "1")
    assert done.returncode == 0, done.stderr
    table = mimsweep("--import", "my_ideas", "results", "my_sweep.yaml").stdout.splitlines()
    assert len(table) == 1 + 3


@pytest.mark.slow
def test_the_network_trains_in_both_places_and_its_field_is_swept(here: Path) -> None:
    done = mimsweep("--import", "my_network", "run", "networks.yaml", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "networks: eager steps: a user's network (conv1d), in 5 runs" in done.stderr
    done = mimsweep("--import", "my_network", "results", "networks.yaml", "--output", "r.json")
    rows = json.loads((here / "r.json").read_text())
    assert sorted((row["decoder"], row["width"]) for row in rows) == [
        ("conv1d", 16), ("mlp", 8), ("mlp", 8), ("mlp", 16), ("mlp", 16)
    ]  # fmt: skip


def test_runs_of_the_example_are_independent_of_their_cohort(here: Path) -> None:
    """In a process of its own, so that nothing stays registered."""
    code = """
import torch
from dataclasses import replace
torch.set_num_threads(1)
import my_ideas
from tests.models.cohorts import COHORT, assert_independent
for change in ({"model": "wae", "declared": {"alpha": 1.0}}, {"p_z": "scaled"}, {"q_x": "scaled"},
               {"p_z": "scaled", "learn_p_z": True}):
    assert_independent(replace(COHORT, dataset="ring", **change))
"""
    root = DOCUMENT.parents[1]
    paths = os.pathsep.join([str(here), str(root), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths, "MIMSWEEP_IMPORT": "my_ideas"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
