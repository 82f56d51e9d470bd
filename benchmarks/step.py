"""Measures a training step of the stack: torch's operations and autograd against fused loops.

    python benchmarks/step.py [--mid-dim 5 50 500] [--model vae mim] [--runs 10]

CPU time of one thread per run and step, in µs, the least of several repeats taken in turn, at z_dim
2, B = 128, with decoder samples for MIM. Memory is kept by glibc as in the workers of a sweep
(`orchestrator/engines/local.py`). What an epoch costs with all the rest, and in a plain PyTorch
loop: `benchmarks/cohort_cost.py`.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
STEPS = 78


def arguments() -> argparse.Namespace:
    """Returns the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mid-dim", type=int, nargs="+", default=[5, 50, 500])
    parser.add_argument("--model", nargs="+", default=["vae", "mim"])
    parser.add_argument("--x-dim", type=int, default=2)
    parser.add_argument("--runs", type=int, default=10, help="runs in the larger stack")
    parser.add_argument("--repeats", type=int, default=7)
    return parser.parse_args()


def train(
    implementation: str, model: str, mid_dim: int, x_dim: int, runs: int
) -> Callable[[], object]:
    """Returns a function that makes `STEPS` steps of a stack of `runs`."""
    import torch

    from models import eager, fused
    from models.latent import LatentModel
    from models.losses import Noise, Objective
    from models.nn import initial_weights
    from models.optim import Adam

    latent = LatentModel(x_dim, 2, mid_dim, 2, "tanh", 1e-6)
    weights = torch.cat([initial_weights(latent.shapes(), seed) for seed in range(runs)])
    adam = Adam.zeros(weights)
    size, factor = adam.coefficients([1e-3] * runs, [0] * runs, STEPS)
    x, z, anchor, noise_x = (
        torch.randn(STEPS, runs, features, 128).mT for features in (x_dim, 2, 2, x_dim)
    )
    noise = Noise(z, anchor, noise_x) if model == "mim" else Noise(z)
    beta, objective = torch.ones(runs, 1), Objective(model, latent)
    part = {"eager": eager.train_part, "fused": fused.train_part}[implementation]
    return lambda: part(objective, weights, adam, x, noise, beta, size, factor, 128)


def main() -> None:
    """Runs the command, in a process with one thread that keeps its memory."""
    settings = {**KEEP_MEMORY, **ONE_THREAD}
    if any(os.environ.get(name) != value for name, value in settings.items()):
        command = [sys.executable, *sys.argv]
        path = {"PYTHONPATH": str(ROOT)}
        environment = {**os.environ, **settings, **path}
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)
    options = arguments()
    stacks = [(name, runs) for name in ("eager", "fused") for runs in (1, options.runs)]
    print("µs per run and step".ljust(12), *(f"{name} R={runs}".rjust(11) for name, runs in stacks))
    for mid_dim in options.mid_dim:
        for model in options.model:
            best = measure(
                [(train(name, model, mid_dim, options.x_dim, r), r) for name, r in stacks],
                options.repeats,
            )
            cells = " ".join(f"{value:11.1f}" for value in best)
            ratios = " and ".join(f"{best[i] / best[i + 2]:.1f}x" for i in (0, 1))
            print(f"{model} {mid_dim:<15} {cells}   {ratios} less", flush=True)


def measure(functions: list[tuple[Callable[[], object], int]], repeats: int) -> list[float]:
    """Returns the least CPU time per run and step of each, in µs."""
    best = [float("inf")] * len(functions)
    for _ in range(repeats + 1):  # the first time compiles, and isn't the least
        for index, (function, runs) in enumerate(functions):
            start = time.process_time()
            function()
            spent = (time.process_time() - start) / STEPS / runs * 1e6
            best[index] = min(best[index], spent)
    return best


if __name__ == "__main__":
    main()
