"""`mimsweep measure`: complete runs measured anew from their stored weights, without training."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mimsweep.orchestrator.engines.base import Place
from mimsweep.orchestrator.errors import MissingError, RefusedError, TrackingError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.files.sweep import Sweep
from mimsweep.orchestrator.processes import Processes
from mimsweep.orchestrator.tracking.artifacts import read_artifact
from mimsweep.orchestrator.tracking.runs import PROFILE, WEIGHTS
from mimsweep.orchestrator.tracking.writer import Tracking
from mimsweep.orchestrator.trying import check_data

Numbers = tuple[Mapping[str, float], Mapping[str, list[float]]]
"""Metrics of a run, and what was measured of each of its latent dimensions."""


@dataclass(frozen=True)
class Measured:
    """What became of a run: its metrics are stored or, with a reason, it couldn't be measured."""

    run: RunSpec
    reason: str = ""


def measure_sweep(
    sweep: Sweep, uri: str, data_dir: Path, workers: int | None
) -> Iterator[Measured]:
    """Measures the complete runs of a sweep, and stores what comes out in place of what was.

    Args:
        sweep: its runs that are not complete are passed over.
        uri: the store's, from `tracking.uri.resolve_uri`.
        data_dir: where data sets are.
        workers: number of processes; None: one per CPU core.

    Yields:
        each run, when it is stored.

    Raises:
        SpecError: a data set is missing.
        TrackingError: the store can't be used.
    """
    store = Tracking(uri, create=False).require()
    store.require_artifacts(sweep.name)
    complete = store.complete(sweep.name)
    keys = {run: run.key_among(complete) for run in sweep.runs}
    runs = [run for run, key in keys.items() if key in complete]
    check_data(runs, data_dir)
    count = min(workers or len(os.sched_getaffinity(0)), len(runs))
    if not count:
        return
    with (
        tempfile.TemporaryDirectory() as passes,
        Processes(count, _prepare) as pool,
    ):
        place = Place("cpu", data_dir, Path(passes), checkpoint_seconds=0.0)
        run_ids = [complete[keys[run]] for run in runs]
        each = pool.map(partial(_measured, uri=uri, place=place), runs, run_ids)
        for run, run_id, found in zip(runs, run_ids, each, strict=True):
            if isinstance(found, str):
                yield Measured(run, found)
                continue
            metrics, profile = found
            try:
                store.remeasure(run_id, metrics, {PROFILE: json.dumps(profile).encode()})
            except RefusedError as error:  # it was deleted meanwhile
                yield Measured(run, str(error))
            else:
                yield Measured(run)


def _prepare() -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def _measured(run: RunSpec, run_id: str, uri: str, place: Place) -> Numbers | str:
    """Returns what is measured of a run, or why nothing is."""
    from mimsweep.orchestrator.engines.measuring import measured  # torch, in these processes alone

    store = Tracking(uri, create=False)
    try:
        found = read_artifact(store, run_id, WEIGHTS, lambda weights: measured(run, weights, place))
    except (MissingError, TrackingError) as error:
        return str(error)
    return found.metrics, found.profile
