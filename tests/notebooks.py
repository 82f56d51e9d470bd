"""The notebooks of the documentation; `python -m tests.notebooks` stores what their cells print."""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.paths import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SECONDS = 300
"""The most that a cell may take."""


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Returns a notebook that was run from top to bottom in a folder.

    Raises:
        CellExecutionError: a cell raised.
    """
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=SECONDS, resources=resources, record_timing=False)
    client.execute(env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": _paths()})
    return notebook


def _paths() -> str:
    """Returns where Python looks for modules, with those of this checkout first."""
    return os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))


def main() -> None:
    """Runs each notebook in a folder of its own, and writes it with its outputs."""
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
