"""Whether the tracking store can be used, and what it is asked. `tracking` hands in the client."""

from __future__ import annotations

import fcntl
import functools
import gc
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.surroundings import variables
from mimsweep.orchestrator.tracking.database import (
    Tables,
    alone,
    check_version,
    runs_of,
    version_of_database,
    version_of_file,
)
from mimsweep.orchestrator.tracking.refusals import no_server, refusal, waited_for
from mimsweep.orchestrator.tracking.runs import Run
from mimsweep.orchestrator.tracking.uri import (
    DATABASES,
    HTTP,
    scheme_of,
    sqlite_path,
    sqlite_uri,
)

# MLflow allows 50,000, but larger pages are no faster (10,000 runs take 5 s), only need more memory
# (0.6 GB with these pages, 1.2 GB in one). Newest come first, so a run created meanwhile shifts a
# page to show some runs twice, never to hide one.
_RUNS_PER_PAGE = 2_500

_BUILDING = re.compile("[0-9a-f]{32}(-journal|-wal|-shm)?")
_REACH_SECONDS = 13.0
# One retry of 5 s each: MLflow's own patience (7 retries of 120 s) is for a server that was there.
_FIRST_CONTACT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


Item = TypeVar("Item", covariant=True)


class Client(Protocol):
    """What is asked of a client to see that its server answers."""

    def get_experiment_by_name(self, name: str) -> object:
        """Returns the experiment, or None."""


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


def open_store(
    uri: str, client: Callable[[str], C], make: Callable[[str], object] | None
) -> C | None:
    """Opens the store at `uri`, in at most 15 s where it is not a file.

    Args:
        uri: From `resolve_uri`.
        client: Makes the client from a URI.
        make: Creates the schema of the new database at a URI; None if none may be created.

    Returns:
        The client, or None if there is no store yet and none may be created.

    Raises:
        TrackingError: The store can't be reached or used.
    """
    try:
        if version := _schema(uri):
            check_version(uri, version)
        elif version is None:
            if make is None:
                return None
            path = sqlite_path(uri)
            if path is None:
                with alone(uri):
                    if version_of_database(uri) is None:
                        make(uri)
            elif path.exists():
                make(uri)
            else:
                _create_sqlite(path.resolve(), make)  # a link may lead where nothing is yet
        if scheme_of(uri) in HTTP:
            with variables(_FIRST_CONTACT):
                # What is no MLflow may answer anything to any question, as having any experiment.
                name = uuid.uuid4().hex
                with waited_for(uri):
                    there = _in_time(lambda: client(uri).get_experiment_by_name(name))
                if there is not None:
                    raise no_server(uri)
        return client(uri)
    except TrackingError:
        raise
    except Exception as error:
        # A database's driver, or its absence, may raise anything. `from None`: the chain would
        # show the URI with its password.
        raise refusal(uri, error) from None


def _schema(uri: str) -> str | None:
    """The version of a database's schema; None if it has none, empty if a server sees to it."""
    path = sqlite_path(uri)
    if path is not None:
        return version_of_file(path) if path.exists() else None
    if scheme_of(uri) in DATABASES:
        with waited_for(uri):
            return _in_time(lambda: version_of_database(uri))
    return ""


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


def searched(client: Any, experiment_id: str, query: str) -> list[Run]:  # noqa: ANN401
    """The runs that MLflow finds by a query, newest first."""
    search = functools.partial(
        client.search_runs, [experiment_id], query, max_results=_RUNS_PER_PAGE
    )
    return all_pages(lambda token: search(page_token=token))


def experiments(client: Any) -> list[Any]:  # noqa: ANN401
    """All experiments that are not deleted, newest first; `client` as that of `listed`."""
    if isinstance(client, Tables):
        return client.search_experiments()
    return all_pages(lambda token: client.search_experiments(page_token=token))


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


def listed(client: Any, experiment_id: str, values: bool) -> list[Run] | None:  # noqa: ANN401
    """An experiment's runs, as `runs_of` reads them; None if the store is no database.

    Args:
        client: MLflow's, or the database's `Tables`.
        experiment_id: MLflow's.
        values: Whether params and last metrics are wanted; without, they are empty.
    """
    here = client if isinstance(client, Tables) else client._tracking_client.store
    if not hasattr(here, "engine"):
        return None
    with _uncollected():
        return runs_of(here.engine, experiment_id, values)


@contextmanager
def _uncollected() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _create_sqlite(path: Path, make: Callable[[str], object]) -> None:
    """Creates the schema under another name, then links it into place.

    MLflow migrates step by step: two first starts at once would corrupt the file, and a kill
    would leave half of it, which the next start removes.
    """
    with _alone(path.parent) as alone:
        if path.exists():
            return
        for left in path.parent.glob(f".{path.name}.*") if alone else ():
            if _BUILDING.fullmatch(left.name.removeprefix(f".{path.name}.")):
                left.unlink()
        building = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        # MLflow would make a missing folder, and try for minutes to write where it may not.
        building.touch(exist_ok=False)
        try:
            make(sqlite_uri(building))
            with suppress(FileExistsError):
                os.link(building, path)
        finally:
            building.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Says whether no other process is within this for the same folder; who isn't alone goes on."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        alone = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another has it, or its file system knows no such locks
            alone = False
        yield alone
    finally:
        os.close(handle)


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
    return variables(_FIRST_CONTACT)
