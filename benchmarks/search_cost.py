"""Wall time of a search: stacked, one run at a time, and plain Optuna around a plain loop.

    python benchmarks/search_cost.py [--trials 8] [--seeds 3] [--parallel 6] [--epochs 60]

The same space (warm-up 1 to 50, by its logarithm), the same sampler (TPE) and the same number of
trials and seeds for all. Each line is a fresh process in a folder of its own, so that starting,
storing and drawing count; the lines run one after the other. "plain" is `study.optimize` calling
`plain_loop.py` for each seed: once in one process, once in as many as there are cores, which is how
Optuna is used on one machine. Trials differ between the lines, as each line's results steer it, and
early stop makes them of different length: the table also has the time of a run and epoch, where
epochs that were reused are not counted.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
CORES = len(os.sched_getaffinity(0))
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        name: for people.
        seconds: wall time.
        cpu: CPU time of all its processes, which a busy machine changes less.
        epochs: trained, over all runs.
        best: NLL found.
    """

    name: str
    seconds: float
    cpu: float
    epochs: int
    best: float


def search_file(options: argparse.Namespace, parallel: int) -> str:
    """Returns the search as a file for mimsweep."""
    fixed = {
        "dataset": "toy4",
        "model": "mim",
        "mid_dim": options.mid_dim,
        "epochs": options.epochs,
    }
    search: dict[str, Any] = {
        "name": "cost", "fixed": fixed, "seeds": f"1..{options.seeds}",
        "space": {"warmup": {"int": [1, 50], "log": True}},
        "objective": {"metric": "nll", "direction": "minimize"},
        "trials": options.trials, "parallel": parallel,
    }  # fmt: skip
    return json.dumps(search)  # JSON is YAML


def mimsweep(options: argparse.Namespace, folder: Path, parallel: int, *more: str) -> Line:
    """Runs `mimsweep search` in a folder."""
    (folder / "cost.yaml").write_text(search_file(options, parallel))
    uri = f"sqlite:///{folder}/mlflow.db"
    command = [str(Path(sys.executable).parent / "mimsweep"), "search", "cost.yaml", "--json"]
    start, before = time.monotonic(), cpu_of_children()
    done = subprocess.run(
        [*command, "--tracking-uri", uri, "--device", "cpu", *more],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds, cpu = time.monotonic() - start, cpu_of_children() - before
    from mimsweep.orchestrator.tracking.writer import Tracking

    epochs = int(Tracking(uri, create=False).frame("cost")["epochs_run"].sum())
    name = f"mimsweep, parallel {parallel} {' '.join(more)}".strip()
    return Line(name, seconds, cpu, epochs, json.loads(done.stdout)["best"]["values"][0])


def plain(options: argparse.Namespace, folder: Path, processes: int) -> Line:
    """Runs plain Optuna in a folder, in so many processes on one study."""
    command = [sys.executable, __file__, "--plain", str(folder / "study.log")]
    for name in ("trials", "seeds", "epochs", "mid_dim"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    start, before = time.monotonic(), cpu_of_children()
    running = [subprocess.Popen(command, env=environment) for _ in range(processes)]
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit("plain Optuna failed")
    seconds, cpu = time.monotonic() - start, cpu_of_children() - before
    trials = [trial for trial in plain_study(folder / "study.log").trials if trial.values]
    epochs = sum(trial.user_attrs["epochs"] for trial in trials)
    best = min(trial.values[0] for trial in trials)
    return Line(f"plain Optuna, {processes} process(es)", seconds, cpu, epochs, best)


def cpu_of_children() -> float:
    """Returns the CPU seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plain_study(path: Path) -> Any:  # noqa: ANN401
    """Opens the study of plain Optuna."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(study_name="cost", storage=storage, load_if_exists=True)


def optimize(options: argparse.Namespace) -> None:
    """Makes trials of plain Optuna until there are enough: what a worker of `plain` does."""
    import torch
    from optuna.study import MaxTrialsCallback
    from plain_loop import Settings, evaluated, train

    from mimsweep.models.data.loading import load

    torch.set_num_threads(1)
    data = load("toy4", Path("data"))

    def objective(trial: Any) -> float:  # noqa: ANN401
        warmup = trial.suggest_int("warmup", 1, 50, log=True)
        values, epochs = [], 0
        for seed in range(1, options.seeds + 1):
            settings = Settings(
                mid_dim=options.mid_dim, seed=seed, warmup=warmup, epochs=options.epochs
            )
            model, end = train(settings, data)
            epochs += int(end["epochs_run"])
            values.append(evaluated(settings, model, data)["nll"])
        trial.set_user_attr("epochs", epochs)
        return statistics.fmean(values)

    study = plain_study(Path(options.plain))
    study.optimize(objective, callbacks=[MaxTrialsCallback(options.trials, states=None)])


def in_folder(measure: Callable[[Path], Line]) -> Line:
    """Measures in a fresh folder, and tells."""
    with tempfile.TemporaryDirectory() as folder:
        line = measure(Path(folder))
    print(f"{line.name}: {line.seconds:.0f} s", file=sys.stderr)
    return line


def table(lines: list[Line]) -> str:
    """Returns the lines, with the ratio of each figure to that of the first."""
    heads = ("wall, s", "ratio", "CPU, s", "ratio", "epochs", "ms/epoch", "ratio", "best nll")
    text = f"{'':<40}" + "".join(f"{head:>9}" for head in heads)
    first = lines[0]
    for line in lines:
        each = 1000 * line.seconds / line.epochs
        ratio = each / (1000 * first.seconds / first.epochs)
        text += (
            f"\n{line.name:<40}{line.seconds:>9.1f}{line.seconds / first.seconds:>9.2f}"
            f"{line.cpu:>9.1f}{line.cpu / first.cpu:>9.2f}"
            f"{line.epochs:>9}{each:>9.1f}{ratio:>9.2f}{line.best:>9.3f}"
        )
    return text


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (
        ("trials", 8), ("seeds", 3), ("parallel", 6), ("epochs", 60), ("mid-dim", 20),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        optimize(options)
        return
    lines = [
        in_folder(lambda folder: mimsweep(options, folder, options.parallel)),
        in_folder(lambda folder: mimsweep(options, folder, 1, "--cohort-size", "1")),
        in_folder(lambda folder: plain(options, folder, 1)),
        in_folder(lambda folder: plain(options, folder, CORES)),
    ]
    print(f"{options.trials} trials x {options.seeds} seeds, {CORES} cores")
    print(table(lines))


if __name__ == "__main__":
    main()
