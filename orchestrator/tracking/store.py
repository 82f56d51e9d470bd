"""Whether the tracking store can be used, and what it is asked. `tracking` hands in the client."""

from __future__ import annotations

import gc
import os
import re
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mimsweep.orchestrator.errors import RefusedError, TrackingError
from mimsweep.orchestrator.tracking.uri import (
    DATABASES,
    HTTP,
    scheme_of,
    sqlite_path,
    sqlite_uri,
    without_secrets,
)

_REACH_SECONDS = 13.0
# One retry of 5 s each: MLflow's own patience (7 retries of 120 s) is for a server that was there.
_FIRST_CONTACT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
# MLflow's codes of errors that stay: what was asked for was deleted or isn't allowed. All others
# (a locked database is TEMPORARILY_UNAVAILABLE, a proxy's answer INTERNAL_ERROR) may pass.
_PERMANENT = {
    "INVALID_PARAMETER_VALUE", "INVALID_STATE", "PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST",
}  # fmt: skip


Item = TypeVar("Item", covariant=True)


class Client(Protocol):
    """What is asked of a client to see that its server answers."""

    def search_experiments(self, *, max_results: int) -> object:
        """Lists experiments."""


class Page(Protocol[Item]):
    """A page of a search's results, and the token of the next."""

    token: str | None

    def __iter__(self) -> Iterator[Item]:
        """The items."""


C = TypeVar("C", bound=Client)
T = TypeVar("T")


def can_be_created(uri: str) -> bool:
    """Whether the store is a file that isn't there yet, in a folder that can be written."""
    path = sqlite_path(uri)
    return path is not None and not path.exists() and os.access(path.parent, os.W_OK)


def no_store(uri: str) -> TrackingError:
    """The error that tells a reader that there is no store to read."""
    shown = without_secrets(uri, uri)
    return TrackingError(
        f"there is no tracking store at {shown}: start a sweep with `mimsweep run SWEEP`, or name "
        "the store by --tracking-uri or MLFLOW_TRACKING_URI"
    )


def open_store(
    uri: str, client: Callable[[str], C], make: Callable[[str], object], create: bool
) -> C | None:
    """Opens the store at `uri`, in at most 15 s where it is not a file.

    Args:
        uri: From `resolve_uri`.
        client: Makes the client from a URI.
        make: Creates the schema of the new database at a URI.
        create: Whether a new store may be created.

    Returns:
        The client, or None if there is no store yet and none may be created.

    Raises:
        TrackingError: The store can't be reached or used.
    """
    try:
        if not _has_schema(uri):
            if not create:
                return None
            path = sqlite_path(uri)
            if path is None or path.exists():
                make(uri)
            else:
                _create_sqlite(path, make)
        if scheme_of(uri) in HTTP:
            with _environment(_FIRST_CONTACT):
                _in_time(lambda: client(uri).search_experiments(max_results=1))
        return client(uri)
    except Exception as error:
        # A database's driver, or its absence, may raise anything. `from None`: the chain would
        # show the URI with its password.
        raise refusal(uri, error) from None


def _has_schema(uri: str) -> bool:
    path = sqlite_path(uri)
    if path is not None:
        return path.exists() and _sqlite_has_schema(path)
    if scheme_of(uri) in DATABASES:
        return _in_time(lambda: _database_has_schema(uri))
    return True


def all_pages(fetch: Callable[[str | None], Page[T]]) -> list[T]:
    """Every item of a search; `fetch` gets the token of the page wanted, None for the first.

    Without Python's garbage collection, which takes 70 % of the time that MLflow needs to load
    10,000 runs, and finds nothing.
    """
    items: list[T] = []
    token = None
    with _uncollected():
        while True:
            page = fetch(token)
            items += page
            token = page.token
            if not token:
                return items


def histories(client: Any, run_ids: Sequence[str], metric: str) -> list[tuple[str, Any]]:  # noqa: ANN401
    """The points of a metric of each run, with its run_id.

    In one query where the store is a database, which takes an eighth of the time: MLflow's client
    can't ask for more than one run at once; its own server does it by this method of the store.
    """
    store = client._tracking_client.store
    with _uncollected():
        if hasattr(store, "get_metric_history_bulk"):
            points = store.get_metric_history_bulk(run_ids, metric, max_results=None)
            return [(point.run_id, point) for point in points]
        return [
            (run_id, point)
            for run_id in run_ids
            for point in client.get_metric_history(run_id, metric)
        ]


@contextmanager
def _uncollected() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def refusal(uri: str, error: Exception, what: str = "tracking store") -> TrackingError:
    """The error that tells, in a sentence and without a password, why the store failed."""
    text = str(error) or type(error).__name__
    system = re.search(r"\[Errno -?\d+\] ([^:'\")]+)", text)
    text = system[1] if system else text.strip().splitlines()[0].split(". ")[0]
    if getattr(error, "error_code", None) in _PERMANENT:
        return RefusedError(without_secrets(uri, f"the {what} {uri} refused: {text}"))
    return TrackingError(without_secrets(uri, f"the {what} {uri} failed: {text}"))


def _sqlite_has_schema(path: Path) -> bool:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)) as database:
        query = "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
        return database.execute(query).fetchone() is not None


def _create_sqlite(path: Path, make: Callable[[str], object]) -> None:
    """Creates the schema under another name, then links it into place.

    MLflow migrates step by step: two first starts at once would corrupt the file, and a kill
    would leave half of it.
    """
    building = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    # MLflow would make a missing folder, and try for minutes to write where it may not.
    building.touch(exist_ok=False)
    try:
        make(sqlite_uri(building))
        with suppress(FileExistsError):
            os.link(building, path)
    finally:
        building.unlink()


def _database_has_schema(uri: str) -> bool:
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        return sqlalchemy.inspect(engine).has_table("alembic_version")
    finally:
        engine.dispose()


def _in_time(task: Callable[[], T]) -> T:
    """Runs `task` in a thread that is left behind if it takes too long (a name server may)."""
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(task())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_REACH_SECONDS)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {_REACH_SECONDS:.0f} s")
    return results[0]


def hasty() -> AbstractContextManager[None]:
    """Lets MLflow's client give up in seconds, where it else asks a dead server for minutes."""
    return _environment(_FIRST_CONTACT)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
