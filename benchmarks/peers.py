"""Measures an epoch of ten seeds against those who would write it by JAX or torch.func.

    python benchmarks/peers.py --jax build/jax/bin/python [--mid-dim 5 50 500] [--turns 5]

`make bench-peers` makes JAX's environment and runs it. CPU milliseconds of one thread per run and
epoch, training and test pass, medians of turns that all take one after the other on the same core.
Each peer is given its best form: JAX as `vmap` over seeds or one seed after the other, with
threefry or XLA's own random numbers. The losses after equal epochs, means over seeds, say that all
train the same; their random numbers are their own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from machine import KEEP_MEMORY, ONE_THREAD, ROOT, machine, table
from turns import Shape

XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
FORMS = {
    "JAX, threefry": ["vmap", "map"],
    "JAX, rbg": ["vmap-rbg", "map-rbg"],
}


@dataclass
class Peer:
    """A process that trains in turns.

    Attributes:
        process: with turns asked for on its standard input.
        seconds: what each turn took.
        loss: after the last.
    """

    process: "subprocess.Popen[str]"
    seconds: list[float] = field(default_factory=list)
    loss: float = float("nan")

    @classmethod
    def of(cls, python: Path, script: str, shape: Shape) -> Self:
        """Starts one."""
        environment = {**os.environ, **ONE_THREAD, **KEEP_MEMORY, "XLA_FLAGS": XLA}
        command = [str(python), str(ROOT / "benchmarks" / script), json.dumps(asdict(shape))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return cls(subprocess.Popen(command, env=environment, text=True, **pipes))  # type: ignore[call-overload]

    def turn(self, epochs: int) -> float:
        """Trains some epochs; returns the CPU seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(epochs, file=self.process.stdin, flush=True)
        told = json.loads(self.process.stdout.readline())
        self.loss = told["loss"]
        return float(told["seconds"])


def measured(peers: dict[str, Peer], turns: int, least: float) -> None:
    """Has all train the same epochs in turns, each of which takes the slowest peer `least` s."""
    for peer in peers.values():
        peer.turn(1)  # compiles
    slowest = max(peer.turn(2) for peer in peers.values()) / 2
    epochs = max(1, round(least / slowest))
    for _ in range(turns):
        for peer in peers.values():
            peer.seconds.append(peer.turn(epochs) / epochs)


def row(shape: Shape, options: argparse.Namespace) -> list[str]:
    """Returns a line of the table."""
    here = Path(sys.executable)
    peers = {"stacked": Peer.of(here, "stacked_epochs.py", shape)}
    peers["torch.func"] = Peer.of(here, "torch_func.py", shape)
    for forms in FORMS.values():
        for form in forms:
            peers[form] = Peer.of(options.jax, "jax_epochs.py", replace(shape, form=form))
    try:
        measured(peers, options.turns, options.seconds)
    finally:
        for peer in peers.values():
            peer.process.kill()
            peer.process.wait()
    spent = {
        name: 1000 * statistics.median(peer.seconds) / shape.runs for name, peer in peers.items()
    }
    jax = [min((spent[form], form) for form in forms) for forms in FORMS.values()]
    losses = [peer.loss for peer in peers.values()]
    return [
        f"{shape.model} {shape.mid_dim}, {shape.x_dim} to {shape.z_dim}",
        f"{spent['stacked']:.2f}",
        *(f"{took:.2f} ({form.partition('-')[0]})" for took, form in jax),
        f"{spent['torch.func']:.2f}",
        *(f"{took / spent['stacked']:.2f}×" for took, _ in jax),
        f"{min(losses):.3f} to {max(losses):.3f}",
    ]


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jax", type=Path, required=True, help="a Python that has JAX")
    parser.add_argument("--mid-dim", type=int, nargs="+", default=[5, 50, 500])
    parser.add_argument("--model", nargs="+", default=["mim", "vae"])
    parser.add_argument("--wide", action="store_true", help="toy4_20 with z_dim 10 too")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn of the slowest")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # all on one core
    shapes = [Shape(model, mid) for mid in options.mid_dim for model in options.model]
    if options.wide:
        shapes += [Shape(model, 50, 20, 10) for model in options.model]
    version = "from importlib.metadata import version; print(version('jax'))"
    told = subprocess.run(
        [options.jax, "-c", version], capture_output=True, text=True, check=True
    ).stdout
    print(f"{machine()} JAX {told.strip()}.\n")
    rows = [row(shape, options) for shape in shapes]
    heads = ["ms per run and epoch", "stacked", *FORMS, "torch.func"]
    print(table([*heads, *(f"{name} to stacked" for name in FORMS), "losses"], rows))


if __name__ == "__main__":
    main()
