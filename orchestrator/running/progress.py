"""The live view of an invocation: a display in a terminal or notebook, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

LINE_SECONDS = 10.0
"""How often a plain line is printed."""

CELL_SECONDS = 0.5
"""How often what stands under a notebook's cell is replaced."""

READY = "getting ready: the store, data sets, workers"


@dataclass
class Active:
    """A cohort in training.

    Attributes:
        label: what it is, in a few words.
        size: its runs.
        epochs: the most that one of them may train.
        cost: estimated, as in `ProgressState`.
        ended: runs that did.
        epoch: the one that it is in.
        waits: what for, if no worker has it yet.
    """

    label: str
    size: int
    epochs: int
    cost: float = 0.0
    ended: int = 0
    epoch: int = 0
    waits: str = ""

    @property
    def cost_done(self) -> float:
        """What the runs in training have cost so far, as if all of them trained all epochs."""
        return self.cost * (1 - self.ended / self.size) * min(1.0, self.epoch / self.epochs)

    def line(self) -> str:
        """Returns what it does in one line."""
        if self.waits:
            return f"{self.label}, waits {self.waits}"
        return f"{self.label}, epoch {self.epoch} of at most {self.epochs}"


@dataclass
class ProgressState:
    """What there is to see.

    Attributes:
        sweep: its name.
        total: runs of the sweep.
        complete: those that are complete, earlier ones included.
        failed: runs that failed in this invocation.
        running: runs in training.
        cost: estimated cost of all that this invocation has to train, in any unit.
        cost_done: of the runs that ended. As long as none has, how fast the others train says
            only when all will have, at the latest: most stop early.
        epochs: epochs trained in this invocation, over all runs.
        outage: what the tracking store says if it fails.
        active: cohorts in training, by number.
        started: when the invocation began, as `time.monotonic` has it.
        waited: seconds since in which all cohorts waited for a worker.
    """

    sweep: str
    total: int
    complete: int
    cost: float = 0.0
    cost_done: float = 0.0
    failed: int = 0
    running: int = 0
    epochs: int = 0
    outage: str = ""
    active: dict[int, Active] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    waited: float = 0.0

    def line(self) -> str:
        """Returns the state in one line."""
        seconds = time.monotonic() - self.started - self.waited
        active = list(self.active.values())
        speed = rate(self.epochs / max(seconds, 1e-9))
        waiting = [cohort for cohort in active if cohort.waits]
        running = f"{self.running} running"
        if waiting:
            wait = sum(cohort.size - cohort.ended for cohort in waiting)
            running = f"{self.running - wait} running, {wait} waiting {waiting[0].waits}"
        elif active and not self.epochs:
            speed = "no epoch yet: workers load and compile first"
        text = (
            f"{self.sweep}: {self.complete}/{self.total} runs complete, {running}, "
            f"{self.failed} failed, {len(active)} cohorts, {speed}"
        )
        done = self.cost_done + sum(cohort.cost_done for cohort in active)
        if 0 < done < self.cost:
            left = duration(seconds * (self.cost - done) / done)
            text += f", about {left} left" if self.cost_done else f", at most {left} left"
        if self.outage:
            text += f" (results wait on disk: {self.outage})"
        return text


class View(Protocol):
    """Shows a `ProgressState`."""

    def show(self, state: ProgressState) -> None:
        """Shows the state as it is now."""

    def say(self, sentence: str) -> None:
        """Shows a sentence that stays."""


@contextmanager
def view() -> Iterator[View]:
    """Yields a live view on stderr, or one of plain lines where that is no terminal."""
    console = Console(stderr=True, highlight=False)
    if console.is_jupyter:
        with _Cell.opened(console) as cell:
            yield cell
        return
    # FORCE_COLOR, which notebooks set, has rich take a file for a terminal.
    if not (console.is_terminal and console.file.isatty()):
        lines, ended = _Lines(console), threading.Event()
        threading.Thread(target=lines.break_silence, args=(ended,), daemon=True).start()
        try:
            yield lines
        finally:
            ended.set()
        return
    live = _Live(console)
    with live.display:
        yield live


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: ProgressState | None = None
        self._printed = 0.0
        self._started = self._spoken = time.monotonic()

    def show(self, state: ProgressState) -> None:
        self._state = state
        if time.monotonic() - self._printed >= LINE_SECONDS:
            self._printed = time.monotonic()
            self.say(state.line())

    def say(self, sentence: str) -> None:
        self._spoken = time.monotonic()
        self._console.print(sentence, markup=False, soft_wrap=True)

    def break_silence(self, ended: threading.Event) -> None:
        """Says what goes on, until `ended`, whenever nobody else has for a while."""
        while not ended.wait(LINE_SECONDS / 10):
            now, state = time.monotonic(), self._state
            # A little later than `show` would, which may be about to.
            if now - self._spoken >= LINE_SECONDS * (1.2 if state else 1.0):
                ready = f"{READY}; {duration(now - self._started)} so far"
                self.say(state.line() if state else ready)


class _Cell:
    """Lines on the sweep and its cohorts under a notebook's cell, which are gone in the end."""

    def __init__(self, console: Console, handle: Any) -> None:  # noqa: ANN401
        self._console = console
        self._handle = handle
        self._shown = 0.0

    @classmethod
    @contextmanager
    def opened(cls, console: Console) -> Iterator[Self]:
        """Yields one."""
        from IPython.display import display  # it is there where there is a notebook

        cell = cls(console, display(_plain(READY), raw=True, display_id=True))
        try:
            yield cell
        finally:
            cell._handle.update(_plain(""), raw=True)

    def show(self, state: ProgressState) -> None:
        if time.monotonic() - self._shown < CELL_SECONDS:
            return
        self._shown = time.monotonic()
        cohorts = [f"  {cohort.line()}" for cohort in state.active.values()]
        self._handle.update(_plain("\n".join([state.line(), *cohorts])), raw=True)

    def say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, soft_wrap=True)


def _plain(text: str) -> dict[str, str]:
    return {"text/plain": text}


class _Live:
    """A line on the sweep, wrapped at the terminal's edge, over bars of it and of its cohorts."""

    def __init__(self, console: Console) -> None:
        columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.description}"))
        self.bars = Progress(*columns, console=console)
        self.display = Live(Group(Text(READY), self.bars), console=console, transient=True)
        self._sweep = self.bars.add_task("runs", total=None)
        self._cohorts: dict[int, TaskID] = {}

    def show(self, state: ProgressState) -> None:
        ended = state.complete + state.failed
        self.display.update(Group(Text(state.line()), self.bars))
        self.bars.update(self._sweep, completed=ended, total=state.total)
        for number in set(self._cohorts) - set(state.active):
            self.bars.remove_task(self._cohorts.pop(number))
        for number, cohort in state.active.items():
            if number not in self._cohorts:
                self._cohorts[number] = self.bars.add_task("", total=cohort.size)
            self.bars.update(
                self._cohorts[number],
                description=cohort.line(),
                completed=cohort.ended,
            )

    def say(self, sentence: str) -> None:
        self.display.console.print(sentence, markup=False, soft_wrap=True)


def rate(epochs: float) -> str:
    """Returns epochs a second for people: `12 epochs/s`, or `7.5 epochs/min` of slow ones."""
    return f"{epochs:.0f} epochs/s" if epochs >= 1 else f"{60 * epochs:.2g} epochs/min"


def duration(seconds: float) -> str:
    """Returns seconds for people: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
