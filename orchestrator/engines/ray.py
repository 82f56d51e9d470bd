"""Cohorts on a Ray cluster: one actor per slot, which stays for the whole sweep.

The nodes need the same mimsweep installed, and the data sets at the same absolute path. So with the
checkpoint folder: where a node doesn't share it, a run whose node is lost starts anew elsewhere.
"""

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

# Read by ray as it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayError

from mimsweep.orchestrator.engines.actor import Actor
from mimsweep.orchestrator.engines.base import CohortEnded, CohortLost, Command, Event, Place
from mimsweep.orchestrator.engines.local import KEEP_MEMORY, ONE_THREAD
from mimsweep.orchestrator.errors import SpecError, TrainingError
from mimsweep.orchestrator.files.spec import RunSpec

_OBJECT_STORE_BYTES = 200 * 2**20
_FETCH_SECONDS = 60.0
_REACH_SECONDS = 10.0
_STARTS_PER_SLOT = 3
_HEAD_SECONDS = 5.0
_HEAD_GONE_SECONDS = 30.0


class RayEngine:
    """An engine (see `orchestrator.engines.base`) with a Ray actor for each slot.

    A slot is free once its actor is up. When an actor or its node dies, the next one is asked for
    at once; Ray starts it when the cluster has the resources. All retries are the dispatcher's.
    """

    def __init__(self, place: Place, slots: int, gpus_per_worker: float) -> None:
        """Asks for the actors; `ray_slots` has connected to the cluster.

        Args:
            place: where cohorts train; its paths are made absolute.
            slots: number of actors.
            gpus_per_worker: GPUs, or the part of one, that an actor on "cuda" has.
        """
        place = replace(
            place,
            data_dir=place.data_dir.absolute(),
            checkpoint_dir=place.checkpoint_dir.absolute(),
        )
        resources = {"num_gpus": gpus_per_worker} if place.device == "cuda" else {"num_cpus": 1}
        self._actors: Any = ray.remote(Actor)
        self._options: dict[str, Any] = dict(
            **{"num_cpus": 0, **resources},
            max_concurrency=3,  # one trains, one waits for events, one hears commands
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": {**KEEP_MEMORY, **ONE_THREAD, **_modules()}},
        )
        self._place = place
        self._failed_starts = 0
        self._head: str = ray.get_runtime_context().gcs_address
        self._asked = self._answered = time.monotonic()
        self._lost: list[Event] = []
        self._slots = [self._start() for _ in range(slots)]

    @property
    def slots(self) -> int:
        """The number of slots, those included whose actor is not up yet."""
        return len(self._slots)

    @property
    def idle(self) -> int:
        """The number of free slots."""
        return sum(slot.free for slot in self._slots)

    @property
    def waiting(self) -> Mapping[int, str]:
        """None: a slot is free when its worker is there."""
        return {}

    def submit(self, cohort: int, runs: Sequence[RunSpec]) -> None:
        """Starts to train a cohort in a free slot."""
        slot = next(slot for slot in self._slots if slot.free)
        slot.cohort = cohort
        slot.actor.train.remote(cohort, list(runs))

    def events(self, timeout: float) -> list[Event]:
        """Returns what has happened, waiting up to `timeout` seconds for something to."""
        self._watch_head()
        events, self._lost = self._lost, []
        calls = [slot.call for slot in self._slots]
        if not calls:
            time.sleep(timeout)
        elif ray.wait(calls, timeout=0 if events else timeout)[0]:
            ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
            for slot in [slot for slot in self._slots if slot.call in ready]:
                events += self._hear(slot)
        return events

    def command(self, cohort: int, command: Command) -> None:
        """Tells a cohort in training to drop runs or let some join."""
        for slot in self._slots:
            if slot.cohort == cohort:
                slot.actor.command.remote(cohort, command)

    def cancel(self, cohort: int, reason: str) -> None:
        """Kills the actor that trains a cohort; `CohortLost` comes with `reason`."""
        for slot in list(self._slots):
            if slot.cohort == cohort:
                self._lost += self._replace(slot, reason)

    def close(self) -> None:
        """Kills all actors, and ends the connection; a Ray that was started here ends with it."""
        slots, self._slots = self._slots, []
        if self._head_is_gone():
            return  # Ray's calls would wait for it, then kill this process: not before its end
        for slot in slots:
            _kill(slot.actor)
        ray.shutdown()

    def _watch_head(self) -> None:
        """Raises if the cluster is gone, before Ray finds out: it would kill this process."""
        if time.monotonic() - self._asked >= _HEAD_SECONDS:
            self._asked = time.monotonic()
            with contextlib.suppress(SpecError):
                _reach(self._head, timeout=2.0)
                self._answered = time.monotonic()
        if self._head_is_gone():
            raise TrainingError(f"the head of the Ray cluster, {self._head}, is gone")

    def _head_is_gone(self) -> bool:
        return self._asked - self._answered >= _HEAD_GONE_SECONDS

    def _start(self) -> "_Slot":
        actor = self._actors.options(**self._options).remote(self._place)
        return _Slot(actor, actor.node.remote())

    def _hear(self, slot: "_Slot") -> list[Event]:
        """Returns what the call of an actor, which is over, has brought; makes the next call."""
        try:
            answer = ray.get(slot.call, timeout=_FETCH_SECONDS)
        except (RayError, GetTimeoutError) as error:
            return self._replace(slot, _sentence(error), _too_large(error))
        slot.call = slot.actor.events.remote()
        if slot.node is None:
            slot.node, answer = answer, []
            self._failed_starts = 0
        events: list[Event] = answer
        if any(isinstance(event, CohortEnded | CohortLost) for event in events):
            slot.cohort = None
        return events

    def _replace(self, slot: "_Slot", reason: str, too_large: bool = False) -> list[Event]:
        """Puts a new actor in the place of a dead one, or of one to be killed."""
        _kill(slot.actor)
        if slot.node is None:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS_PER_SLOT * len(self._slots):
                raise TrainingError(f"no worker can be started on the Ray cluster: {reason}")
        self._slots.remove(slot)
        self._slots.append(self._start())
        if slot.cohort is None:
            return []
        details = f"see Ray's logs of actor {slot.actor._actor_id.hex()} on node {slot.node}"
        return [CohortLost(slot.cohort, reason, details, too_large)]


@dataclass(eq=False)
class _Slot:
    """An actor, the call to it that is under way, its node once it is up, and its cohort."""

    actor: Any
    call: Any
    node: str | None = None
    cohort: int | None = None

    @property
    def free(self) -> bool:
        return self.node is not None and self.cohort is None


def ray_slots(device: str, workers: int | None, gpus_per_worker: float) -> tuple[str, int]:
    """Connects to the cluster at RAY_ADDRESS, or starts a Ray here; returns device and slots.

    Args:
        device: "cpu", "cuda", or "auto": the cluster's GPUs if it has any.
        workers: number of slots; None: as many as the cluster has GPUs for, else CPUs.
        gpus_per_worker: GPUs, or the part of one, for each slot on "cuda".

    Raises:
        SpecError: no cluster answers, or "cuda" is wanted and it has no GPU.
    """
    _connect(workers)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    per_gpu = 1 / gpus_per_worker + 1e-6  # 1 / 0.1 workers, and not one less
    gpus = sum(
        int(node["GPU"]) * int(per_gpu) if per_gpu >= 1 else int(node["GPU"] * per_gpu)
        for node in nodes
        if "GPU" in node
    )
    if device != "cpu" and any("GPU" in node for node in nodes):
        if not gpus:
            raise SpecError(f"--gpus-per-worker {gpus_per_worker:g}: no node of Ray has so many")
        return "cuda", workers or gpus
    if device == "cuda":
        raise SpecError("--device cuda: the Ray cluster has no GPU")
    return "cpu", workers or max(1, int(sum(node.get("CPU", 0) for node in nodes)))


def _connect(workers: int | None) -> None:
    address = os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if address == "local":
        cores = len(os.sched_getaffinity(0))
        options = {
            "num_cpus": max(cores, workers or 0),
            "object_store_memory": _OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }
    elif address != "auto":
        _reach(address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, ValueError, RuntimeError) as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        if address == "local":
            raise SpecError(
                f"--engine ray: Ray can't be started: {text}; it writes to the folders RAY_TMPDIR, "
                "which must have a short path, and HOME"
            ) from error
        raise SpecError(
            f"--engine ray: no Ray at RAY_ADDRESS={address}: {text}; "
            "RAY_AUTH_MODE and RAY_AUTH_TOKEN must be the cluster's"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _reach(address: str, timeout: float = _REACH_SECONDS) -> None:
    """Asks whether anything listens there: Ray itself would try for more than ten minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        sentence = "it must be HOST:PORT of the cluster's head, or auto"
        raise SpecError(f"RAY_ADDRESS={address}: {sentence}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=timeout).close()
    except (OSError, OverflowError) as error:
        raise SpecError(f"RAY_ADDRESS={address}: no Ray cluster answers there: {error}") from error


def _kill(actor: Any) -> None:  # noqa: ANN401
    with contextlib.suppress(RayError, ValueError):
        ray.kill(actor)


def _sentence(error: Exception) -> str:
    """Returns why an actor is lost: the last line, since the first ones say what an actor is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"the Ray actor was lost: {lines[-1] if lines else type(error).__name__}"


def _too_large(error: Exception) -> bool:
    return isinstance(error, OutOfMemoryError) or "running low on memory" in str(error)


def _modules() -> dict[str, str]:
    """Returns what tells actors which modules of a user's to import (see `models.registry`)."""
    value = os.environ.get("MIMSWEEP_IMPORT")
    return {"MIMSWEEP_IMPORT": value} if value else {}
