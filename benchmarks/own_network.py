"""CPU time of a user's networks: ten runs in a stack, and one by one in a plain PyTorch loop.

    python benchmarks/own_network.py [--runs 10] [--rounds 9]

Encoder and decoder are given as modules of torch. An epoch trains on, and tests, 10,000 items of
toy4 in minibatches of 128, β = 1 and decoder samples included. The two take turns, an epoch of
all runs each, on one thread; of their ratios the median is told, and the least and the greatest.
The loop is that of `plain_loop.py` with the same modules.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import in_one_thread, machine, table
from plain_loop import Settings, losses_of, minibatches, tested
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from mimsweep.models import registry
from mimsweep.models.data.base import DataSet
from mimsweep.models.data.loading import load
from mimsweep.models.training.cohort import Cohort, Training
from mimsweep.models.training.runs import Run

DATASET, Z_DIM, WIDTH = "toy4", 2, 50
Make = Callable[[int, int, Any], nn.Module]


class Residual(nn.Module):
    """Two residual layers, each normalised."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, WIDTH), nn.Linear(WIDTH, outputs)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, inputs) to (B, outputs)."""
        h = self.first(x)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = h + torch.tanh(layer(norm(h)))
        out: Tensor = self.last(h)
        return out


class Convolutions(nn.Module):
    """Two convolutions along the features."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *(nn.Conv1d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 8, 3, padding=1), nn.ReLU())
        )
        self.last = nn.Linear(8 * inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, inputs) to (B, outputs)."""
        out: Tensor = self.last(self.convs(x.unsqueeze(1)).flatten(1))
        return out


def perceptron(inputs: int, outputs: int, spec: Any) -> nn.Module:  # noqa: ANN401
    """Returns what `encoder: mlp` is, as a module."""
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.Tanh(), nn.Linear(WIDTH, outputs))


MAKES: dict[str, Make] = {
    "perceptron": perceptron,
    "residual": lambda inputs, outputs, spec: Residual(inputs, outputs),
    "convolutions": lambda inputs, outputs, spec: Convolutions(inputs, outputs),
}


class Plain(nn.Module):
    """Encoder, decoder and anchor of one run."""

    def __init__(self, make: Make, dims: int, min_scale: float) -> None:
        super().__init__()
        self.inner = nn.ModuleList([make(dims, 2 * Z_DIM, None), make(Z_DIM, 2 * dims, None)])
        self.anchor = Independent(Normal(torch.zeros(Z_DIM), torch.ones(Z_DIM)), 1)
        self.min_scale = min_scale

    def encoder(self, x: Tensor) -> Independent:
        """Returns q(z|x)."""
        return self._normal(self.inner[0](x))

    def decoder(self, z: Tensor) -> Independent:
        """Returns p(x|z)."""
        return self._normal(self.inner[1](z))

    def _normal(self, out: Tensor) -> Independent:
        mean, log_scale = out.chunk(2, dim=1)
        return Independent(Normal(mean, log_scale.exp() + self.min_scale), 1)


def one_by_one(model: str, make: Make, data: DataSet, runs: int) -> Callable[[], None]:
    """Returns a function that trains and tests an epoch of each run in a plain loop."""
    trained = []
    for seed in range(runs):
        torch.manual_seed(seed)
        settings = Settings(dataset=DATASET, model=model, z_dim=Z_DIM, seed=seed)
        net = Plain(make, data.dims, settings.min_scale)
        trained.append((settings, net, torch.optim.Adam(net.parameters(), lr=settings.lr)))
    epoch = 0

    def train() -> None:
        nonlocal epoch
        epoch += 1
        for settings, net, optimiser in trained:
            for x in minibatches(settings, data, "train", epoch):
                optimiser.zero_grad()
                parts: list[Tensor] = losses_of(settings, net, x, 1.0, True)  # type: ignore[arg-type]
                torch.stack(parts).sum().backward()
                optimiser.step()
            tested(settings, net, data, epoch)  # type: ignore[arg-type]

    return train


def stacked(model: str, network: str, data: DataSet, runs: int) -> Callable[[], None]:
    """Returns a function that trains and tests an epoch of all runs in a stack."""
    cohort = Cohort(
        dataset=DATASET, model=model, z_dim=Z_DIM, mid_dim=WIDTH, layers=2, act="tanh",
        inv_h=False, min_logvar=6, batch_size=128, q_x_samples="conditional",
        runs=tuple(Run(str(seed), seed, 1e-3, 1, 10**6) for seed in range(runs)),
        encoder=network, decoder=network,
    )  # fmt: skip
    training = Training(cohort, data)

    def train() -> None:
        training.begin()
        for _ in training._trained():  # no run stops meanwhile
            pass

    return train


def spent(function: Callable[[], None]) -> float:
    """Returns the CPU seconds that a call takes."""
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", default=["vae", "mim"])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    in_one_thread()
    torch.set_num_threads(1)
    data, rows = load(DATASET, Path("data")), []
    for name, make in MAKES.items():
        registry.network(name, make)
        for model in options.model:
            plain = one_by_one(model, make, data, options.runs)
            stack = stacked(model, name, data, options.runs)
            spent(plain), spent(stack)
            pairs = [(spent(plain), spent(stack)) for _ in range(options.rounds)]
            ratios = sorted(loop / ours for loop, ours in pairs)
            loop, ours = (
                statistics.median(each) / options.runs for each in zip(*pairs, strict=True)
            )
            rows.append([
                f"{name}, {model}", f"{1e3 * loop:.1f}", f"{1e3 * ours:.1f}",
                f"{statistics.median(ratios):.1f}×", f"{ratios[0]:.1f} to {ratios[-1]:.1f}×",
            ])  # fmt: skip
    print(f"{machine()} R = {options.runs}.\n")
    print(table(["ms per run and epoch", "one by one", "in a stack", "ratio", "of rounds"], rows))


if __name__ == "__main__":
    main()
