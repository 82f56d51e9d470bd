"""Metrics that are no finite numbers, in a real store."""

import json
import math
from pathlib import Path

import pytest

from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import mimsweep

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

SWEEP = """\
name: a
fixed: {dataset: toy4, mid_dim: 4}
grid: {seed: 1..6, model: [mim, vae]}
claims:
  - {claim: c, metric: nll, less: {model: mim}, than: {model: vae}}
"""


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_verify_calls_them_what_they_are(value: float) -> None:
    Path("a.yaml").write_text(SWEEP)
    runs = load_sweep(Path("a.yaml"), ()).runs
    tracking = Tracking("sqlite:///mlflow.db")
    parent = tracking.start_sweep("a", "", {}, {})
    for run, run_id in zip(runs, tracking.create_runs(parent, runs, {}), strict=True):
        nll = value if (run.seed, run.model) == (2, "vae") else float(run.seed)
        if (run.seed, run.model) != (3, "mim"):
            tracking.finish(run_id, {"nll": nll}, {})
    result = mimsweep("verify", "a.yaml", "--json")
    (claim,) = json.loads(result.output)["claims"]
    assert result.exit_code == 1
    assert claim["reason"] == (
        "1 of 6 pairs are missing, and nll is no finite number in 1 of 6 pairs"
    )
    assert (claim["pairs"], claim["missing"], claim["not_finite"]) == (4, 1, 1)
