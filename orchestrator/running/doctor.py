"""What `mimsweep doctor` looks at: all that a sweep needs of this machine and of the store."""

import importlib.metadata
import os
import shutil
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from mimsweep.orchestrator.engines.slurm.commands import ask
from mimsweep.orchestrator.errors import TrackingError, TrainingError
from mimsweep.orchestrator.gpus import find_gpus

Level = Literal["OK", "WARN", "FAIL"]

_PACKAGES = ("mimsweep", "torch", "torchvision", "numpy", "numba", "mlflow", "optuna")
_OPTIONAL = {
    "ray": "--engine ray",
    "submitit": "--engine slurm",
    "psycopg": "a PostgreSQL store",
}
# Of each data set that comes as files, the files or folders of which one must be there; the first
# that is there is used.
_DATA_SETS = {
    "Fashion-MNIST": ("FashionMNIST/raw",),
    "MNIST": ("MNIST/raw",),
    "Omniglot": ("chardata.mat", "omniglot-py"),
}
_GIB = 2**30
_HTTP = ("http://", "https://")


@dataclass(frozen=True)
class Check:
    """What was found: of what, how it is, and a sentence."""

    name: str
    state: Level
    text: str


def examine(uri: str, data_dir: Path, move_to: Path | None = None) -> Iterator[Check]:
    """Yields what is found, one check after the other.

    Args:
        uri: of the tracking store, from `tracking.uri.resolve_uri`.
        data_dir: where data sets are.
        move_to: the folder that the store is first told to have its artifacts in.

    Raises:
        SpecError: they are not there.
        TrackingError: the store can't be told.
    """
    if move_to:
        yield _moved(uri, move_to)
    yield from _versions()
    yield _devices()
    if shutil.which("sinfo"):
        yield _slurm()
    yield from _data_sets(data_dir)
    yield _writable("folder", Path.cwd(), "a sweep's logs, checkpoints and figures go there")
    yield from _store(uri)
    yield _disk(Path.cwd())


def exit_code(checks: list[Check]) -> int:
    """Returns 0 if nothing fails, 3 if the store does, else 2."""
    failed = {check.name for check in checks if check.state == "FAIL"}
    return (3 if failed & {"store", "artifacts"} else 2) if failed else 0


def _versions() -> Iterator[Check]:
    yield Check("python", "OK", f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}")
    for name in (*_PACKAGES, *_OPTIONAL):
        try:
            yield Check(name, "OK", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            if name in _OPTIONAL:
                yield Check(name, "OK", f"not installed; only {_OPTIONAL[name]} needs it")
            else:
                yield Check(name, "FAIL", "not installed")


def _devices() -> Check:
    gpus = find_gpus()
    if not gpus.names:
        text = f"{len(os.sched_getaffinity(0))} CPU cores, no GPU: {gpus.why}"
        return Check("devices", "WARN" if gpus.wrong else "OK", text)
    import torch  # seconds, and only to see whether it takes the GPUs

    if not torch.cuda.is_available():
        text = f"CUDA's driver shows {len(gpus.names)} GPUs, this torch ({torch.__version__}) none"
        return Check("devices", "WARN", text)
    names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    return Check("devices", "OK", f"{torch.cuda.device_count()} GPUs: {', '.join(sorted(names))}")


def _slurm() -> Check:
    try:
        partitions = ask("sinfo", "--noheader", "--format=%P", seconds=20).split()
    except TrainingError as error:
        return Check("slurm", "WARN", str(error))
    return Check("slurm", "OK", f"partitions {', '.join(partitions)}; * is the default")


def _data_sets(data_dir: Path) -> Iterator[Check]:
    for name, places in _DATA_SETS.items():
        there = [data_dir / place for place in places if _holds_data(data_dir / place)]
        if there:
            yield Check(name, "OK", f"in {there[0]}")
        else:
            text = f"not in {data_dir} (MIMSWEEP_DATA_DIR): downloaded when a sweep first needs it"
            yield Check(name, "WARN", text)


def _holds_data(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _writable(name: str, folder: Path, why: str) -> Check:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"mimsweep")
    except OSError as error:
        return Check(name, "FAIL", f"{there} can't be written ({error.strerror}): {why}")
    return Check(name, "OK", f"{folder} can be written")


def _store(uri: str) -> Iterator[Check]:
    from mimsweep.orchestrator.tracking.uri import sqlite_path, without_secrets
    from mimsweep.orchestrator.tracking.writer import Tracking

    try:
        tracking = Tracking(uri, create=False)
        artifacts = tracking.artifact_place()
    except TrackingError as error:
        yield Check("store", "FAIL", str(error))
        return
    shown = without_secrets(uri, uri)
    if path := sqlite_path(uri):
        written = _database(shown, path)
        if written.state == "FAIL":
            yield written
            return
    if artifacts is None:
        yield Check("store", "OK", f"none at {shown} yet; the first run makes it")
        return
    yield Check("store", "OK", f"{shown} answers, and its schema is up to date")
    told = list(filter(None, (tracking.misplaced(sweep) for sweep in tracking.sweeps())))
    yield from (Check("artifacts", "FAIL", why) for why in told)
    if not told:
        yield _artifacts(uri, artifacts)
    if uri.startswith(_HTTP):
        yield _clock(uri)


def _moved(uri: str, folder: Path) -> Check:
    from mimsweep.orchestrator.tracking.claim import SweepBusyError
    from mimsweep.orchestrator.tracking.places import move_artifacts
    from mimsweep.orchestrator.tracking.writer import Tracking

    store = Tracking(uri, create=False).require()
    for sweep in store.sweeps():
        if owner := store.owner(sweep):
            raise SweepBusyError(f"the sweep {sweep}", owner)
    moved = move_artifacts(uri, folder)
    told = f"{moved.runs} runs and {moved.experiments} experiments now have them in {folder}"
    if moved.stay:
        why = f"{moved.stay} complete runs stay where they were: not all of theirs is in {folder}"
        return Check("moved artifacts", "WARN", f"{told}; {why}")
    return Check("moved artifacts", "OK", told)


def _database(shown: str, path: Path) -> Check:
    """Sees whether the file of a store, and the folder of its journals, can be written."""
    if path.exists():
        try:
            with closing(sqlite3.connect(path, timeout=20)) as database:
                database.execute("BEGIN IMMEDIATE")
                database.rollback()
        except sqlite3.Error as error:
            return Check("store", "FAIL", f"{shown} can't be written: {error}")
    return _writable("store", path.parent, f"the journals of {shown} go there")


def _artifacts(uri: str, place: str) -> Check:
    from mimsweep.orchestrator.tracking.uri import local_folder

    local = local_folder(place)
    if local and not uri.startswith(_HTTP):
        return _writable("artifacts", local, "weights and figures go there")
    if local:
        text = f"the server does not serve them: {local} must be the same folder on both machines"
        return Check("artifacts", "WARN", text)
    return Check("artifacts", "OK", f"stored by {urlsplit(place).scheme}; not written to now")


def _clock(uri: str) -> Check:
    """Compares with the server's clock: an orchestrator elsewhere is judged by its heartbeat."""
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10) as answer:  # noqa: S310
            there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (OSError, HTTPException, TypeError, ValueError):
        return Check("clock", "OK", "the store's server does not tell its time")
    off = abs(time.time() - there)
    state: Level = "OK" if off < 5 else "WARN" if off < 60 else "FAIL"
    return Check("clock", state, f"{off:.0f} s from that of the store's server")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    state: Level = "OK" if free > 5 * _GIB else "WARN" if free > _GIB / 2 else "FAIL"
    return Check("disk", state, f"{free / _GIB:.1f} GiB free at {os.fspath(folder)}")
