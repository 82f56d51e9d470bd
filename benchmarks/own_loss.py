"""Measures a training step with a user's loss: a VAE written for one run, against ours.

    python benchmarks/own_loss.py [--runs 1 10 30]

A line per shape and size R of the stack, in µs of CPU time per run and step at B = 128, one thread,
the least of several repeats taken in turn: compiled steps of `vae`; torch's operations on the
stack; the loss for one run, mapped over the runs by `torch.vmap`; and called run by run, as it is
where B is no multiple of 32.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

from machine import in_one_thread, machine, table

STEPS, BATCH, REPEATS = 20, 128, 7
SHAPES = ((2, 2, 5), (2, 2, 50), (2, 2, 500), (20, 10, 50), (784, 20, 200))
"""D, Z, H."""


def makers(x_dim: int, z_dim: int, mid_dim: int, runs: int) -> dict[str, Callable[[], object]]:
    """Returns functions that make `STEPS` steps of a stack of so many runs, by name."""
    import torch

    from mimsweep.models import parts, registry
    from mimsweep.models.losses import users
    from mimsweep.models.losses.named import objective
    from mimsweep.models.nets.latent import LatentModel
    from mimsweep.models.nets.linear import initial_weights
    from mimsweep.models.steps import eager
    from mimsweep.models.steps.adam import Adam
    from mimsweep.models.steps.base import Minibatches, Schedule
    from mimsweep.models.steps.counted import Counted
    from mimsweep.models.steps.cpu import fused

    def own(model: Any, x: Any, noise: Any, beta: Any) -> Any:  # noqa: ANN401
        q_z = model.encode(x)
        z = q_z.sample(noise.z)
        log_ratio = q_z.log_prob_of_sample(noise.z) - model.log_p_z(z)
        return beta * log_ratio - model.decode(z).log_prob(x)

    registry.LOSSES["own"] = parts.Loss(own)
    model = LatentModel(x_dim, z_dim, mid_dim, layers=2, act="tanh", min_scale=1e-6)
    items = torch.randn(STEPS, runs, x_dim, BATCH).mT

    def maker(loss: str, steps: Any, align: int = BATCH) -> Callable[[], object]:  # noqa: ANN401
        case = objective(loss, model, items=BATCH)
        weights = torch.cat([initial_weights(model.shapes(), seed) for seed in range(runs)])
        adam = Adam.zeros(weights)
        coefficients = adam.coefficients([1e-3] * runs, [0] * runs, STEPS)
        schedule = Schedule(torch.ones(runs, 1), *coefficients)
        seeds = [(seed, 1) for seed in range(runs)]
        noise = Counted(
            {} if loss == "own" else {"z": z_dim}, frozenset(), "train", seeds, 0, STEPS, BATCH,
            own=case.own_noise,
        )  # fmt: skip
        batches = Minibatches(items, noise, BATCH)

        def make() -> object:
            vars(users)["ALIGN"] = align
            return steps.train_steps(case, weights, adam, batches, schedule)

        return make

    return {
        "compiled": maker("vae", fused),
        "torch": maker("vae", eager),
        "vmap": maker("own", eager),
        "run by run": maker("own", eager, BATCH + 1),
    }


def measured(x_dim: int, z_dim: int, mid_dim: int, runs: int) -> dict[str, float]:
    """Returns the least µs of CPU time per run and step, by name."""
    made = makers(x_dim, z_dim, mid_dim, runs)
    least = dict.fromkeys(made, float("inf"))
    for make in made.values():
        make()
    for _ in range(REPEATS):
        for name, make in made.items():
            start = time.process_time()
            make()
            spent = (time.process_time() - start) / (STEPS * runs) * 1e6
            least[name] = min(least[name], spent)
    return least


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", nargs="+", type=int, default=[1, 10], metavar="R")
    given = parser.parse_args()
    in_one_thread()
    rows = []
    for shape in SHAPES:
        for runs in given.runs:
            found = measured(*shape, runs)
            name = "D {}, Z {}, H {}".format(*shape)
            times = [f"{value:,.1f}" for value in found.values()]
            price = f"{found['vmap'] / found['compiled']:.0f}×"
            rows.append([name, str(runs), *times, price])
    print(machine())
    print()
    heads = ["µs per run and step", "R", "compiled", "torch", "vmap", "run by run"]
    print(table([*heads, "vmap to compiled"], rows))


if __name__ == "__main__":
    main()
