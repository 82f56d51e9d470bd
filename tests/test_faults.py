import os
import random
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests import faults
from tests.bench import RUNS, Bench

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]
SHORT = {faults.kill_worker, faults.kill_orchestrator, faults.interrupt}
"""What CI has the time for; `make test-faults` injects all."""

FAULTS = [
    pytest.param(fault, id=fault.__name__, marks=[] if fault in SHORT else [pytest.mark.long])
    for fault in faults.FAULTS
]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pd.DataFrame]:
    bench = faults.run_with(None, tmp_path_factory.mktemp("without"), seed=0)
    try:
        assert bench.starts == 1
        table = bench.results()
        assert len(table) == RUNS
        yield table
    finally:
        bench.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_results_are_those_without_the_fault(
    fault: faults.Fault, expected: pd.DataFrame, tmp_path: Path
) -> None:
    if fault in faults.AS_ROOT and os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    seed = random.randrange(2**32)
    print(f"{fault.__name__}: seed {seed}")
    bench = Bench(tmp_path, seed)
    try:
        bench = faults.run_with(fault, tmp_path, seed)
        bench.check(expected)
    finally:
        bench.close()
