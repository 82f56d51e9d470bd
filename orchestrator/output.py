"""What `report` does: from the store alone to one page.

The sections of several files are made at once, in as many processes as there are cores. This module
imports little as it loads, so that they start at once.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import NOTHING, SpecError
from orchestrator.searchfile import Search, load_either
from orchestrator.sweep import Sweep


@dataclass(frozen=True)
class _Task:
    """A section to be made.

    Attributes:
        file: what it is about.
        key: its name in the page.
        uri: the store's.
        data_dir: where data sets are.
    """

    file: Sweep | Search
    key: str
    uri: str
    data_dir: Path


def report_on(
    files: Sequence[Path], overrides: Sequence[str], uri: str, output: Path, data_dir: Path
) -> Iterator[str]:
    """Writes one HTML file on sweeps and searches, and stores it on their parent runs.

    Args:
        files: sweep and search files.
        overrides: `field=value` texts that replace fields of the sweeps.
        uri: the store's.
        output: the HTML file.
        data_dir: where data sets are.

    Yields:
        a line on each file, and one on the page.

    Raises:
        SpecError: a file is wrong, none of them has runs, or one can't be drawn as its file says.
        TrackingError: the store can't be read.
    """
    loaded = [load_either(path, overrides) for path in files]
    tasks = [_Task(file, f"s{index}", uri, data_dir) for index, file in enumerate(loaded)]
    processes = min(len(tasks), os.cpu_count() or 1)
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawned, _prepare) as pool:
        pages = []
        for page in pool.map(_make, tasks):
            yield f"{page['name']}: {page['complete']} of {page['total']} runs"
            pages.append(page)
        if not any(page["complete"] for page in pages):
            raise SpecError(NOTHING)
        pool.submit(_write, pages, output, uri).result()
    yield f"{output}: {output.stat().st_size / 1e6:.1f} MB"


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command ends them, without a traceback each
    gc.disable()  # finds nothing among so many live objects, and takes a sixth of the time


def _make(task: _Task) -> dict[str, Any]:
    from dashboards.report import page
    from orchestrator.show import Study, told
    from orchestrator.show_report import own_pictures, section
    from orchestrator.show_search import search_section, study_of
    from orchestrator.tracking import Tracking

    store = Tracking(task.uri, create=False)
    if isinstance(task.file, Sweep):
        study = Study(task.file, store)
        with told(study.sweep):
            return page(section(study, own_pictures(study, task.data_dir)), task.key)
    study = study_of(task.file, store)
    with told(study.sweep):
        return page(search_section(task.file, study), task.key)


def _write(pages: Sequence[dict[str, Any]], output: Path, uri: str) -> None:
    from dashboards.report import write_report
    from orchestrator.tracking import Tracking

    try:
        write_report(pages, output)
    except OSError as error:
        raise SpecError(f"--output {output}: {error.strerror}") from error
    store = Tracking(uri, create=False)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, output.name).write_bytes(output.read_bytes())
        for page in pages:
            if parent_id := store.latest_parent(page["name"]):
                store.log_folder(parent_id, Path(folder))
