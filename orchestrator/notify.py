"""Tells a webhook how a sweep goes: once when its first run fails, and when it has ended.

What it is told is JSON, by POST. That it can't be told is said, and changes nothing else.
"""

import json
import re
import threading
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.running.policy import Outcome
from mimsweep.orchestrator.running.progress import ProgressState, View

POST_SECONDS = 10.0
HURRIED_SECONDS = 1.0
"""How long a webhook is waited for; of a sweep that was told to stop."""

MOST_FAILURES = 20
"""So many failed runs are told with their reasons."""


def check_webhook(url: str) -> None:
    """Refuses what is no address of a webhook, which it doesn't repeat: it is a secret.

    Raises:
        SpecError: it can't be posted to.
    """
    with suppress(ValueError):  # brackets around what is no address, or a port that is no number
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if known and "@" not in parts.netloc and not re.search(r"[\s\x00-\x1f\x7f]", url):
            return
    raise SpecError(
        "--notify: it must be an address that begins with http:// or https://, without blanks, "
        "user or password"
    )


class Webhook:
    """A view that shows what another shows, and tells a webhook."""

    def __init__(self, url: str, sweep: str, total: int, view: View) -> None:
        """Tells a webhook of a sweep of so many runs."""
        self._url = url
        self._sweep = sweep
        self._total = total
        self._view = view
        self._state: ProgressState | None = None
        self._failure: threading.Thread | None = None

    def show(self, state: ProgressState) -> None:
        """Shows the state; the first time that a run has failed, tells it too."""
        self._state = state
        if state.failed and not self._failure:
            told = self._told("failed", state.line(), None)
            self._failure = threading.Thread(
                target=self._post, args=(told, POST_SECONDS), daemon=True
            )
            self._failure.start()
        self._view.show(state)

    def say(self, sentence: str) -> None:
        """Shows a sentence that stays."""
        self._view.say(sentence)

    def end(self, outcome: Outcome) -> None:
        """Tells what an invocation came to."""
        how = "interrupted" if outcome.interrupted else "failed" if outcome.failed else "complete"
        failures = [
            {"run_name": run.run_name, "reason": reason} for run, reason in outcome.failed.items()
        ]
        text = self._state.line() if self._state else f"{self._sweep}: all runs are complete"
        there = self._told("ended", text, self._total)
        self._end({**there, "outcome": how, "failures": failures[:MOST_FAILURES]})

    def abort(self, error: BaseException) -> None:
        """Tells why an invocation ended early."""
        interrupted = isinstance(error, KeyboardInterrupt)
        how, why = ("interrupted", "was told to stop") if interrupted else ("error", str(error))
        there = self._told("ended", f"{self._sweep}: {why}", None)
        self._end({**there, "outcome": how, "failures": []})

    def _end(self, told: dict[str, Any]) -> None:
        hurried = told["outcome"] == "interrupted"
        if self._failure and not hurried:  # so that they come in their order
            self._failure.join(POST_SECONDS)
        self._post(told, HURRIED_SECONDS if hurried else POST_SECONDS)

    def _told(self, event: str, text: str, untrained: int | None) -> dict[str, Any]:
        """Returns what is always told; `untrained` are complete if nothing was trained."""
        state = self._state
        complete, failed = (state.complete, state.failed) if state else (untrained, 0)
        counts = {"runs": self._total, "complete": complete, "failed": failed}
        return {"event": event, "sweep": self._sweep, "text": text, **counts}

    def _post(self, told: dict[str, Any], seconds: float) -> None:
        request = urllib.request.Request(  # noqa: S310 (`check_webhook`)
            self._url,
            json.dumps(told).encode(),
            {"Content-Type": "application/json", "User-Agent": "mimsweep"},
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310
                pass
        except (OSError, HTTPException, ValueError) as error:
            host = urlsplit(self._url).hostname  # the rest is a secret
            self._view.say(f"--notify: {host} was not told: {error}")
