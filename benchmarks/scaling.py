"""Measures how cost grows with runs, workers, width and cohort size.

    python benchmarks/scaling.py [--runs 10 100 1000] [--only runs workers width cohort]

- runs: `mimsweep run` on so many runs of one epoch (vae, toy4, mid_dim 5), in a new store each, on
  all cores; and then `mimsweep plan`, which reads them all. 10,000 take a quarter of an hour.
- workers: `mimsweep run` on 80 runs of 20 epochs, with one worker and with two.
- width: CPU time of a run and epoch in a cohort of ten, toy4, z_dim 2.
- cohort: the same at mid_dim 50 against the number of runs, with the marginal q(x) on decoder
  samples too, whose steps are torch's.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from children import mimsweep
from machine import in_one_thread, machine, table


@contextmanager
def sweep(fixed: Mapping[str, object], grid: Mapping[str, object]) -> Iterator[Path]:
    """Yields a folder that has a sweep file, and will have its store."""
    content = {
        "name": "scaling", "description": "", "fixed": {"dataset": "toy4", **fixed},
        "grid": grid, "figures": {"x": "seed", "hue": "model", "metrics": ["mi"]},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "scaling.yaml").write_text(json.dumps(content))  # JSON is YAML
        yield Path(folder)


def by_runs(counts: list[int]) -> None:
    """Prints the table of runs."""
    rows = []
    for count in counts:
        with sweep(
            {"model": "vae", "mid_dim": 5, "epochs": 1, "warmup": 1}, {"seed": f"1..{count}"}
        ) as folder:
            run = mimsweep(folder, "run", "scaling.yaml")
            plan = mimsweep(folder, "plan", "scaling.yaml")
        each = [f"{1000 * spent / count:,.0f}" for spent in (run.wall, run.cpu)]
        rows.append([f"{count:,}", *run.cells()[:3], *each, f"{plan.wall:.1f}"])
    heads = ["runs", "wall, s", "CPU, s", "memory, GiB", "wall, ms/run", "CPU, ms/run", "plan, s"]
    print(f"{table(heads, rows)}\n", flush=True)


def by_workers() -> None:
    """Prints the table of workers."""
    rows = []
    for workers in ("1", "2"):
        grid = {"seed": "1..10", "model": ["mim", "vae"], "mid_dim": [50, 100, 200, 300]}
        with sweep({"epochs": 20, "warmup": 20}, grid) as folder:
            used = mimsweep(folder, "run", "scaling.yaml", "--workers", workers)
        rows.append([workers, *used.cells()[:3], f"{used.cpu / used.wall:.2f}"])
    heads = ["workers", "wall, s", "CPU, s", "memory, GiB", "cores in use"]
    print(f"{table(heads, rows)}\n", flush=True)


def cost(model: str, mid_dim: int, runs: int, q_x_samples: str = "conditional") -> float:
    """Returns ms of CPU time of a run and epoch in a cohort: the least of several epochs."""
    from mimsweep.models.data.loading import load
    from mimsweep.models.training.cohort import Cohort, Training
    from mimsweep.models.training.runs import Run

    members = tuple(Run(str(seed), seed, 1e-3, 1, 100) for seed in range(1, runs + 1))
    cohort = Cohort(
        "toy4", model, 2, mid_dim, 2, "tanh", False, 6, 128, q_x_samples, members
    )  # fmt: skip
    training = Training(cohort, load("toy4", Path("data")))
    best = float("inf")
    for _ in range(4):  # the first compiles; a run that ends would be measured, too
        start = time.process_time()
        for _ in zip(range(runs), training.epoch(), strict=False):
            pass
        best = min(best, time.process_time() - start)
    return 1000 * best / runs


def by_width() -> None:
    """Prints the table of widths."""
    rows = []
    for mid_dim in (5, 20, 50, 100, 200, 500, 1000):
        costs = [cost(model, mid_dim, 10) for model in ("vae", "mim")]
        rows.append([str(mid_dim), *(f"{each:.2f}" for each in costs)])
    print(f"{table(['mid_dim', 'vae, ms', 'mim, ms'], rows)}\n", flush=True)


def by_cohort() -> None:
    """Prints the table of cohort sizes."""
    rows = []
    for runs in (1, 2, 5, 10, 20, 50):
        costs = [cost("vae", 50, runs), cost("mim", 50, runs), cost("mim", 50, runs, "marginal")]
        rows.append([str(runs), *(f"{each:.2f}" for each in costs)])
    print(f"{table(['R', 'vae, ms', 'mim, ms', 'mim marginal, ms'], rows)}\n", flush=True)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--only", nargs="+", default=["runs", "workers", "width", "cohort"])
    options = parser.parse_args()
    in_one_thread()
    import torch

    torch.set_num_threads(1)
    print(f"{machine()}\n", flush=True)
    tables = {
        "runs": lambda: by_runs(options.runs), "workers": by_workers, "width": by_width,
        "cohort": by_cohort,
    }  # fmt: skip
    for name in options.only:
        tables[name]()


if __name__ == "__main__":
    main()
