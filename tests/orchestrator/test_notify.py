"""What a webhook is told, by a real server of HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mimsweep.orchestrator.errors import SpecError, TrackingError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.notify import Webhook, check_webhook
from mimsweep.orchestrator.running.policy import Outcome
from mimsweep.orchestrator.running.progress import ProgressState
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import mimsweep, refused

RUN = RunSpec(dataset="toy4", model="mim")


class Said:
    """A view that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.shown = 0

    def show(self, state: ProgressState) -> None:
        self.shown += 1

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


class Server:
    """A server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status, self.wait = 200, 0.0
        keep = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                time.sleep(keep.wait)
                assert self.headers["Content-Type"] == "application/json"
                keep.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(keep.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook/secret"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    yield served
    served.close()


def test_the_first_failure_and_the_end_are_told(server: Server) -> None:
    view = Said()
    webhook = Webhook(server.url, "s", 3, view)
    for failed in (0, 1, 2):
        webhook.show(ProgressState("s", total=3, complete=1, failed=failed))
    webhook.end(Outcome({RUN: "it turned nan"}))
    first, last = server.posted
    assert (first["event"], first["failed"], first["complete"], first["runs"]) == (
        "failed",
        1,
        1,
        3,
    )
    assert first["text"].startswith("s: 1/3 runs complete")
    assert (last["event"], last["outcome"], last["failed"]) == ("ended", "failed", 2)
    assert last["failures"] == [{"run_name": RUN.run_name, "reason": "it turned nan"}]
    assert (view.said, view.shown) == ([], 3)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(KeyboardInterrupt("so"), "interrupted"), (TrackingError("no answer"), "error")],
)
def test_an_end_before_the_end_is_told(error: Any, outcome: str, server: Server) -> None:
    Webhook(server.url, "s", 3, Said()).abort(error)
    (told,) = server.posted
    assert (told["event"], told["outcome"], told["complete"]) == ("ended", outcome, None)


def test_a_webhook_that_fails_is_told_without_its_secret(server: Server) -> None:
    server.status = 500
    view = Said()
    Webhook(server.url, "s", 3, view).end(Outcome({}))
    assert view.said == ["--notify: 127.0.0.1 was not told: HTTP Error 500: Internal Server Error"]
    server.close()
    Webhook(server.url, "s", 3, view).end(Outcome({}))
    assert view.said[1].startswith("--notify: 127.0.0.1 was not told: ")
    assert "secret" not in "".join(view.said)


def test_a_slow_webhook_does_not_hold_up_who_was_told_to_stop(server: Server) -> None:
    server.wait = 3
    view, start = Said(), time.monotonic()
    Webhook(server.url, "s", 3, view).end(Outcome({}, interrupted=True))
    assert time.monotonic() - start < 2.5
    assert "timed out" in view.said[0]


@pytest.mark.parametrize(
    "url",
    [
        "", "hook", "ftp://a/b", "http://", "http://[a", "file:///etc/passwd", "http://a:b/c",
        "http://user:secret@host/x", "http://host/services/secret x", "host/services/secret",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SpecError, match="it must be an address that begins with http") as told:
        check_webhook(url)
    assert "secret" not in str(told.value)


def test_run_tells_that_all_is_complete(sweep: Path, store: Tracking, server: Server) -> None:
    done = mimsweep("run", sweep, "--set", "seed=1", "--notify", server.url)
    assert done.exit_code == 0, done.output
    (told,) = server.posted
    assert told == {
        "event": "ended", "sweep": "toy", "text": "toy: all runs are complete", "runs": 2,
        "complete": 2, "failed": 0, "outcome": "complete", "failures": [],
    }  # fmt: skip
    sentence = refused(mimsweep("run", sweep, "--notify", "hook"))
    assert sentence.startswith("--notify: it must be an address")


@pytest.mark.slow
def test_a_run_that_fails_is_told_while_the_sweep_goes_on(here: Path, server: Server) -> None:
    (here / "s.yaml").write_text(
        "name: s\nfixed: {dataset: toy4, mid_dim: 5, model: vae, warmup: 1}\n"
        "grid:\n  - {lr: [1e30], epochs: 2}\n  - {lr: [1e-3], epochs: 30, seed: 1..2}\n"
    )
    done = mimsweep("run", "s.yaml", "--notify", server.url)
    assert done.exit_code == 1, done.output
    first, last = server.posted
    assert (first["event"], first["failed"]) == ("failed", 1)
    assert (last["outcome"], last["complete"], last["failed"]) == ("failed", 2, 1)
    assert "nan" in last["failures"][0]["reason"]
