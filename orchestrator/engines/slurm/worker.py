"""The far side of the Slurm engine: what a job does. It knows no submitit, which calls it.

The training is done by a worker process of the local engine, so that a run's numbers are those that
it has there, and that this process stays free to hear orders and signals.
"""

import os
import signal
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mimsweep.orchestrator.engines.base import Command, Drop, Event, Join, Place
from mimsweep.orchestrator.engines.local import LocalEngine
from mimsweep.orchestrator.engines.slurm.mail import Broken, Left, Log, Up, silence
from mimsweep.orchestrator.errors import TrainingError
from mimsweep.orchestrator.files.spec import RunSpec

Order = tuple[int, int, list[RunSpec] | Command]
"""To the start of a job of that number, for the cohort of that number: its runs, or a command."""

LISTEN_SECONDS = 0.5
"""How often a worker looks for orders, and says what has happened."""

LIMIT_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
"""Slurm sends one, as it was asked to, shortly before a job's time is over."""

NEAR_SECONDS = 150.0
"""Before a job's end, in which it is that of its time; Slurm may send its signal a minute early."""

LEAVE_SIGNALS = (signal.SIGTERM, *LIMIT_SIGNALS)


@dataclass(frozen=True)
class Worker:
    """What a job calls, each time that it is started.

    Attributes:
        place: where cohorts train.
        box: the folder of its messages.
        alive: a file that the orchestrator touches again and again.
        patience: seconds without that after which there is none any more.
        log_dir: gets what the training prints.
    """

    place: Place
    box: Path
    alive: Path
    patience: float
    log_dir: Path

    def __call__(self) -> None:
        """Trains the cohorts that it is given until the job ends, or its orchestrator has."""
        heard: list[int] = []
        # Blocked, so that the training, which inherits that, goes on until it is ended from here;
        # with handlers all the same, as a library may have threads in which nothing is blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, LEAVE_SIGNALS)
        for number in LEAVE_SIGNALS:
            signal.signal(number, lambda number, _: heard.append(number))
        try:
            self._serve(heard)
        except FileNotFoundError:
            return  # the orchestrator has removed its messages: it has ended

    def _serve(self, heard: list[int]) -> None:
        start = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        orders, words = Log(self.box / "orders"), Log(words_of(self.box, start))
        if silence(self.alive, words.path) > self.patience:
            return
        words.append(Up())
        with closing(LocalEngine([None], self.place, self.log_dir)) as engine:
            try:
                left = self._train(engine, orders, start, words, heard)
            except TrainingError as error:
                words.append(Broken(str(error)))
                raise
        words.append(left)

    def _train(
        self, engine: LocalEngine, orders: Log, start: int, words: Log, heard: list[int]
    ) -> Left:
        """Trains cohorts until there is a reason to leave, which it returns."""
        unsaid: list[Event] = []
        report: Log | None = None
        began = looked = time.monotonic()
        while True:
            if number := self._told(heard):
                name = signal.Signals(number).name
                return Left(f"it was sent {name}", number in LIMIT_SIGNALS and _nearly_over())
            if time.monotonic() - looked > self.patience / 10:
                looked = time.monotonic()
                if silence(self.alive, words.path) > self.patience:
                    return Left("its orchestrator was silent for too long", at_limit=False)
                if report is None and looked - began > self.patience:
                    # Slurm may take a job and say that it doesn't: nobody knows of such a one.
                    return Left("it was given nothing to train", at_limit=False)
            for message in orders.read():
                to, cohort, order = cast("Order", message)
                if to != start:
                    continue  # an earlier start of this job, which was put back into the queue
                if isinstance(order, Drop | Join):
                    engine.command(cohort, order)
                else:
                    report = Log(events_of(self.box, cohort))
                    engine.submit(cohort, order)
            unsaid += engine.events(LISTEN_SECONDS)
            if unsaid and report:
                try:
                    report.append(unsaid)
                except FileNotFoundError:
                    raise
                except OSError as error:  # the disk is full, say
                    print(f"events wait to be told: {error}", flush=True)
                else:
                    unsaid = []

    def _told(self, heard: list[int]) -> int | None:
        pending = signal.sigtimedwait(LEAVE_SIGNALS, 0)
        return pending.si_signo if pending else next(iter(heard), None)


def _nearly_over() -> bool:
    """Returns whether the job's time is, as far as it knows: it may have been preempted as well."""
    ends = os.environ.get("SLURM_JOB_END_TIME", "")
    return not ends.isdigit() or int(ends) - time.time() < NEAR_SECONDS


def words_of(box: Path, start: int) -> Path:
    """Returns the log in which a job says of itself what there is to say, started so often."""
    return box / f"words.{start}"


def events_of(box: Path, cohort: int) -> Path:
    """Returns the log of what happens to a cohort."""
    return box / f"events.{cohort}"
