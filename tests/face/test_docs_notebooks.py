"""The notebooks of docs/notebooks run from top to bottom, in an empty folder."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.paths import ROOT

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def printed(notebook: nbformat.NotebookNode) -> str:
    """What the cells of a notebook have as their outputs, as far as it is text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    plain = [output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join([*plain, *(output.get("text", "") for output in outputs)])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs(path: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    shown = printed(notebook)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(here)}}).execute()
    again = printed(notebook)
    assert "Traceback" not in again
    expected = {
        "first_sweep": ["first: 20/20 runs complete", "holds — MIM surely keeps more"],
        "own_question": ["spiral: 18/18 runs complete", "below the truth by"],
    }
    for text in expected[path.stem]:
        assert text in again
        assert text in shown, "run `make notebooks` to store what the cells print"


def test_both_notebooks_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first_sweep", "own_question"]
