"""The notebooks of docs/notebooks run from top to bottom, in an empty folder."""

from pathlib import Path

import nbformat
import pytest

from tests.notebooks import NOTEBOOKS, executed

pytestmark = pytest.mark.slow

EXPECTED = {
    "first_sweep": ["first: 20/20 runs complete", "holds — MIM surely keeps more"],
    "own_question": ["spiral: 18/18 runs complete", "below the truth by"],
}


def printed(notebook: nbformat.NotebookNode) -> str:
    """What the outputs of a notebook's cells are, as far as it is text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    plain = [output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join([*plain, *(output.get("text", "") for output in outputs)])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_and_has_its_outputs(path: Path, here: Path) -> None:
    stored = printed(nbformat.read(path, as_version=4))
    again = printed(executed(path, here))
    for text in EXPECTED[path.stem]:
        assert text in again
        assert text in stored, "`make notebooks` stores what the cells print"


def test_each_notebook_is_expected_to_print_something() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(EXPECTED)
