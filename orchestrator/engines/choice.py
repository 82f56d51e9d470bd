"""Which engine, on which kind of device: from the options of a command."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mimsweep.orchestrator.engines.base import Engine, Place
from mimsweep.orchestrator.engines.inline import InlineEngine
from mimsweep.orchestrator.engines.local import LocalEngine, local_slots
from mimsweep.orchestrator.errors import SpecError


@dataclass(frozen=True)
class Choice:
    """An engine to be made.

    Attributes:
        kind: of device: "cpu" or "cuda".
        make: makes it, from where cohorts train and a folder for logs.
        slots: of each slot on this machine, its GPU, if any.
        rival: the same on CPU cores, where "auto" may come to either.
    """

    kind: str
    make: Callable[[Place, Path], Engine]
    slots: Sequence[str | None] = ()
    rival: "Choice | None" = None


def choose(
    engine: str,
    device: str,
    workers: int | None,
    gpus_per_worker: float,
    slurm: Sequence[str] = (),
) -> Choice:
    """Returns how to make an engine; of "ray", its cluster is connected.

    Args:
        engine: a value of `orchestrator.defaults.Engine`.
        device: "auto", "cpu" or "cuda". "auto" comes to GPUs, if there are any; but for clusters,
            that is with a rival, between which `engines.auto` decides.
        workers: number of slots; None: what the devices are good for.
        gpus_per_worker: of "ray" and "slurm".
        slurm: options of the jobs of "slurm", as `engines.slurm.slots` has them.

    Raises:
        SpecError: there is no such device or cluster, or what it takes is not installed.
    """
    if engine == "slurm":
        with _installed(engine):
            from mimsweep.orchestrator.engines.slurm.engine import SlurmEngine
            from mimsweep.orchestrator.engines.slurm.slots import slurm_slots
        kind, jobs, flags = slurm_slots(device, workers, gpus_per_worker, slurm)
        return Choice(kind, lambda place, log_dir: SlurmEngine(place, jobs, flags, log_dir))
    if slurm:
        raise SpecError(f"--slurm {slurm[0]}: it is for --engine slurm")
    if engine == "ray":
        with _installed(engine):
            from mimsweep.orchestrator.engines.ray import RayEngine, ray_slots
        kind, slots = ray_slots(device, workers, gpus_per_worker)
        return Choice(kind, lambda place, _: RayEngine(place, slots, gpus_per_worker))
    kind, gpus = local_slots(device, workers)
    undecided = device == "auto" and kind == "cuda"
    rival = choose(engine, "cpu", workers, gpus_per_worker) if undecided else None
    if engine == "inline":
        return Choice(kind, lambda place, _: InlineEngine(place), gpus[:1], rival)
    return Choice(kind, lambda place, log_dir: LocalEngine(gpus, place, log_dir), gpus, rival)


@contextmanager
def _installed(engine: str) -> Iterator[None]:
    """Within it what an engine takes is imported.

    Raises:
        SpecError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise SpecError(
            f"--engine {engine}: {error.name} is not installed; pip install 'mimsweep[{engine}]'"
        ) from error
