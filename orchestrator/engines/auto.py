"""What `--device auto` comes to where there are GPUs: what trains the work at hand faster.

A cohort trains its first epochs on one device of each kind, in a worker as any cohort does, but
without checkpoints, and what comes out is thrown away.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from mimsweep.orchestrator.engines.base import CohortLost, EpochEnded, Place, RunFailed, RunFinished
from mimsweep.orchestrator.engines.choice import Choice
from mimsweep.orchestrator.engines.local import LocalEngine
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.planning import Plan

EPOCHS = 20
"""So many are trained, if there is time; the later half of them is timed."""

SECONDS = 10.0
"""After the first epoch, which compiles and loads, as long as two are trained."""

LIMIT = 120.0
"""Seconds for all of it on a device; what trains no two epochs in that time is too slow."""

Planned = Callable[[str, int], Plan]
"""Returns what is to be trained, planned for a kind of device and so many slots."""


class Rate(NamedTuple):
    """How fast a device trains a cohort.

    Attributes:
        value: epochs of its runs a second; 0 if they can't be told.
        why: they can't.
    """

    value: float
    why: str = ""


def faster(
    gpus: Choice, cores: Choice, planned: Planned, data_dir: Path, log_dir: Path
) -> tuple[Choice, str]:
    """Returns the engine that trains a plan faster, and a line that says which and why.

    Measured is the longest cohort of the plan for GPUs; on a core so many of its runs, of all kinds
    in it, as the longest cohort of the plan for cores has, where they are smaller. All devices that
    their plan can keep busy are taken to be as fast as that one.

    Args:
        gpus: the engine on GPUs.
        cores: the same on CPU cores.
        planned: makes plans; there must be something to train.
        data_dir: where data sets are.
        log_dir: gets what the workers print.
    """
    on_cores, on_gpus = planned("cpu", len(cores.slots)), planned("cuda", len(gpus.slots))
    gpu_count = len(set(gpus.slots[: len(on_gpus.cohorts)]))
    core_count = min(len(cores.slots), len(on_cores.cohorts))
    cohort = on_gpus.cohorts[0]
    if cohort.runs[0].of_images:
        why = f"an epoch of {cohort.runs[0].model} takes minutes on a core"
        return gpus, f"auto: {_number(gpu_count, 'GPU')}, not measured: {why}"
    on_gpu = rate(cohort.runs, "cuda", gpus.slots[0], data_dir, log_dir)
    if not on_gpu.value:
        cannot = f"{cohort.label} can't be measured on a GPU: {on_gpu.why}"
        return cores, f"auto: {_number(core_count, 'core')}, as {cannot}"
    few = cohort.runs[:: math.ceil(cohort.size / on_cores.cohorts[0].size)]
    on_core = rate(few, "cpu", None, data_dir, log_dir)
    wins, compared = compare(on_gpu, gpu_count, on_core, core_count)
    sizes = "" if len(few) == cohort.size else f", ×{len(few)} on a core"
    return (gpus if wins else cores), f"auto: {compared}, measured on {cohort.label}{sizes}"


def compare(on_gpu: Rate, gpus: int, on_core: Rate, cores: int) -> tuple[bool, str]:
    """Returns whether so many GPUs train faster than so many cores, and how fast either does."""
    all_gpus, all_cores = gpus * on_gpu.value, cores * on_core.value
    fast, slow = _number(gpus, "GPU"), _number(cores, "core")
    wins = all_gpus > all_cores
    if not wins:
        fast, slow = slow, fast
    why = on_core.why if wins else on_gpu.why
    most, least = max(all_gpus, all_cores), min(all_gpus, all_cores)
    other = f": {why}" if why else f" {_shown(least)}"
    return wins, f"{fast} ({_shown(most)} run-epochs a second, {slow}{other})"


def rate(
    runs: Sequence[RunSpec], device: str, gpu: str | None, data_dir: Path, log_dir: Path
) -> Rate:
    """Measures how fast a worker trains the first epochs of a cohort.

    Args:
        runs: of the cohort.
        device: a torch device.
        gpu: what `CUDA_VISIBLE_DEVICES` is to be for the worker, if anything.
        data_dir: where data sets are.
        log_dir: gets what the worker prints.

    Raises:
        TrainingError: no worker can be started.
    """
    # None ends by itself meanwhile, but by stopping early; what differed in epochs still does.
    longer = [run.model_copy(update={"epochs": run.epochs + EPOCHS}) for run in runs]
    with TemporaryDirectory() as folder:
        place = Place(device, data_dir, Path(folder), checkpoint_seconds=math.inf)
        with closing(LocalEngine([gpu], place, log_dir)) as engine:
            engine.submit(0, longer)
            return _timed(engine, len(runs))


def _timed(engine: LocalEngine, size: int) -> Rate:
    deadline = time.monotonic() + LIMIT
    why = f"no two epochs in {LIMIT:.0f} s"
    trained, ends = 0, list[float]()
    over = False
    while not over and time.monotonic() < deadline:
        for event in engine.events(0.5):
            match event:
                case EpochEnded():
                    trained += 1
                    if trained == size * (len(ends) + 1):
                        ends.append(time.monotonic())
                case CohortLost(reason=reason) | RunFailed(reason=reason):
                    over, why = True, reason.partition("\n")[0]
                case RunFinished():  # it was measured too, which took its time
                    over = True
        late = len(ends) >= 2 and time.monotonic() - ends[0] >= SECONDS
        over = over or late or len(ends) >= EPOCHS
    if len(ends) < 2:
        return Rate(0.0, why)
    half = len(ends) // 2
    return Rate(size * (len(ends) - half) / (ends[-1] - ends[half - 1]))


def _shown(value: float) -> str:
    """Returns a number to three digits: `1,340`, `0.0123`."""
    return f"{float(f'{value:.3g}'):,g}"


def _number(count: int, name: str) -> str:
    return f"1 {name}" if count == 1 else f"{count} {name}s"
