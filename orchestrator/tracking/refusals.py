"""What the errors of a store mean, and what to do about each, in a sentence without a password."""

from __future__ import annotations

import re
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from mimsweep.orchestrator.errors import RefusedError, TrackingError
from mimsweep.orchestrator.tracking.uri import HTTP, scheme_of, sqlite_path, without_secrets

# MLflow's codes of errors that stay: what was asked for was deleted or isn't allowed. All others
# (a locked database is TEMPORARILY_UNAVAILABLE, a proxy's answer INTERNAL_ERROR) may pass.
_PERMANENT = {
    "INVALID_PARAMETER_VALUE", "INVALID_STATE", "PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST",
}  # fmt: skip
_CHARACTERS = 300

_CREDENTIALS = (
    "credentials are missing or wrong: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN, give them"
)
_NO_MLFLOW = (
    "no MLflow server answers there: give the address that a browser shows for its pages, up to #"
)
_STATUSES = {"401": _CREDENTIALS, "404": _NO_MLFLOW, "405": _NO_MLFLOW}
_STATUS = re.compile(
    r"failed with error code (\d+) != \d+\. Response body: '(.*)'|too many (\d+) error responses",
    re.DOTALL,
)
_ASKED = re.compile(r"ConnectionPool\(host='([^']*)'")
_PROXY_FAULT = re.compile(r"ProxyError\('.*(Tunnel connection failed: [^'\"]+|\[Errno .*?\)?)['\"]")
_SYSTEM = re.compile(r"\[Errno -?\d+\] ([^:'\")]+)")
# What an error says somewhere, and what that means; {host} is of the URI, {0} the pattern's group.
_MEANINGS = (
    (
        "Invalid Host header",
        "the server isn't told that {host} is a name of its own: start it with "
        "--allowed-hosts {host}, or MLFLOW_SERVER_ALLOWED_HOSTS={host}",
    ),
    ("not in a valid JSON format", _NO_MLFLOW),
    ("WRONG_VERSION_NUMBER|record layer", "the server speaks no TLS: write http:// for https://"),
    (
        r"CERTIFICATE_VERIFY_FAILED\] certificate verify failed:? ?([^(']*?) ?[(']",
        "its certificate isn't trusted ({0}): MLFLOW_TRACKING_SERVER_CERT_PATH names the file of "
        "the authority that signed it",
    ),
    ("Name or service not known|name resolution|getaddrinfo", "no host {host} is known here"),
    (
        "Exceeded [0-9]+ redirects",
        "it sends the caller round in a circle, as a page to sign in at may: {no_mlflow}",
    ),
    (
        "Connection aborted|content-encoding",
        "what answers there breaks off, or does not speak HTTP: {no_mlflow}",
    ),
    (
        r"No module named '(?:psycopg2?|MySQLdb|pymysql|pyodbc)'",
        "{text}: install that driver, or name one that is installed, as in postgresql+psycopg://",
    ),
    (
        "readonly database",
        "this user may not write its file, or the folder of its file: see `ls -l`",
    ),
    (
        "database or disk is full",
        "there is no space left for it: make some on its disk, or in the quota",
    ),
    (
        "disk I/O error",
        "its disk fails, or its file may not grow: see `df`, the quota and `ulimit -f`",
    ),
    (
        "image is malformed",
        "its file is damaged: put a copy of it back, or give it another name, to have a new one "
        "made; `sqlite3 FILE .recover` reads what can still be read",
    ),
    ("database is locked", "another program holds its lock: end what else has it open"),
    ("file is not a database", "{text}: give the file another name, to have a new one made"),
)


_SILENCE_SECONDS = 9.0
_TELLS = threading.Lock()


@contextmanager
def waited_for(uri: str) -> Iterator[None]:
    """Within it a user who waits for a store is told so, once, and how to end it.

    MLflow's client is patient for minutes. Of what is asked beside the main thread a view tells.
    """
    beside = threading.current_thread() is not threading.main_thread()
    if beside or not _TELLS.acquire(blocking=False):  # who asks on another's behalf
        yield
        return
    told = f"mimsweep: the tracking store {without_secrets(uri, uri)} has not answered yet; it is "
    told += "waited for, which may take minutes, and Ctrl-C ends that"
    timer = threading.Timer(_SILENCE_SECONDS, lambda: print(told, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _TELLS.release()


def no_store(uri: str) -> TrackingError:
    """The error that tells a reader that there is no store to read."""
    shown = without_secrets(uri, uri)
    return TrackingError(
        f"there is no tracking store at {shown}: start a sweep with `mimsweep run SWEEP`, or name "
        "the store by --tracking-uri or MLFLOW_TRACKING_URI"
    )


def no_server(uri: str) -> TrackingError:
    """The error that tells that what answers is no MLflow server, whatever it answers."""
    shown = without_secrets(uri, uri)
    return TrackingError(f"the tracking store {shown} failed: {_NO_MLFLOW}")


def refusal(uri: str, error: Exception, what: str = "tracking store") -> TrackingError:
    """The error that tells why the store failed, and what to do."""
    proxy = _proxy(uri)
    refused = getattr(error, "error_code", None) in _PERMANENT and not proxy
    kind, verb = (RefusedError, "refused") if refused else (TrackingError, "failed")
    text = without_secrets(uri, f"the {what} {uri} {verb}: {_reason(uri, error, proxy)}")
    return kind(without_secrets(proxy, text))


def _reason(uri: str, error: Exception, proxy: str) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    text = str(error) or type(error).__name__
    path = sqlite_path(uri)
    if path is not None and not path.exists() and "readonly database" in text:
        return "its file was deleted or moved while it was open: stop, and the next start makes one"
    host = (urlsplit(uri).hostname or "") if scheme_of(uri) in HTTP else ""
    asked = _ASKED.search(text)
    if asked and host and not proxy and asked[1].strip("[]").lower() != host:
        return f"it sends the caller to {asked[1]}, as for signing in: {_NO_MLFLOW}"
    if fault := _PROXY_FAULT.search(text):
        system = _SYSTEM.search(fault[1])
        why = system[1] if system else fault[1]
        return f"the proxy {proxy} fails ({why}): NO_PROXY={host} goes past it"
    reason = _meaning(text, host)
    if proxy and _STATUS.search(text):
        reason += f"; if that is the answer of the proxy {proxy}, NO_PROXY={host} goes past it"
    return reason


def _meaning(text: str, host: str) -> str:
    for pattern, meaning in _MEANINGS:
        if found := re.search(pattern, text):
            words = {"host": host, "text": _first_line(text), "no_mlflow": _NO_MLFLOW}
            return meaning.format(*found.groups(), **words)
    if found := _STATUS.search(text):
        status, body = found[1] or found[3], _plain(found[2] or "")
        told = f"it answers {status}" + (f" ({body})" if body else "")
        remedy = _STATUSES.get(status)
        if status.startswith("5"):
            remedy = "its log, or that of a proxy before it, says why"
        return f"{told}; {remedy}" if remedy else told
    system = _SYSTEM.search(text)
    return system[1] if system else _first_line(text)


def _first_line(text: str) -> str:
    return textwrap.shorten(text.strip().splitlines()[0], _CHARACTERS, placeholder=" …")


def _plain(body: str) -> str:
    """What a page says, without its marks."""
    words = re.sub(r"(?s)<(script|style|head).*?</\1>|<[^>]*>", " ", body)
    return textwrap.shorten(words, _CHARACTERS // 3, placeholder=" …").rstrip(". ")


def _proxy(uri: str) -> str:
    """The proxy that the environment puts before a server; empty if there is none."""
    scheme, proxies = scheme_of(uri), urllib.request.getproxies()
    if scheme not in HTTP or urllib.request.proxy_bypass(urlsplit(uri).hostname or ""):
        return ""
    return proxies.get(scheme) or proxies.get("all") or ""
