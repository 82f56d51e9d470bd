"""Which store a user means: its URI, checked, and written as MLflow and SQLAlchemy read it."""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from mimsweep.orchestrator.errors import SpecError

DEFAULT_URI = "sqlite:///mlflow.db"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
HTTP = ("http", "https")

_OTHERS = ("databricks", "databricks-uc", "uc")
_KNOWN = "sqlite:///PATH for a database in a file, http://HOST:PORT for a server"
# What SQLAlchemy tells the driver; all else it would pass over.
_SQLITE_OPTIONS = {
    "timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements",
}  # fmt: skip


def resolve_uri(option: str | None) -> str:
    """The store's URI: the option, else `MLFLOW_TRACKING_URI`, else `mlflow.db` in this folder.

    An SQLite path is made absolute, so that the store stays the same if the folder changes.

    Raises:
        SpecError: it is no store's URI.
    """
    # A variable from a file with Windows' line ends has a character more.
    uri = (option or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI).strip()
    if wrong := _fault(uri):
        source = "--tracking-uri" if option else "MLFLOW_TRACKING_URI"
        raise SpecError(without_secrets(uri, f"{source} {uri}: {wrong}"))
    path = sqlite_path(uri)
    if path is None:
        return uri
    _, mark, query = uri.partition("?")
    return f"{sqlite_uri(path)}{mark}{query}"


def sqlite_path(uri: str) -> Path | None:
    """The absolute path of an SQLite store's file; None for any other store."""
    if scheme_of(uri) != "sqlite":
        return None
    from sqlalchemy.engine import make_url

    return Path(make_url(uri).database or "").absolute()


def sqlite_uri(path: Path) -> str:
    """The URI of a file, as plain as SQLAlchemy reads it.

    Where it can't be plain it names the driver: of what begins with `sqlite:///` MLflow would make
    the folder that is written there, percent signs and all.
    """
    from sqlalchemy.engine import URL, make_url

    plain = f"sqlite:///{path}"
    if str(path).isprintable() and make_url(plain).database == str(path):
        return plain
    try:
        uri = URL.create("sqlite+pysqlite", database=str(path)).render_as_string()
    except UnicodeEncodeError:
        raise SpecError(
            f"the path {str(path)!a} is not UTF-8: no URI can name a store there"
        ) from None
    if make_url(uri).database != str(path):  # SQLAlchemy before 2.1
        raise SpecError(
            f"the path {path} can't be named by a URI of this SQLAlchemy: move the store"
        )
    return uri


def scheme_of(uri: str) -> str:
    """What is before a URI's colon, without the driver; empty if there is nothing."""
    return re.split(r"[:+]", uri, maxsplit=1)[0].lower() if _has_scheme(uri) else ""


def artifact_root() -> str:
    """Where artifacts beside a new database go: a folder here."""
    return place_of(Path("mlruns").absolute())


def place_of(folder: Path) -> str:
    """A folder as a place of artifacts: its path if MLflow takes that, else its URI.

    MLflow pastes it into SQL, and later reads it as a URI's.
    """
    plain = str(folder).isprintable() and not re.search(r"[%:'\"\\]", str(folder))
    return str(folder) if plain else folder.as_uri()


def artifact_location(uri: str, sweep: str) -> str | None:
    """Where artifacts of a new experiment are to be kept; None where MLflow chooses well."""
    root = artifact_root()
    if scheme_of(uri) in DATABASES and scheme_of(root) == "file":
        return f"{root}/{sweep}"
    return None


def local_folder(place: str) -> Path | None:
    """The folder that MLflow takes a place of artifacts for; None if it is elsewhere."""
    parts = urlsplit(place)
    if parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path if parts.scheme else place))


def without_secrets(uri: str, text: str) -> str:
    """The text, with stars for the passwords that `uri` holds."""
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(uri: str) -> set[str]:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # which is looked at only now
    except ValueError:
        # Not a URI: whatever stands before its host may be a secret.
        return {uri.rpartition("@")[0]} - {""}
    options = [value for name, value in parse_qsl(parts.query) if name == "password"]
    found = [parts.password or "", *options]
    return {form for secret in found for form in (secret, unquote(secret)) if form}


def _has_scheme(uri: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]*:(?!\d+(/|$))", uri, re.IGNORECASE) is not None or (
        uri in _OTHERS
    )


def _fault(uri: str) -> str | None:
    """What is wrong with a URI, and what to write in its place."""
    scheme = scheme_of(uri)
    if scheme in ("", "file"):
        return _path_fault(uri)
    if scheme == "sqlite":
        return _sqlite_fault(uri)
    if scheme in HTTP:
        return _http_fault(uri)
    plugins = {each.name for each in importlib.metadata.entry_points(group="mlflow.tracking_store")}
    if scheme in {*DATABASES, *_OTHERS, *plugins}:
        return None
    near = difflib.get_close_matches(scheme, [*DATABASES, *HTTP], n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"MLflow knows no stores of {scheme}:{meant or f' write {_KNOWN}'}"


def _path_fault(uri: str) -> str | None:
    if re.match(r"[\w.-]+:\d+(/|$)", uri):
        return f"it has no scheme; write http://{uri}"
    if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
        return None
    path = local_folder(uri) if scheme_of(uri) else Path(uri)
    if path and path.is_dir():
        return (
            "it is a folder, where MLflow keeps runs no more: `mlflow migrate-filestore` moves "
            f"them into a database; write {_KNOWN}"
        )
    return f"it is a path, not a URI; write sqlite:///{path} if it is a database's"


def study_fault(url: str) -> str | None:
    """What is wrong with the URL of a study's database, and what to write in its place."""
    if scheme_of(url) != "sqlite":
        return None
    folder = (sqlite_path(url) or Path()).parent
    missing = None if folder.is_dir() else f"there is no folder {folder}; make it first"
    return _sqlite_fault(url, "study.db") or missing


def _sqlite_fault(uri: str, name: str = "mlflow.db") -> str | None:
    written, _, query = uri.partition("?")
    place = written.partition(":")[2]
    if not place.startswith("///"):
        relative = place.lstrip("/") or name
        return f"a path comes after three slashes; write sqlite:///{relative}"
    if place in ("///", "///:memory:"):
        return "a database in memory keeps nothing; write sqlite:///PATH"
    for name, _ in parse_qsl(query, keep_blank_values=True):
        if name not in _SQLITE_OPTIONS:
            return (
                f"SQLAlchemy would pass over the option {name}; a ? in a path is written %3F, and "
                "a file's permissions keep it from being written"
            )
    path = sqlite_path(uri)
    if path is not None and path.is_dir():
        return f"it is a folder; write {sqlite_uri(path / name)}"
    return None


def _http_fault(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # which is looked at only now
    except ValueError:
        return (
            "its host and port can't be read; in a password @ is written %40, : is %3A and / is %2F"
        )
    if not parts.hostname:
        return f"it names no host; write {parts.scheme}://HOST:PORT"
    if "#" in uri:
        return f"it is a page of MLflow's; its server is {uri.partition('#')[0].rstrip('/')}"
    return None
