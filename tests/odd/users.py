"""Modules of a user's, and the program in this process that imports them."""

from pathlib import Path

DATA = """
import numpy as np
import torch
from mimsweep import register
from mimsweep.models.streams import generator


class Mine:
    dims, classes, binary = 2, 2, False

    def items(self, split):
        return 200

    def draw(self, split, seed, epoch):
        source = generator("mine", split, seed, epoch)
        x = torch.randn(self.items(split), 2, generator=source)
        labels = (x[:, 0] > 0).long()
        # change
        return x, labels

    def log_prob(self, x):
        return None


register.data("mine", dims=2, load=lambda folder: Mine())
"""
"""A good data set, which a test makes worse."""

SWEEP = """
name: s
fixed: {dataset: mine, mid_dim: 4, epochs: 2, warmup: 1, batch_size: 64}
grid: {model: [vae]}
"""


def write(folder: Path, module: str, sweep: str = SWEEP) -> None:
    """Writes `mine.py` and `s.yaml`."""
    (folder / "mine.py").write_text(module)
    (folder / "s.yaml").write_text(sweep)


def changed(line: str) -> str:
    """The data set with a line more before it returns what it drew."""
    return DATA.replace("# change", line)


def line_of(module: str, text: str) -> int:
    """The number of the line of a module that has a text."""
    return next(n for n, line in enumerate(module.splitlines(), 1) if text in line)
