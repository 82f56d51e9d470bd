"""Ours among the peers of `peers.py`: an epoch of a stack of R seeds."""

from collections.abc import Callable
from pathlib import Path

import torch
from turns import Shape, rate, take_turns

from mimsweep.models.data.loading import load
from mimsweep.models.training.cohort import Cohort
from mimsweep.models.training.stack import Stack


def trainer(shape: Shape) -> Callable[[int], float]:
    """Returns a function that trains an epoch of all seeds and gives the mean test loss."""
    torch.set_num_threads(1)
    cohort = Cohort(
        dataset="toy4" if shape.x_dim == 2 else f"toy4_{shape.x_dim}", model=shape.model,
        z_dim=shape.z_dim, mid_dim=shape.mid_dim, layers=2, act="tanh", inv_h=False,
        min_logvar=6, batch_size=128, q_x_samples="conditional", runs=(),
    )  # fmt: skip
    data = load(cohort.dataset, Path("data"))
    objective = cohort.objective(data)
    seeds = range(shape.runs)
    stack = Stack(objective, cohort.sampler(data, objective, "cpu"), seeds)

    def train(epoch: int) -> float:
        seed_epochs = [(seed, epoch) for seed in seeds]
        stack.train_epoch(seed_epochs, [rate(epoch)] * shape.runs, [1.0] * shape.runs)
        return float(stack.test_epoch(seed_epochs).mean())

    return train


if __name__ == "__main__":
    take_turns(trainer)
