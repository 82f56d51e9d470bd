"""CPU time of a run and epoch: a plain PyTorch loop, one run at a time, and all runs in one cohort.

    python benchmarks/cohort_cost.py [--model mim] [--mid-dim 50] [--epochs 20] [--seeds 10]

Each line of the table is measured in processes of its own, with one thread, after an epoch of
warming up; the lines take turns, and the least of `--repeats` counts, as other work on the machine
only adds. "malloc" are the two settings that workers get: without them glibc hands big buffers
back to the kernel after every operation. Final metrics are left out; a run that would stop early
is an error, not a cheaper run.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
MALLOC = {
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
}


@dataclass(frozen=True)
class Variant:
    """A line of the table.

    Attributes:
        name: for people.
        kind: key of `WORKERS`.
        malloc: whether the workers' settings of malloc apply.
        whole: whether all seeds share a process; else each of `--solo` seeds has its own.
    """

    name: str
    kind: str
    malloc: bool
    whole: bool


VARIANTS = (
    Variant("plain loop", "plain", malloc=False, whole=False),
    Variant("plain loop, malloc", "plain", malloc=True, whole=False),
    Variant("one run at a time, malloc", "cohort", malloc=True, whole=False),
    Variant("all runs in a cohort, malloc", "cohort", malloc=True, whole=True),
)


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a process, or of several added: user and system time.

    Attributes:
        imports: until the modules were loaded.
        training: of the measured epochs.
        system: the part of `training` that the kernel took.
        run_epochs: runs times epochs in `training`.
    """

    imports: float
    training: float
    system: float
    run_epochs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.imports + other.imports,
            self.training + other.training,
            self.system + other.system,
            self.run_epochs + other.run_epochs,
        )

    @property
    def per_epoch(self) -> float:
        """Milliseconds of a run and epoch, training alone."""
        return 1000 * self.training / self.run_epochs

    @property
    def with_imports(self) -> float:
        """Milliseconds of a run and epoch, the loading of modules shared out."""
        return 1000 * (self.training + self.imports) / self.run_epochs


def plain_trainer(options: argparse.Namespace) -> Callable[[int], None]:
    """Returns what trains the plain loop for so many epochs; imports come with it."""
    from plain_loop import Settings, train

    from models.data import load

    data = load(options.dataset, Path("data"))
    (seed,) = options.run_seeds

    def trained(epochs: int) -> None:
        settings = Settings(
            options.dataset, options.model, options.z_dim, options.mid_dim, seed, options.warmup,
            epochs,
        )  # fmt: skip
        if (ran := train(settings, data)[1]["epochs_run"]) < epochs:
            raise SystemExit(
                f"seed {seed} stopped after {ran} epochs; take fewer --epochs or more --warmup"
            )

    return trained


def cohort_trainer(options: argparse.Namespace) -> Callable[[int], None]:
    """Returns what trains a cohort for so many epochs; imports come with it."""
    from models.cohort import Cohort, EpochEnd, Run, train
    from models.data import load

    data = load(options.dataset, Path("data"))

    def trained(epochs: int) -> None:
        runs = tuple(  # an epoch more than is trained, so that no final metrics are measured
            Run(str(seed), seed, 1e-3, options.warmup, epochs + 1) for seed in options.run_seeds
        )
        cohort = Cohort(
            options.dataset, options.model, options.z_dim, options.mid_dim, 2, "tanh", False, 6,
            128, "conditional", runs,
        )  # fmt: skip
        events = train(cohort, data)
        for _ in range(epochs * len(runs)):
            event = next(events)
            if not isinstance(event, EpochEnd):
                raise SystemExit(
                    f"seed {event.key} stopped early; take fewer --epochs or more --warmup"
                )

    return trained


WORKERS = {"plain": plain_trainer, "cohort": cohort_trainer}


def work(options: argparse.Namespace) -> None:
    """Measures one variant in this process and prints its `Cost` as JSON."""
    trained = WORKERS[options.worker](options)
    import torch

    torch.set_num_threads(1)
    imports = time.process_time()
    trained(1)
    before, start = os.times(), time.process_time()
    trained(options.epochs)
    training, system = time.process_time() - start, os.times().system - before.system
    run_epochs = options.epochs * len(options.run_seeds)
    print(json.dumps([imports, training, system, run_epochs]))


def measured(variant: Variant, options: argparse.Namespace) -> Cost:
    """Returns the cost of a variant, its processes added up."""
    seeds = list(range(1, options.seeds + 1))
    processes = [seeds] if variant.whole else [[seed] for seed in seeds[: options.solo]]
    environment = {k: v for k, v in os.environ.items() if k not in MALLOC} | THREADS
    if variant.malloc:
        environment |= MALLOC
    total = Cost(0, 0, 0, 0)
    for run_seeds in processes:
        arguments = {
            "worker": variant.kind,
            "run-seeds": ",".join(map(str, run_seeds)),
            **{
                name: getattr(options, name.replace("-", "_"))
                for name in ("dataset", "model", "z-dim", "mid-dim", "epochs", "warmup")
            },
        }
        command = [sys.executable, __file__]
        command += [f"--{name}={value}" for name, value in arguments.items()]
        result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
        if result.returncode:  # the worker has said why
            raise SystemExit(result.returncode)
        total += Cost(*json.loads(result.stdout))
    return total


def table(costs: dict[Variant, Cost]) -> str:
    """Returns the table, ratios to the first line beside the figures."""
    first = next(iter(costs.values()))
    lines = [
        f"{'CPU time of a run and epoch':<30}{'training':>10}{'ratio':>8}{'system':>8}"
        f"{'with imports':>14}{'ratio':>8}"
    ]
    for variant, cost in costs.items():
        ratio, ratio_all = (
            first.per_epoch / cost.per_epoch,
            first.with_imports / cost.with_imports,
        )
        lines.append(
            f"{variant.name:<30}{cost.per_epoch:>7.1f} ms{ratio:>7.2f}x"
            f"{cost.system / cost.training:>8.0%}{cost.with_imports:>11.1f} ms{ratio_all:>7.2f}x"
        )
    return "\n".join(lines)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default="toy4")
    parser.add_argument("--model", choices=("mim", "vae"), default="mim")
    parser.add_argument("--z-dim", type=int, default=2)
    parser.add_argument("--mid-dim", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=20, help="measured epochs of each run")
    parser.add_argument("--seeds", type=int, default=10, help="runs of the cohort, seeds 1 to N")
    parser.add_argument("--solo", type=int, default=2, help="seeds that are measured alone")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--warmup", type=int, help="default: 3 for mim; for vae so many that nothing stops early"
    )
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--run-seeds", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        options.run_seeds = [int(seed) for seed in options.run_seeds.split(",")]
        work(options)
        return
    if options.warmup is None:  # β changes what mim costs, not what vae costs
        options.warmup = 3 if options.model == "mim" else math.ceil(options.epochs / 2)
    load_before = os.getloadavg()[0]
    costs: dict[Variant, Cost] = {}
    for _ in range(options.repeats):
        for variant in VARIANTS:
            cost = measured(variant, options)
            costs[variant] = min(costs.get(variant, cost), cost, key=lambda c: c.training)
    print(
        f"{options.dataset}, {options.model}, mid_dim {options.mid_dim}, z_dim {options.z_dim}, "
        f"{options.seeds} seeds, {options.epochs} epochs, least of {options.repeats}; load "
        f"average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores"
    )
    print(table(costs))


if __name__ == "__main__":
    main()
