"""Injects faults at random into sweep after sweep, for minutes: `make soak MINUTES=20`."""

import argparse
import collections
import random
import tempfile
import time
from pathlib import Path

from tests import faults
from tests.bench import RUNS


def main() -> None:
    """Prints each fault with its seed, then the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    source = random.Random(arguments.seed)
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = faults.run_with(None, Path(folder, "without"), 0)
        expected = bench.results()
        bench.close()
        deadline = time.monotonic() + 60 * arguments.minutes
        while time.monotonic() < deadline:
            fault, seed = source.choice(faults.FAULTS), source.randrange(2**32)
            print(f"{fault.__name__} (seed {seed})", end=" ", flush=True)
            started = time.monotonic()
            bench = faults.run_with(fault, Path(folder, str(sum(counts.values()))), seed)
            try:
                bench.check(expected)
            finally:
                bench.close()
            counts[fault.__name__] += 1
            print(f"{bench.starts} starts, {time.monotonic() - started:.0f} s, ok", flush=True)
    total = sum(counts.values())
    print(f"{total} faults of {len(counts)} kinds, {total * RUNS} runs complete, none lost")


if __name__ == "__main__":
    main()
