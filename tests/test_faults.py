import os
import random
from pathlib import Path

import pandas as pd
import pytest

from tests import faults
from tests.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]
SHORT = {faults.kill_worker, faults.kill_orchestrator, faults.interrupt}
"""What CI has the time for; `make test-faults` injects all."""

FAULTS = [
    pytest.param(fault, id=fault.__name__, marks=[] if fault in SHORT else [pytest.mark.long])
    for fault in faults.FAULTS
]


@pytest.mark.parametrize("fault", FAULTS)
def test_results_are_those_without_the_fault(
    fault: faults.Fault, without_faults: pd.DataFrame, tmp_path: Path
) -> None:
    if fault in faults.AS_ROOT and os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    seed = random.randrange(2**32)
    print(f"{fault.__name__}: seed {seed}")
    bench = Bench(tmp_path, seed)
    try:
        bench = faults.run_with(fault, tmp_path, seed)
        bench.check(without_faults)
    finally:
        bench.close()
