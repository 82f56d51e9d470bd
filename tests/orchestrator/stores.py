"""Runs of a sweep, and its start in a store."""

from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.tracking.writer import Tracking

SPECS = [RunSpec(dataset="toy4", model=model, seed=2) for model in ("mim", "vae")]


def start(tracking: Tracking) -> str:
    return tracking.start_sweep("toy", "a sweep", {"torch": "2.9"}, {"size": 2})
