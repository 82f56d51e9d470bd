"""Measures what a run's CPU time is spent on, from its data to the store, part by part.

    python benchmarks/shares.py [--epochs 40] [--runs 10]

Each part of a run is called by itself, on a stack of R seeds in one thread as in a worker, and told
in ms per run of so many epochs. "Forward" is the same loops without learning, "backward" what
learning takes more, less the optimiser, which is Adam alone on rows of that size. "Data" draws the
items of train and test, of images what 20 runs of a seed share counts a twentieth, and reading it;
"noise" cuts them into minibatches and draws the noise. "Events" packs what a worker tells and
unpacks it; "tracking" makes the orchestrator's calls on an SQLite store, beside the training.
"""

import argparse
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import in_one_thread, machine, table

if TYPE_CHECKING:
    from mimsweep.models.data.base import Split
    from mimsweep.models.steps.counted import SeedEpoch
    from mimsweep.models.training.stack import Stack

SHARING = 20
SPLITS: tuple["Split", ...] = ("train", "test")
PARTS = (
    "data", "noise", "forward", "backward", "optimiser", "test", "KSG", "bounds", "collapse", "KNN",
    "other measures", "events", "tracking",
)  # fmt: skip
MEASURES = {
    "ksg_mutual_information": "KSG", "information": "bounds", "profile": "collapse",
    "knn_accuracy": "KNN",
}  # fmt: skip
"""Functions of `models.measures.latent`, and the part that each is."""


@dataclass(frozen=True)
class Shape:
    """A line of the table: what is trained."""

    model: str
    dataset: str
    mid_dim: int
    z_dim: int

    def __str__(self) -> str:
        return f"{self.model} {self.dataset} mid {self.mid_dim} z {self.z_dim}"


SHAPES = [
    *(Shape(model, "toy4", width, 2) for width in (5, 50, 500) for model in ("vae", "mim")),
    *(Shape("mim", dataset, 50, 10) for dataset in ("toy4_20", "pca-fashion-mnist20")),
]


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Returns the least CPU time that a function takes, once it's compiled."""
    function()
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


class Profile:
    """The parts of one shape's runs, in CPU seconds of a run."""

    def __init__(self, shape: Shape, runs: int, epochs: int, folder: Path) -> None:
        from mimsweep.models.data.cache import Cached
        from mimsweep.models.data.loading import load
        from mimsweep.models.data.toys import ToyMixture
        from mimsweep.models.steps.sampling import Sampler
        from mimsweep.models.training.cohort import Cohort
        from mimsweep.models.training.runs import Run
        from mimsweep.models.training.stack import Stack

        data = load(shape.dataset, Path(os.environ.get("MIMSWEEP_DATA_DIR", "data")))
        self._drawn = data
        if not isinstance(data, ToyMixture):
            data = Cached(data, shape.dataset, folder, 2**33)
        self._seeds, self._epochs = list(range(1, runs + 1)), epochs
        self._cohort = Cohort(
            shape.dataset, shape.model, shape.z_dim, shape.mid_dim, 2, "tanh", False, 6, 128,
            "conditional", tuple(Run(str(s), s, 1e-3, 3, epochs) for s in self._seeds),
        )  # fmt: skip
        import torch

        objective = self._cohort.objective(data)
        sampler = Sampler(data, 128, shape.z_dim, torch.device("cpu"))
        self._stack = Stack(objective, sampler, self._seeds)
        for epoch in (1, 2, 3):  # latents that are worth a measure
            seed_epochs = [(seed, epoch) for seed in self._seeds]
            self._stack.train_epoch(seed_epochs, [1e-3] * runs, [1.0] * runs)
        self._folder = folder

    def parts(self) -> dict[str, float]:
        """Returns the time of each of `PARTS`."""
        measured = {**self._of_epochs(), **self._of_measures()}
        return {**measured, "events": self._events(), "tracking": self._tracking()}

    def _of_epochs(self) -> dict[str, float]:
        stack, runs = self._stack, len(self._seeds)
        sampler, seed_epochs = stack.sampler, [(seed, 1) for seed in self._seeds]
        names = stack.objective.noise_names(decoder_samples=True)

        def minibatches(split: "Split") -> list[object]:
            return list(sampler.minibatches(split, seed_epochs, names))

        read = {s: seconds(partial(sampler.data.draw, s, 1, 1)) for s in SPLITS}
        drawn = {s: seconds(partial(minibatches, s)) for s in SPLITS}
        forward = seconds(lambda: _tested(stack, "train", seed_epochs)) - drawn["train"]
        rates, betas = [1e-3] * runs, [1.0] * runs
        learning = seconds(lambda: stack.train_epoch(seed_epochs, rates, betas)) - drawn["train"]
        optimiser = _adam(stack.weights.shape, sampler.count("train"))
        shares = {
            "data": runs * (sum(read.values()) + self._shared()),
            "noise": sum(drawn.values()) - runs * sum(read.values()),
            "forward": forward,
            "backward": learning - forward - optimiser,
            "optimiser": optimiser,
            "test": seconds(lambda: stack.test_epoch(seed_epochs)) - drawn["test"],
        }
        return {name: value / runs * self._epochs for name, value in shares.items()}

    def _shared(self) -> float:
        """Returns a run's part of drawing a pass that is kept for the others of its seed."""
        if self._drawn is self._stack.sampler.data:
            return 0.0
        return seconds(lambda: self._drawn.draw("train", 1, 1)) / SHARING

    def _of_measures(self) -> dict[str, float]:
        from mimsweep.models.measures import latent as evaluate

        stack, spent = self._stack, dict.fromkeys(MEASURES.values(), 0.0)

        def timed(name: str, function: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object) -> object:
                start = time.process_time()
                result = function(*arguments)
                spent[name] = time.process_time() - start
                return result

            return call

        own = {name: getattr(evaluate, name) for name in MEASURES}
        for name, part in MEASURES.items():
            setattr(evaluate, name, timed(part, own[name]))
        weights = stack.present_weights(0, (1, 1))
        model, sampler = stack.objective.model, stack.sampler
        whole = seconds(lambda: evaluate.evaluate(model, weights, sampler, 1))
        for name, function in own.items():
            setattr(evaluate, name, function)
        return {**spent, "other measures": whole - sum(spent.values())}

    def _events(self) -> float:
        from safetensors.torch import save

        from mimsweep.orchestrator.engines.base import EpochEnded, RunFinished

        weights = self._stack.present_weights(0, (1, 1))
        epoch = EpochEnded("key", 1, dict.fromkeys(("train_loss", "test_loss", "beta", "lr"), 1.0))
        end = seconds(
            lambda: pickle.loads(pickle.dumps(RunFinished("key", {"mi": 1.0}, save(weights))))
        )
        return end + self._epochs * seconds(lambda: pickle.loads(pickle.dumps(epoch)))

    def _tracking(self) -> float:
        from safetensors.torch import save

        from mimsweep.orchestrator.files.spec import RunSpec
        from mimsweep.orchestrator.tracking.writer import Tracking

        tracking = Tracking(f"sqlite:///{self._folder}/mlflow.db")
        parent = tracking.start_sweep("shares", "", {}, {})
        runs = [RunSpec(dataset="toy4", model="mim", seed=seed) for seed in self._seeds]
        metrics = dict.fromkeys(("train_loss", "test_loss", "beta", "lr"), 1.0)
        rows = [(epoch, metrics) for epoch in range(1, self._epochs + 1)]
        final = {f"metric{index}": 1.0 for index in range(24)}
        files = {
            "spec.yaml": b"-" * 400,
            "weights.safetensors": save(self._stack.present_weights(0, (1, 1))),
        }

        def store() -> None:
            for run_id in tracking.create_runs(parent, runs, {}):
                tracking.log_epochs(run_id, rows)
                tracking.finish(run_id, final, files)

        spent = seconds(store) / len(runs)
        tracking.finish_sweep(parent, "FINISHED", {})
        return spent


def _tested(stack: "Stack", split: "Split", seed_epochs: list["SeedEpoch"]) -> None:
    names = stack.objective.noise_names(decoder_samples=True)
    for batches in stack.sampler.minibatches(split, seed_epochs, names):
        stack.steps.test_steps(stack.objective, stack.weights, batches)


def _adam(shape: Sequence[int], steps: int) -> float:
    """Returns the time of Adam's steps on rows of weights with shape (R, P)."""
    from mimsweep.models.jit import compiled
    from mimsweep.models.steps.cpu.fused import ADAM
    from mimsweep.models.steps.cpu.kernel import StackArrays, _adam

    @compiled
    def make(state: StackArrays, gradient: np.ndarray, constants: np.ndarray) -> None:
        for r in range(state.weights.shape[0]):
            for s in range(state.size.shape[0]):
                _adam(state, s, r, gradient, constants)

    ones = np.ones(shape, np.float32)
    rates = np.full((steps, shape[0]), 1e-3, np.float32)
    state = StackArrays(ones.copy(), ones.copy(), ones.copy(), rates, rates)
    return seconds(lambda: make(state, ones[0], ADAM))


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=40, help="of a run")
    parser.add_argument("--runs", type=int, default=10, help="R, of the stack")
    options = parser.parse_args()
    in_one_thread()
    import torch

    torch.set_num_threads(1)
    print(f"{machine()} ms of CPU time of a run of {options.epochs} epochs.\n")
    rows = []
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            parts = Profile(shape, options.runs, options.epochs, Path(folder)).parts()
        whole = sum(parts.values())
        cells = [f"{1000 * parts[part]:,.0f} ({parts[part] / whole:.0%})" for part in PARTS]
        rows.append([str(shape), f"{1000 * whole:,.0f}", *cells])
    print(table(["run", "ms", *PARTS], rows))


if __name__ == "__main__":
    main()
