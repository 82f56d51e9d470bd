"""What the peers of `peers.py` share: what is trained, and taking turns.

Imports neither torch nor JAX. A peer trains epochs of R seeds, one turn after the other: it reads a
number of epochs from the standard input, and answers with the CPU seconds that they took.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

ITEMS, BATCH = 10_000, 128
STEPS = ITEMS // BATCH
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Shape:
    """What is trained: R seeds of a model on toy4 or toy4_20, β = 1, with decoder samples for MIM.

    Attributes:
        model: mim or vae.
        mid_dim: H.
        x_dim: D, 2 or 20.
        z_dim: of the latent.
        runs: R.
        form: a peer's own way to have several seeds or to draw numbers.
    """

    model: str
    mid_dim: int
    x_dim: int = 2
    z_dim: int = 2
    runs: int = 10
    form: str = ""


def mixture(x_dim: int) -> tuple[list[list[float]], float]:
    """Returns the means (5, D) and σ of toy4, or of toy4_20."""
    count = 5
    angles = [2 * math.pi * index / count for index in range(4)]
    ring = [[0.0, 0.0], *([math.cos(a), math.sin(a)] for a in angles)]
    last = count * x_dim - 1
    grid = [[-50 + 100 * (row * x_dim + d) / last for d in range(x_dim)] for row in range(count)]
    means = [first + rest[2:] for first, rest in zip(ring, grid, strict=True)]
    return means, 1.25 / count


def rate(epoch: int) -> float:
    """Returns the learning rate of an epoch, with a warm-up of one."""
    return 1e-3 / math.sqrt(epoch)


def take_turns(trainer: Callable[[Shape], Callable[[int], float]]) -> None:
    """Serves turns until the input ends; `trainer` returns what trains an epoch: the test loss."""
    train = trainer(Shape(**json.loads(sys.argv[1])))
    epoch = 0
    for line in sys.stdin:
        start = time.process_time()
        for _ in range(int(line)):
            epoch += 1
            loss = train(epoch)
        spent = time.process_time() - start
        print(json.dumps({"seconds": spent, "loss": loss}), flush=True)
