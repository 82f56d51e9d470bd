"""Which schema a database has, seen before MLflow opens it: it would migrate an old one, unasked.

A schema's version is the name of the last of MLflow's migrations that were made; this MLflow's
folder has all that it knows, each with the one before it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.tracking.uri import without_secrets

_TABLE = "alembic_version"
_QUERY = f"SELECT version_num FROM {_TABLE}"  # noqa: S608
_NAMES = re.compile(r"^(revision|down_revision)\s*(?::.*)?=\s*[\"'](\w+)[\"']", re.MULTILINE)
_LOCKS = {
    "postgresql": "SELECT pg_advisory_lock(1903101754)",
    "mysql": "SELECT GET_LOCK('mimsweep', 60)",
}


def version_of_file(path: Path) -> str | None:
    """The version of an SQLite file's schema; None if it has none."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=10)) as database:
        there = f"SELECT 1 FROM sqlite_master WHERE name = '{_TABLE}'"  # noqa: S608
        row = database.execute(there).fetchone() and database.execute(_QUERY).fetchone()
        return str(row[0]) if row else None


def version_of_database(uri: str) -> str | None:
    """The version of a database's schema; None if it has none."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        if not sqlalchemy.inspect(engine).has_table(_TABLE):
            return None
        with engine.connect() as connection:
            version = connection.execute(sqlalchemy.text(_QUERY)).scalar()
            return None if version is None else str(version)
    finally:
        engine.dispose()


@contextmanager
def alone(uri: str) -> Iterator[None]:
    """Lets one process at a time do what it does within: two first starts make the same tables."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    lock = _LOCKS.get(engine.dialect.name)
    try:
        with engine.connect() as connection:
            if lock:
                connection.execute(sqlalchemy.text(lock))
            yield
    finally:
        engine.dispose()  # the lock ends with the connection


def check_version(uri: str, version: str) -> None:
    """Refuses a schema that isn't this MLflow's.

    Raises:
        TrackingError: it is an older one, or a newer.
    """
    known, newest = _migrations()
    if version == newest or newest is None:
        return
    if version in known:
        remedy = (
            f"is of an older MLflow: copy the database, then run "
            f"`mlflow db upgrade {shlex.quote(uri)}`, and end servers of older versions that use it"
        )
    else:
        mlflow = importlib.metadata.version("mlflow")
        remedy = f"is of a newer MLflow than {mlflow}, which is installed: install the newer here"
    text = f"the tracking store {uri} can't be used: its schema, {version}, {remedy}"
    raise TrackingError(without_secrets(uri, text))


def _migrations() -> tuple[set[str], str | None]:
    """All versions that this MLflow knows, and the newest, if it can be told."""
    spec = importlib.util.find_spec("mlflow")
    places = (spec and spec.submodule_search_locations) or []
    known, before = set(), set()
    for place in places:
        for file in Path(place, "store", "db_migrations", "versions").glob("*.py"):
            names = dict(_NAMES.findall(file.read_text("utf-8")))
            known |= {names["revision"]} if "revision" in names else set()
            before |= {names["down_revision"]} if "down_revision" in names else set()
    newest = known - before
    return known, newest.pop() if len(newest) == 1 else None
