"""CPU time of a run in a plain PyTorch loop and in a cohort, and what both measure.

    python benchmarks/cohort_cost.py [--model mim vae] [--mid-dim 5 50 500] [--seeds 10] [--solo 3]

Whole runs on toy4, z_dim 2, to their early stop and through the final measures; one thread, each
line in a process of its own, after a short run that compiles. The plain loop (`plain_loop.py`)
trains the first `--solo` seeds, one after the other, the cohort all `--seeds`. The loop's final
measures are ours, as only k-d trees would be slower. Time is told per run, and of training alone
per run and epoch, as runs end at different epochs: ratios are of the latter and, in the last
column, of a run of the cohort's mean length with its measures. The second table has the mean of
each published metric and its standard deviation over the seeds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from machine import in_one_thread, machine, table

METRICS = ("mi", "nll", "rmse", "knn5")
LOADED = Path("data")
"""Where data sets would be that come as files: toy4 has none."""


@dataclass(frozen=True)
class Cost:
    """What a line's process measured.

    Attributes:
        training: CPU seconds of all its runs.
        measuring: CPU seconds of their final measures.
        epochs: of all its runs.
        metrics: of each run.
    """

    training: float
    measuring: float
    epochs: int
    metrics: list[dict[str, float]]

    @property
    def runs(self) -> int:
        """How many there were."""
        return len(self.metrics)

    @property
    def per_epoch(self) -> float:
        """CPU seconds of a run and epoch."""
        return self.training / self.epochs

    def whole(self, epochs: float) -> float:
        """Returns the CPU seconds of a run of so many epochs, and its measures."""
        return self.per_epoch * epochs + self.measuring / self.runs

    def told(self, metric: str) -> str:
        """Returns a metric's mean and standard deviation over the runs."""
        values = [each[metric] for each in self.metrics]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return f"{statistics.fmean(values):.3f} ± {spread:.3f}"


def plain(model: str, mid_dim: int, seeds: list[int], epochs: int) -> Cost:
    """Trains seeds one after the other in the plain loop."""
    from plain_loop import Settings, evaluated, train

    from mimsweep.models.data.loading import load

    data, training, measuring, trained, metrics = load("toy4", LOADED), 0.0, 0.0, 0, []
    for seed in seeds:
        settings = Settings(model=model, mid_dim=mid_dim, seed=seed, epochs=epochs)
        start = time.process_time()
        best, end = train(settings, data)
        ended = time.process_time()
        metrics.append(evaluated(settings, best, data))
        training += ended - start
        measuring += time.process_time() - ended
        trained += int(end["epochs_run"])
    return Cost(training, measuring, trained, metrics)


def cohort(model: str, mid_dim: int, seeds: list[int], epochs: int) -> Cost:
    """Trains seeds in a cohort."""
    from mimsweep.models.data.loading import load
    from mimsweep.models.measures.collapse import Measured
    from mimsweep.models.training import cohort as training
    from mimsweep.models.training.runs import EpochEnd, Run, RunEnd

    spent = 0.0
    measure = vars(training)["evaluate"]

    def evaluate(*arguments: object) -> Measured:
        nonlocal spent
        start = time.process_time()
        measured: Measured = measure(*arguments)
        spent += time.process_time() - start
        return measured

    vars(training)["evaluate"] = evaluate
    runs = tuple(Run(str(seed), seed, 1e-3, 3, epochs) for seed in seeds)
    stack = training.Cohort(
        "toy4", model, 2, mid_dim, 2, "tanh", False, 6, 128, "conditional", runs
    )
    start = time.process_time()
    events = list(training.train(stack, load("toy4", LOADED)))
    whole = time.process_time() - start
    vars(training)["evaluate"] = measure
    metrics = [event.metrics for event in events if isinstance(event, RunEnd)]
    trained = sum(isinstance(event, EpochEnd) for event in events)
    return Cost(whole - spent, spent, trained, metrics)


KINDS = {"plain": plain, "cohort": cohort}


def work(kind: str, model: str, mid_dim: int, seeds: list[int]) -> None:
    """Measures a line in this process, and prints its `Cost` as JSON."""
    import torch

    torch.set_num_threads(1)
    KINDS[kind](model, mid_dim, seeds[:1], 4)
    print(json.dumps(vars(KINDS[kind](model, mid_dim, seeds, 200))))


def measured(kind: str, model: str, mid_dim: int, seeds: int) -> Cost:
    """Returns what a process of its own measures of the seeds 1 to `seeds`."""
    given = json.dumps([kind, model, mid_dim, list(range(1, seeds + 1))])
    command = [sys.executable, __file__, "--work", given]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(**json.loads(done.stdout))


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", default=["mim", "vae"])
    parser.add_argument("--mid-dim", type=int, nargs="+", default=[5, 50, 500])
    parser.add_argument("--seeds", type=int, default=10, help="runs of the cohort, seeds 1 to N")
    parser.add_argument("--solo", type=int, default=3, help="seeds that the plain loop trains")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    in_one_thread()
    if options.work:
        work(*options.work)
        return
    costs, metrics = [], []
    for mid_dim in options.mid_dim:
        for model in options.model:
            loop = measured("plain", model, mid_dim, options.solo)
            stack = measured("cohort", model, mid_dim, options.seeds)
            epochs = stack.epochs / stack.runs
            both = loop.whole(epochs), stack.whole(epochs)
            costs.append([
                f"{model} {mid_dim}", f"{1e3 * loop.per_epoch:.1f}", f"{1e3 * stack.per_epoch:.2f}",
                f"{loop.per_epoch / stack.per_epoch:.0f}×", f"{epochs:.0f}",
                *(f"{each:.2f}" for each in both), f"{both[0] / both[1]:.1f}×",
            ])  # fmt: skip
            for name, cost in (("plain", loop), ("cohort", stack)):
                told = [cost.told(metric) for metric in METRICS]
                metrics.append([f"{model} {mid_dim}, {name}", str(cost.runs), *told])
    print(f"{machine()}\n")
    heads = [
        "toy4", "plain, ms/epoch", "cohort, ms/epoch", "ratio", "epochs", "plain, s/run",
        "cohort, s/run", "ratio",
    ]  # fmt: skip
    print(f"{table(heads, costs)}\n\n{table(['metrics', 'seeds', *METRICS], metrics)}")


if __name__ == "__main__":
    main()
