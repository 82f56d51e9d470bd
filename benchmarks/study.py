"""Runs the study's four toy sweeps from nothing to figures, and tells what each part took.

    python benchmarks/study.py --folder build/study [--device cuda --workers 4] [--seeds 1..2]

`mimsweep run` on expressiveness, entropy, bottleneck and bottleneck_fashion, 720 runs, one after
the other in a new store in the folder; then `mimsweep figures` on all. CPU time is that of all
processes, memory what they had at most at one time. The first run in a new checkout compiles.
"""

import argparse
from pathlib import Path

from children import Usage, mimsweep
from machine import ROOT, machine, table

SWEEPS = ("expressiveness", "entropy", "bottleneck", "bottleneck_fashion")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="gets the store, figures, logs")
    parser.add_argument("--device", default="cpu", help="of `mimsweep run`")
    parser.add_argument("--workers", help="of `mimsweep run`")
    parser.add_argument("--seeds", default="1..10", help="fewer, to try this out")
    options = parser.parse_args()
    folder = options.folder.absolute()
    store = folder / "mlflow.db"
    if store.exists():
        parser.error(f"{store} is there already: the study starts from nothing")
    folder.mkdir(parents=True, exist_ok=True)
    uri = ["--tracking-uri", f"sqlite:///{store}"]
    how = ["--device", options.device, "--set", f"seed={options.seeds}"]
    how += ["--workers", options.workers] if options.workers else []
    files = {name: str(ROOT / "sweeps" / f"{name}.yaml") for name in SWEEPS}
    before = machine()
    parts: list[tuple[str, Usage]] = []
    for name, file in files.items():
        parts.append((f"run {name}", mimsweep(folder, "run", file, *uri, *how)))
    parts.append(("figures", mimsweep(folder, "figures", *files.values(), *uri)))
    rows = [[name, *usage.cells()] for name, usage in parts]
    usages = [usage for _, usage in parts]
    busy = [usage.gpu * usage.wall for usage in usages if usage.gpu is not None]
    wall = sum(usage.wall for usage in usages)
    whole = Usage(
        wall,
        sum(usage.cpu for usage in usages),
        max(usage.memory for usage in usages),
        sum(busy) / wall if busy else None,
    )
    rows.append([f"all, seeds {options.seeds}", *whole.cells()])
    heads = ["part", "wall, s", "CPU, s", "memory, GiB", "GPU busy"]
    print(f"{before}\n\n{table(heads[: len(rows[0])], rows)}")


if __name__ == "__main__":
    main()
