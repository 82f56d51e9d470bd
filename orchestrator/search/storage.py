"""Where a search's study is kept: a journal file, or a database.

What is there already is looked at before anything is written to it: it may be another program's, or
of a journal that can't be gone on with.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from mimsweep.orchestrator.errors import SpecError, TrackingError
from mimsweep.orchestrator.tracking.uri import study_fault, without_secrets

_LOCK_SECONDS = 3
"""How long a lock is waited for that a killed process left; to append takes milliseconds."""

_CREATE_STUDY = 0
_SQLITE_FILE = b"SQLite format 3\0"


def open_storage(storage: str) -> BaseStorage:
    """Opens a journal file, or a database where `storage` is a URL; makes what is not there.

    Raises:
        SpecError: what is there is not Optuna's, or is damaged; nothing was written.
        TrackingError: it is of another version of Optuna.
    """
    return _open_database(storage) if "://" in storage else _open_journal(Path(storage))


def _open_database(url: str) -> BaseStorage:
    import sqlalchemy

    if fault := study_fault(url):
        raise SpecError(without_secrets(url, f"--storage {url}: {fault}"))
    try:
        engine = sqlalchemy.create_engine(url)
    except sqlalchemy.exc.ArgumentError as error:  # no such kind of database, or no URL
        text = f"--storage {url}: {error}; write sqlite:///PATH, or the path of a journal file"
        raise SpecError(without_secrets(url, text)) from None
    try:
        tables = sqlalchemy.inspect(engine).get_table_names()
    finally:
        engine.dispose()
    if "alembic_version" in tables and "studies" not in tables:
        raise SpecError(
            without_secrets(url, f"the database {url} is another program's (MLflow's?), which ")
            + "Optuna can't share: give --storage a database of its own"
        )
    try:
        return optuna.storages.get_storage(url)
    except RuntimeError as error:
        if "table schema" not in str(error):
            raise
        text = (
            f"the study's storage {url} is of another version of Optuna: `optuna storage upgrade "
            f"--storage {url}` may bring it to this one, {optuna.__version__}, or give another "
            "--storage"
        )
        raise TrackingError(without_secrets(url, text)) from None


def _open_journal(path: Path) -> BaseStorage:
    # Absolute, as a lock is a link to it: one that a killed process left is known by its age.
    path = path.absolute()
    torn = path.exists() and _torn(path) is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    _break_lock(path.with_name(f"{path.name}.lock"))
    lock = JournalFileSymlinkLock(str(path), _LOCK_SECONDS)
    backend = JournalFileBackend(str(path), lock)
    try:
        opened = JournalStorage(backend)
    except (AssertionError, LookupError, TypeError, ValueError):
        raise _damaged(path, "entries that others speak of are missing") from None
    if torn:
        lock.acquire()  # a living search may have been in that line: who has the lock is in none
        try:
            if (end := _torn(path)) is not None:
                os.truncate(path, end)
        finally:
            lock.release()
    return opened


def _break_lock(lock: Path) -> None:
    """Removes an old lock that leads nowhere: Optuna can't tell its age, and would wait for ever.

    A process makes such a one that names its journal by a relative path.
    """
    with suppress(FileNotFoundError):
        while lock.is_symlink() and not lock.exists():
            if time.time() - lock.lstat().st_mtime > _LOCK_SECONDS:
                lock.unlink()
            time.sleep(0.1)


def _torn(path: Path) -> int | None:
    """Returns where the last line begins if its writer was cut off in it: nothing can follow it.

    Raises:
        SpecError: the file is no journal.
    """
    if path.is_dir():
        raise SpecError(f"{path} is a folder: give --storage a journal file, or a database's URL")
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and lines[0].startswith(_SQLITE_FILE):
        raise SpecError(f"{path} is an SQLite database: give --storage its URL, sqlite:///{path}")
    for number, line in enumerate(lines, start=1):
        entry = _entry(line)
        if line.startswith(b"{") and not line.endswith(b"\n") and entry is not False:
            return path.stat().st_size - len(line)
        if not entry:
            raise _damaged(path, f"line {number} is no entry of one")
        if number == 1 and json.loads(line)["op_code"] != _CREATE_STUDY:
            raise _damaged(path, "its beginning is missing")
    return None


def _entry(line: bytes) -> bool | None:
    """Returns whether a line is an entry of a journal; None if it is not even JSON."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return isinstance(entry, dict) and "op_code" in entry


def _damaged(path: Path, why: str) -> SpecError:
    return SpecError(
        f"{path} is no journal of Optuna's that can be read ({why}): give another --storage, or "
        "move the file away to begin anew; runs that are complete are not trained again"
    )
