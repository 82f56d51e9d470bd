"""Cohorts in jobs of a Slurm cluster: a job a worker, which trains one cohort after the other.

The working folder must be on a file system that all nodes share: messages, checkpoints and logs go
there. Jobs are asked for as cohorts come, and ended when there is nothing for them to do.
"""

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mimsweep.orchestrator.engines.base import CohortLost, Command, Event, Place
from mimsweep.orchestrator.engines.slurm.commands import GONE, STOPPED, State
from mimsweep.orchestrator.engines.slurm.desk import Desk, Told
from mimsweep.orchestrator.engines.slurm.jobs import Job
from mimsweep.orchestrator.engines.slurm.slots import Flags
from mimsweep.orchestrator.engines.slurm.worker import LISTEN_SECONDS, Worker
from mimsweep.orchestrator.errors import SpecError, TrainingError
from mimsweep.orchestrator.files.spec import RunSpec

BEAT_SECONDS = 10.0
"""How often workers are shown that the orchestrator lives."""

GATHER_SECONDS = 1.0
"""How long cohorts are gathered, so that their jobs are one array."""

STARTS_PER_COHORT = 3
"""So many jobs in a row whose worker came to nothing, for each cohort that waits, are too many."""


@dataclass(frozen=True)
class Pace:
    """How patient the engine is, in seconds; tests are less.

    Attributes:
        ask: between two questions to Slurm about its jobs.
        idle: that a job may have nothing to do.
        silent: that workers go on without a sign of life of the orchestrator; more than the minute
            for which a network file system may show old times.
        refused: that Slurm may take no job.
    """

    ask: float = 30.0
    idle: float = 60.0
    silent: float = 300.0
    refused: float = 600.0


class SlurmEngine:
    """An engine (see `orchestrator.engines.base`) with at most one job of Slurm's for each slot.

    A slot is free whether its job is there or not: cohorts may wait for a worker. What Slurm takes
    away (preemption, a lost node, the end of a job's time) is not held against the cohort. A job
    that ends before its worker trains loses none; after several in a row `events` raises.
    """

    def __init__(
        self, place: Place, slots: int, flags: Flags, log_dir: Path, pace: Pace | None = None
    ) -> None:
        """Asks for no job yet.

        Args:
            place: where cohorts train; its paths are made absolute.
            slots: most jobs at once.
            flags: of each job, from `slots.slurm_slots`.
            log_dir: gets a folder of scripts, messages, and of what jobs print; its name is that of
                the jobs.
            pace: how patient it is.

        Raises:
            SpecError: Slurm can't have logs in that folder.
        """
        self._pace = pace or Pace()
        parent = log_dir.absolute() / "slurm"
        if "%" in str(parent):
            raise SpecError(f"{parent}: Slurm takes % in the path of a job's log for a pattern")
        parent.mkdir(parents=True, exist_ok=True)
        _sweep_up(parent, self._pace.silent)
        self._folder = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=parent))
        self._mail = self._folder / "mail"
        self._place = replace(
            place,
            data_dir=place.data_dir.absolute(),
            checkpoint_dir=place.checkpoint_dir.absolute(),
        )
        self._slots = slots
        name = f"mimsweep-{log_dir.name}"
        self._desk = Desk(self._folder, name, flags, self._pace.ask, self._pace.refused)
        self._jobs: list[Job] = []
        self._boxes: list[Path] = []
        self._waiting: dict[int, list[object]] = {}
        self._lost: list[Event] = []
        self._farthest: dict[str, int] = {}
        self._failed_starts = self._made = 0
        self._beaten = self._heard = self._gathered = 0.0
        self._beat()

    @property
    def slots(self) -> int:
        """The number of slots, those included whose job is not there yet."""
        return self._slots

    @property
    def idle(self) -> int:
        """The number of free slots."""
        return self._slots - len(self._waiting) - sum(j.cohort is not None for j in self._jobs)

    @property
    def waiting(self) -> Mapping[int, str]:
        """The submitted cohorts that have no worker yet, or whose job is suspended, and why."""
        troubled = self._desk.refusal or self._desk.silence
        why = troubled or "for a job of Slurm's"
        expected = [job for job in self._jobs if job.worker == "expected"]
        if expected and not troubled:
            first, more = expected[0], len(expected) - 1
            why = f"for Slurm job {first.id}{f' and {more} more' if more else ''}"
            why += f", {first.state.shown}"
        stopped = {
            job.cohort: f"for Slurm job {job.id}, {job.state.shown}"
            for job in self._jobs
            if job.cohort is not None and job.state.name in STOPPED
        }
        return dict.fromkeys(self._waiting, why) | stopped

    def submit(self, cohort: int, runs: Sequence[RunSpec]) -> None:
        """Starts to train a cohort, when a worker is there."""
        self._waiting[cohort] = [list(runs)]
        self._gathered = time.monotonic()

    def events(self, timeout: float) -> list[Event]:
        """Returns what has happened, waiting up to `timeout` seconds for something to."""
        deadline = time.monotonic() + timeout
        while True:
            self._beat()
            self._take_in()
            self._hear()
            self._hand_out()
            self._ask_for_jobs()
            self._end_idle()
            left = deadline - time.monotonic()
            if self._lost or left <= 0:
                events, self._lost = self._lost, []
                return events
            time.sleep(min(left, LISTEN_SECONDS / 5))

    def command(self, cohort: int, command: Command) -> None:
        """Tells a cohort in training, or one that waits, to drop runs or let some join."""
        if cohort in self._waiting:
            self._waiting[cohort].append(command)
        for job in self._jobs:
            if job.cohort == cohort:
                with suppress(OSError):  # it is as one that came too late
                    job.order(command)

    def cancel(self, cohort: int, reason: str) -> None:
        """Ends the job that trains a cohort; `CohortLost` comes with `reason`."""
        if self._waiting.pop(cohort, None):
            self._lost.append(CohortLost(cohort, reason, ""))
        for job in [job for job in self._jobs if job.cohort == cohort]:
            self._lost += job.lose(reason, excused=False)
            self._end(job)

    def close(self) -> None:
        """Ends all jobs. One that Slurm can't be told to end does so when its messages are gone."""
        self._desk.close([job.id for job in self._jobs])
        self._jobs, self._waiting = [], {}
        shutil.rmtree(self._mail, ignore_errors=True)
        for path in self._folder.glob("*.pkl"):
            path.unlink(missing_ok=True)

    def _beat(self) -> None:
        if time.monotonic() - self._beaten < min(BEAT_SECONDS, self._pace.silent / 10):
            return
        self._beaten = time.monotonic()
        alive = self._mail / "alive"
        with suppress(OSError):
            alive.parent.mkdir(parents=True, exist_ok=True)
            alive.touch()

    def _take_in(self) -> None:
        """Takes in what Slurm has answered."""
        if taken := self._desk.taken(needed=not self._jobs):
            for name, box in zip(taken, self._boxes, strict=True):
                log = self._folder / f"{name}_0_log.out"
                self._jobs.append(Job(name, box, log, self._farthest))
        if told := self._desk.told(soon=any(job.worker == "gone" for job in self._jobs)):
            self._learn(told)

    def _learn(self, told: Told) -> None:
        for job in list(self._jobs):
            if job.asked >= told.asked:
                continue  # it was not there when Slurm was asked
            state = told.states.get(job.id) or State(GONE, job.state.starts)
            expected = job.worker == "expected"
            self._lost += job.learn(state)
            if state.held:  # for ever, unless somebody lets it go
                self._end(job)
                self._count_failed(job)
            elif state.ended:
                self._jobs.remove(job)
                if state.name == GONE:
                    self._desk.end(job.id)
                if job.broken or (expected and job.worker == "expected"):
                    self._count_failed(job)

    def _count_failed(self, job: Job) -> None:
        self._failed_starts += 1
        if self._failed_starts >= STARTS_PER_COHORT * max(1, min(self._slots, len(self._waiting))):
            why = job.broken or f"job {job.id} has ended before, {job.state.shown}"
            raise TrainingError(
                f"no worker can be started in a job of Slurm's: {why}; {job.last_words()}"
            )

    def _hear(self) -> None:
        # On a network file system each look costs its server something.
        if time.monotonic() - self._heard < LISTEN_SECONDS * max(1.0, len(self._jobs) / 50):
            return
        self._heard = time.monotonic()
        for job in self._jobs:
            if heard := job.hear():
                self._lost += heard
                self._failed_starts = self._failed_starts if job.broken else 0

    def _hand_out(self) -> None:
        for job in list(self._jobs):
            if self._waiting and job.free:
                cohort = next(iter(self._waiting))
                try:
                    job.train(cohort, self._waiting[cohort])
                except OSError:  # it may have heard half of it
                    self._end(job)
                else:
                    del self._waiting[cohort]

    def _ask_for_jobs(self) -> None:
        """Has jobs submitted for the cohorts that none is there or expected for."""
        expected = sum(job.worker != "there" for job in self._jobs)
        missing = min(len(self._waiting) - expected, self._slots - len(self._jobs), self._desk.most)
        gathering = time.monotonic() - self._gathered < GATHER_SECONDS
        if missing <= 0:
            self._desk.refusal = ""
        if missing <= 0 or gathering or not self._desk.ready:
            return
        self._boxes = [self._mail / str(self._made + number) for number in range(missing)]
        self._made += missing
        try:
            for box in self._boxes:
                box.mkdir(parents=True)
        except OSError:
            return  # a full disk may have room in a while
        alive, silent, logs = self._mail / "alive", self._pace.silent, self._folder
        self._desk.submit(
            [
                Worker(self._place, box, alive, silent, logs / f"worker-{box.name}")
                for box in self._boxes
            ]
        )

    def _end_idle(self) -> None:
        now, wanted = time.monotonic(), len(self._waiting)
        for job in list(self._jobs):
            if job.worker == "expected" and wanted > 0:
                wanted -= 1
                job.used = now
            elif job.cohort is not None:
                job.used = now
            elif now - job.used >= self._pace.idle:
                self._end(job)

    def _end(self, job: Job) -> None:
        self._jobs.remove(job)
        self._desk.end(job.id)


def _sweep_up(folder: Path, silent: float) -> None:
    """Removes the messages of engines whose process was killed long ago."""
    for alive in folder.glob("*/mail/alive"):
        with suppress(OSError):
            if time.time() - alive.stat().st_mtime > 10 * silent:
                shutil.rmtree(alive.parent, ignore_errors=True)
