"""What `figures` and `report` write: from the store alone to pictures, and to one page.

Several files are drawn at once, in as many processes as there are cores. This module imports little
as it loads, so that they start at once.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.files.sweep import Sweep
from mimsweep.orchestrator.processes import Processes

_NOTHING = "no sweep has complete runs; start one with `mimsweep run SWEEP`"
_NO_SEARCH = (
    "no search has complete runs of its own; `mimsweep search SEARCH` makes its trials, and says "
    "which is best, whoever trained their runs"
)


def draw_sweeps(
    sweeps: Sequence[Sweep], uri: str, output: Path, latent: bool, data_dir: Path
) -> Iterator[str]:
    """Draws sweeps into folders of their names, and stores these on the sweeps' parent runs.

    Args:
        sweeps: to be drawn.
        uri: the store's.
        output: the folder of folders.
        latent: whether to draw what models of two dimensions, or of images, have learned, too.
        data_dir: where data sets are.

    Yields:
        a line or more on each sweep.

    Raises:
        MissingError: some of what runs stored is not there; the rest is drawn.
        SpecError: none of them has complete runs, or one can't be drawn as its file says.
        TrackingError: the store can't be read.
    """
    draw = partial(_draw, uri=uri, output=output, latent=latent, data_dir=data_dir)
    drawn = 0
    lost: list[str] = []
    with _processes(len(sweeps)) as pool:
        for sweep, (lines, missing) in zip(sweeps, pool.map(draw, sweeps), strict=True):
            yield from lines or [f"{sweep.name}: no complete runs yet, nothing to draw"]
            drawn += bool(lines)
            lost += missing
    if not drawn:
        raise SpecError(_NOTHING)
    _end(lost)


def report_on(
    files: Sequence[Sweep | Search], uri: str, output: Path, data_dir: Path
) -> Iterator[str]:
    """Writes one HTML file on sweeps and searches, and stores it on their parent runs.

    Args:
        files: sweeps and searches.
        uri: the store's.
        output: the HTML file.
        data_dir: where data sets are.

    Yields:
        a line on each file, and one on the page.

    Raises:
        MissingError: some of what runs stored is not there; the page has the rest.
        SpecError: none of them has runs, or one can't be drawn as its file says.
        TrackingError: the store can't be read.
    """
    if output.suffix.lower() not in (".html", ".htm"):  # a slip would replace a sweep file, say
        raise SpecError(f"--output {output}: the file must end in .html")
    keys = [f"s{index}" for index in range(len(files))]
    pages, parents = [], []
    lost: list[str] = []
    with _processes(len(files)) as pool:
        made = pool.map(partial(_page, uri=uri, data_dir=data_dir), files, keys)
        for page, parent_id, missing in made:
            yield f"{page['name']}: {page['complete']} of {page['total']} runs"
            pages.append(page)
            parents += [parent_id] if parent_id else []
            lost += missing
        if not any(page["complete"] for page in pages):
            raise SpecError(_NOTHING if any(isinstance(f, Sweep) for f in files) else _NO_SEARCH)
        pool.submit(_write, pages, output, uri, parents).result()
    yield f"{output}: {output.stat().st_size / 1e6:.1f} MB"
    _end(lost)


def _end(lost: Sequence[str]) -> None:
    """Raises MissingError if something was missing."""
    if lost:
        from mimsweep.orchestrator.tracking.artifacts import missing_error

        raise missing_error(lost)


def _processes(tasks: int) -> Processes:
    return Processes(min(tasks, os.cpu_count() or 1), _prepare)


def _prepare() -> None:
    gc.disable()  # finds nothing among so many live objects, and takes a sixth of the time
    os.environ["MPLBACKEND"] = "agg"  # a notebook's would load IPython


def _draw(
    sweep: Sweep, uri: str, output: Path, latent: bool, data_dir: Path
) -> tuple[list[str], list[str]]:
    from mimsweep.orchestrator.showing.figures import draw
    from mimsweep.orchestrator.showing.study import Study
    from mimsweep.orchestrator.tracking.artifacts import files_in, written_since
    from mimsweep.orchestrator.tracking.writer import Tracking

    store = Tracking(uri, create=False).require()
    study = Study(sweep, store)
    if study.table.empty:
        return [], []
    folder = output / sweep.name
    before = files_in(folder)
    lines = draw(study, folder, latent, data_dir)
    parent_id = store.latest_parent(sweep.name)
    if parent_id and not study.artifacts.barred:
        with written_since(folder, before) as drawn:
            store.log_folder(parent_id, drawn)
    return lines, study.artifacts.lost


def _page(
    file: Sweep | Search, key: str, uri: str, data_dir: Path
) -> tuple[dict[str, Any], str | None, list[str]]:
    from mimsweep.dashboards.report.page import page
    from mimsweep.orchestrator.showing.report import own_pictures, section
    from mimsweep.orchestrator.showing.search import search_section, study_of
    from mimsweep.orchestrator.showing.study import Study, as_spec_errors
    from mimsweep.orchestrator.tracking.writer import Tracking

    store = Tracking(uri, create=False).require()
    study = Study(file, store) if isinstance(file, Sweep) else study_of(file, store)
    with as_spec_errors(study.sweep):
        if isinstance(file, Sweep):
            made = section(study, own_pictures(study, data_dir))
        else:
            made = search_section(file, study)
        artifacts = study.artifacts
        parent_id = None if artifacts.barred else store.latest_parent(file.name)
        return page(made, key), parent_id, artifacts.lost


def _write(pages: Sequence[dict[str, Any]], output: Path, uri: str, parents: Sequence[str]) -> None:
    from mimsweep.dashboards.report.page import write_report
    from mimsweep.orchestrator.tracking.writer import Tracking

    try:
        write_report(pages, output)
    except OSError as error:
        raise SpecError(f"--output {output}: {error.strerror or error}") from error
    store = Tracking(uri, create=False)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, output.name).write_bytes(output.read_bytes())
        for parent_id in parents:
            store.log_folder(parent_id, Path(folder))
