"""A database read without MLflow: which schema it has, its experiments, its runs.

Its schema is seen before MLflow opens it, which would migrate an old one, unasked. Its lists are
read here as importing MLflow takes a second, which a command that only lists need not wait for. A
schema's version is the name of the last of MLflow's migrations that were made; this MLflow's
folder has all that it knows, each with the one before it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.tracking.runs import Run
from mimsweep.orchestrator.tracking.uri import without_secrets

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

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


class Tables:
    """What is asked of MLflow's client to list runs, of a database that it has made."""

    def __init__(self, uri: str) -> None:
        """`uri` is of SQLite or PostgreSQL: others need what MLflow's client sets for them."""
        import sqlalchemy

        self.engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
        self.failures: tuple[type[Exception], ...] = (OSError, sqlalchemy.exc.SQLAlchemyError)

    def get_experiment_by_name(self, name: str) -> Any:  # noqa: ANN401
        """The experiment, deleted or not; None if there is none."""
        return next((each for each in self._experiments() if each.name == name), None)

    def search_experiments(self) -> list[Any]:
        """Those that are not deleted, newest first."""
        return [each for each in self._experiments() if each.lifecycle_stage == "active"]

    def _experiments(self) -> list[Any]:
        from sqlalchemy import column, select, table

        names = ("experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time")
        all_of_them = table("experiments", *map(column, names))
        tags = table("experiment_tags", *map(column, ("experiment_id", "key", "value")))
        newest = (all_of_them.c.creation_time.desc(), all_of_them.c.experiment_id)
        with connected(self.engine) as connection:
            found = {
                row.experiment_id: SimpleNamespace(**row._mapping, tags={})
                for row in connection.execute(select(all_of_them).order_by(*newest))
            }
            for number, key, value in connection.execute(select(tags)):
                if number in found:
                    found[number].tags[key] = value
        return list(found.values())


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """A connection, to read; SQLite is waited for as long as MLflow waits."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA busy_timeout = 20000")
        yield connection


def runs_of(engine: Engine, experiment_id: str, values: bool) -> list[Run]:
    """An experiment's runs, newest first, as a search by MLflow's client lists them.

    In a query of each table, which takes a fortieth of the time: MLflow makes four objects of each
    param, tag and metric, and does so for those that nobody asked for.

    Args:
        engine: of the database.
        experiment_id: MLflow's.
        values: Whether params and last metrics are wanted; without, they are empty.
    """
    from sqlalchemy import column, select, table

    names = ("run_uuid", "name", "status", "start_time", "experiment_id", "lifecycle_stage")
    ours = table("runs", *map(column, names)).c
    chosen = (ours.experiment_id == int(experiment_id), ours.lifecycle_stage == "active")
    wanted = {"tags": "tags"} | (
        {"params": "params", "metrics": "latest_metrics"} if values else {}
    )
    with connected(engine) as connection:
        rows = select(ours.run_uuid, ours.name, ours.status, ours.start_time).where(*chosen)
        newest = (ours.start_time.desc(), ours.run_uuid)
        runs = {row[0]: _as_run(*row) for row in connection.execute(rows.order_by(*newest))}
        for kind, name in wanted.items():
            columns = ("run_uuid", "key", "value", *(["is_nan"] if kind == "metrics" else []))
            of_runs = table(name, *map(column, columns)).c
            rows = select(*of_runs).where(
                of_runs.run_uuid.in_(select(ours.run_uuid).where(*chosen))
            )
            for run_id, key, value, *is_nan in connection.execute(rows):
                if run_id in runs:  # else made since
                    getattr(runs[run_id].data, kind)[key] = math.nan if any(is_nan) else value
    return list(runs.values())


def _as_run(run_id: str, name: str | None, status: str, start_time: int) -> Run:
    info = SimpleNamespace(run_id=run_id, run_name=name or "", status=status, start_time=start_time)
    return cast(
        Run, SimpleNamespace(info=info, data=SimpleNamespace(tags={}, params={}, metrics={}))
    )


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
