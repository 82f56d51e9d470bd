"""Measures a training step: a plain loop, torch on a stack, fused loops, on a GPU the kernel.

    python benchmarks/step.py [--device cuda] [--mid-dim 5 50 500] [--model vae mim] [--runs 1 10]

A line per shape and size R of the stack, in µs per run and step at z_dim 2, B = 128, with decoder
samples for MIM: CPU time of one thread, or on a GPU wall time of whole epochs; the least of several
repeats taken in turn. "Arithmetic" is the share of what a product of large matrices reaches here
that the step's own products are: those of layers, forward and backward, and not tanh, exp, log or
Adam. "Memory" is the share of what a copy of a large tensor reaches that must be moved once: items,
noise, weights and moments. Both are of the fastest implementation.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

from machine import in_one_thread, machine, table

STEPS, BATCH, Z_DIM = 78, 128, 2
IMPLEMENTATIONS = {"cpu": ("plain", "eager", "fused"), "cuda": ("plain", "eager", "kernel")}


@dataclass(frozen=True)
class Shape:
    """What is trained: one line of the table.

    Attributes:
        model: vae or mim.
        mid_dim: H.
        x_dim: D.
        runs: R.
        device: "cpu" or "cuda".
    """

    model: str
    mid_dim: int
    x_dim: int
    runs: int
    device: str

    @property
    def directions(self) -> int:
        """Passes through encoder and decoder."""
        return 2 if self.model == "mim" else 1

    @property
    def weights(self) -> int:
        """Of the layers of encoder and decoder, without biases."""
        return 3 * (self.x_dim + Z_DIM) * self.mid_dim

    @property
    def flops(self) -> int:
        """Of a run's step: products of layers forward, to the weights and to the inputs back.

        The input of a direction's first network has no gradient.
        """
        inputs = self.x_dim + (Z_DIM if self.directions == 2 else 0)
        return BATCH * (6 * self.weights * self.directions - 2 * inputs * self.mid_dim)

    @property
    def bytes(self) -> int:
        """Of a run's step: items and noise, read; weights and two moments, read and written."""
        noise = Z_DIM + (Z_DIM + self.x_dim if self.directions == 2 else 0)
        return 4 * (BATCH * (self.x_dim + noise) + 6 * self.weights)


def stacked(implementation: str, shape: Shape) -> Callable[[], object]:
    """Returns a function that makes `STEPS` steps of a stack."""
    import torch

    from mimsweep.models.losses.named import objective as make_objective
    from mimsweep.models.nets.latent import LatentModel
    from mimsweep.models.nets.linear import initial_weights
    from mimsweep.models.steps import eager
    from mimsweep.models.steps.adam import Adam
    from mimsweep.models.steps.base import Minibatches, Schedule, Steps
    from mimsweep.models.steps.counted import Counted
    from mimsweep.models.steps.cpu import fused

    runs, device = shape.runs, shape.device
    latent = LatentModel(shape.x_dim, Z_DIM, shape.mid_dim, 2, "tanh", 1e-6)
    weights = torch.cat([initial_weights(latent.shapes(), seed) for seed in range(runs)])
    weights = weights.to(device)
    adam = Adam.zeros(weights)
    coefficients = adam.coefficients([1e-3] * runs, [0] * runs, STEPS)
    x = torch.randn(STEPS, runs, shape.x_dim, BATCH).to(device).mT
    decoded = {"anchor": Z_DIM, "x": shape.x_dim} if shape.model == "mim" else {}
    seed_epochs = [(seed, 1) for seed in range(runs)]
    noise = Counted({"z": Z_DIM, **decoded}, frozenset(), "train", seed_epochs, 0, STEPS, BATCH)
    schedule = Schedule(torch.ones(runs, 1), *coefficients)
    objective, part = make_objective(shape.model, latent), Minibatches(x, noise, BATCH)
    steps: Steps = eager if implementation == "eager" else fused
    if implementation == "kernel":
        from mimsweep.models.steps.gpu import launch

        steps = launch
    return lambda: steps.train_steps(objective, weights, adam, part, schedule)


def plain(shape: Shape) -> Callable[[], object]:
    """Returns a function that makes `STEPS` steps of one run of the plain loop."""
    import torch
    from plain_loop import Model, Settings, losses_of

    settings = Settings(model=shape.model, mid_dim=shape.mid_dim)
    torch.set_default_device(shape.device)
    model = Model(settings, shape.x_dim)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.lr)
    batches = torch.randn(STEPS, BATCH, shape.x_dim)
    torch.set_default_device("cpu")

    def train() -> None:
        for x in batches:
            optimiser.zero_grad()
            losses = losses_of(settings, model, x, 1.0, True)
            torch.stack(losses).sum().backward()
            optimiser.step()

    return train


def seconds(functions: list[Callable[[], object]], repeats: int, device: str) -> list[float]:
    """Returns the least time that each takes: CPU time, or on a GPU until that is done."""
    import torch

    clock = time.process_time if device == "cpu" else time.perf_counter
    best = [float("inf")] * len(functions)
    for _ in range(repeats + 1):  # the first time compiles, and isn't the least
        for index, function in enumerate(functions):
            start = clock()
            function()
            if device == "cuda":
                torch.cuda.synchronize()
            best[index] = min(best[index], clock() - start)
    return best


def limits(device: str) -> tuple[float, float]:
    """Returns what the device reaches: floating-point operations, and bytes copied, a second."""
    import torch

    side, words = (1024, 2**25) if device == "cpu" else (8192, 2**29)
    a, b = torch.randn(2, side, side, device=device)
    source, target = torch.zeros(2, words, device=device)
    product, copy = seconds([lambda: a @ b, lambda: target.copy_(source)], 5, device)
    return 2 * side**3 / product, 8 * words / copy


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=IMPLEMENTATIONS, default="cpu")
    parser.add_argument("--mid-dim", type=int, nargs="+", default=[5, 50, 500])
    parser.add_argument("--model", nargs="+", default=["vae", "mim"])
    parser.add_argument("--x-dim", type=int, default=2)
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 10], help="R, of the stacks")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    in_one_thread()
    arithmetic, bandwidth = limits(options.device)
    names = IMPLEMENTATIONS[options.device]
    rows = []
    for mid_dim in options.mid_dim:
        for model in options.model:
            for runs in options.runs:
                shape = Shape(model, mid_dim, options.x_dim, runs, options.device)
                functions = [plain(shape), *(stacked(name, shape) for name in names[1:])]
                spent = seconds(functions, options.repeats, options.device)
                each = [spent[0] / STEPS, *(s / STEPS / runs for s in spent[1:])]
                shares = shape.flops / each[-1] / arithmetic, shape.bytes / each[-1] / bandwidth
                rows.append([
                    f"{model} {mid_dim}", str(runs), *(f"{1e6 * s:,.1f}" for s in each),
                    f"{each[1] / each[-1]:.1f}×", *(f"{share:.1%}" for share in shares),
                ])  # fmt: skip
    print(f"{machine()} Peak {arithmetic / 1e9:,.0f} GFLOP/s, copy {bandwidth / 1e9:,.0f} GB/s.\n")
    heads = ["µs per run and step", "R", *names, f"{names[2]} to eager", "arithmetic", "memory"]
    print(table(heads, rows))


if __name__ == "__main__":
    main()
