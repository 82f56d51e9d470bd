"""`status` on a sweep that several kinds of processor trained."""

from pathlib import Path

import pytest

from mimsweep.models.jit import processor
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.orchestrator.commands import mimsweep

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

TAG = "mimsweep.processor"
SWEEP = """\
name: s
fixed: {dataset: toy4, model: vae, mid_dim: 8, epochs: 2, warmup: 1, batch_size: 1000}
grid: {seed: 1..4}
"""


def test_kinds_of_processor_are_counted_where_there_are_several(here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    ran = mimsweep("run", "s.yaml", "--device", "cpu", "--workers", "1")
    assert ran.exit_code == 0, ran.output
    uri, kind = f"sqlite:///{here}/mlflow.db", processor("cpu")
    complete, client = [*Tracking(uri).complete("s").values()], MlflowClient(uri)
    assert [client.get_run(run_id).data.tags[TAG] for run_id in complete] == [kind] * 4
    told, as_json = mimsweep("status", "s.yaml").stdout, mimsweep("status", "s.yaml", "--json")
    assert told == "s: 4/4 complete\n"
    client.delete_tag(complete[0], TAG)  # as of an older version, which is no kind
    assert mimsweep("status", "s.yaml").stdout == told
    client.set_tag(complete[1], TAG, "i386")
    line = f"runs were trained on 2 kinds of processor, 2 on {kind}, 1 on i386: bit for bit holds"
    assert mimsweep("status", "s.yaml").stdout == f"{told}  {line} only within a kind\n"
    assert mimsweep("status", "s.yaml", "--json").stdout == as_json.stdout
    assert mimsweep("status", "s.yaml", "--set", "seed=1").stdout == "s: 1/1 complete\n"
