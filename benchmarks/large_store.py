"""Measures the commands that read a sweep's runs, in a store that has very many of others.

    python benchmarks/large_store.py [--runs 100000]

One sweep of two runs trains; the rows of one of them are then copied in the database, each copy
with an id and a key of its own, as runs that a sweep file no longer has.
"""

import argparse
import sqlite3
import tempfile
from pathlib import Path

from children import mimsweep
from machine import machine, table

SWEEP = """
name: large
description: ""
fixed: {dataset: toy4, model: vae, mid_dim: 10, epochs: 1, warmup: 1}
grid: {seed: 1..2}
figures: {x: seed, hue: model, metrics: [mi]}
"""
TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")


def multiply(database: Path, count: int) -> None:
    """Copies a complete child run `count` times, to the same experiment."""
    with sqlite3.connect(database) as store:
        (run_id,) = store.execute(
            "SELECT run_uuid FROM tags WHERE key = 'mimsweep.run_key' LIMIT 1"
        ).fetchone()
        store.execute("CREATE TEMP TABLE copies (number INTEGER PRIMARY KEY, id TEXT)")
        store.executemany(
            "INSERT INTO copies VALUES (?, ?)", ((n, f"{n:032x}") for n in range(count))
        )
        for name in TABLES:
            columns = [row[1] for row in store.execute(f"PRAGMA table_info({name})")]
            values = ", ".join("copies.id" if c == "run_uuid" else f"{name}.{c}" for c in columns)
            store.execute(
                f"INSERT INTO {name} ({', '.join(columns)}) SELECT {values} "
                f"FROM {name}, copies WHERE run_uuid = ?",
                (run_id,),
            )
        store.execute(
            "UPDATE tags SET value = run_uuid WHERE key = 'mimsweep.run_key' "
            "AND run_uuid IN (SELECT id FROM copies)"
        )


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    count = parser.parse_args().runs
    print(f"{machine()}\n")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "large.yaml").write_text(SWEEP)
        mimsweep(here, "run", "large.yaml")
        multiply(here / "mlflow.db", count)
        for command in (["plan"], ["status"], ["results", "--output", "large.csv"]):
            used = mimsweep(here, *command, "large.yaml")
            rows.append([command[0], *used.cells()[:3]])
    print(f"{table([f'{count:,} runs', 'wall, s', 'CPU, s', 'memory, GiB'], rows)}\n")


if __name__ == "__main__":
    main()
