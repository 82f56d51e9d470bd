"""Images per second of the two-level models: mimsweep's training, and a plain PyTorch loop.

    python benchmarks/image_throughput.py [--images 200] [--repeats 3] [--stack 4]

One thread, VAE loss, standard prior, dynamic_mnist's training images from the data folder. The
variants take turns, and the best of `--repeats` counts, as other work on the machine only slows;
CPU time. mimsweep's epoch draws and binarises its images too. Then gradients of one minibatch, with
convolutions in either layout, and by torch.compile where there's a C++ compiler. Last, gradients of
`--stack` runs of convhvae_2level: one after the other, and stacked by torch.func.vmap, which makes
grouped convolutions of them: the reason why a cohort of image models is not a stack.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import plain_images
import torch
from torch import Tensor
from torch.nn.utils.stateless import _reparametrize_module

from mimsweep.models.data.binarised import load_images
from mimsweep.models.densities.vampprior import StandardPrior
from mimsweep.models.losses.hvae import TwoLevelNoise, losses
from mimsweep.models.nets.hvae import Architecture
from mimsweep.models.training.images.run import ImageRun, Settings

BATCH = 100


def best(variants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Returns the least CPU seconds of each variant; they take turns, after one warm-up each."""
    seconds = dict.fromkeys(variants, float("inf"))
    for turn in range(repeats + 1):
        for name, work in variants.items():
            start = time.process_time()
            work()
            if turn:
                seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


def compare(decoder: str, images: int, repeats: int) -> None:
    """Prints images per second of one model."""
    data = load_images(
        "dynamic_mnist", Path(os.environ.get("MIMSWEEP_DATA_DIR", "data")), images, 100
    )
    architecture = Architecture(decoder, z_dim=40, pseudo_inputs=0)
    net = architecture.initial(1, data.train, from_images=False)
    run = ImageRun(net, data, Settings("vae", seed=1, lr=5e-4, batch_size=BATCH), "cpu")
    plain = plain_images.PlainModel(decoder == "pixelhvae_2level")
    seconds = best(
        {
            "plain loop": lambda: plain_images.train(plain, data.train, BATCH),
            "mimsweep": lambda: run.train_epoch(1, 1.0),
        },
        repeats,
    )
    for name, each in seconds.items():
        ratio = seconds["plain loop"] / each
        print(f"{decoder:<18}{name:<26}{images / each:>8.1f} images/s{ratio:>7.2f}x", flush=True)


def compare_ways(decoder: str, repeats: int) -> None:
    """Prints images per second of a gradient, by layout of the convolutions and compiled."""
    architecture = Architecture(decoder, z_dim=40, pseudo_inputs=0)
    x = (torch.rand(BATCH, 784) < 0.1).float()
    noise = TwoLevelNoise.draw(BATCH, 40, torch.device("cpu"), 1)

    def gradient(layout: torch.memory_format, compiled: bool) -> Callable[[], object]:
        net = architecture.initial(1, x, from_images=False).to(memory_format=layout)

        def loss() -> Tensor:
            return losses("vae", net, StandardPrior(), x, noise, 1.0).mean()

        made = torch.compile(loss) if compiled else loss
        return lambda: made().backward()

    variants = {
        "contiguous": gradient(torch.contiguous_format, False),
        "channels last": gradient(torch.channels_last, False),
    }
    if shutil.which("g++"):
        variants["channels last, compiled"] = gradient(torch.channels_last, True)
        start = time.monotonic()
        variants["channels last, compiled"]()
        print(f"{decoder:<18}compiling takes {time.monotonic() - start:.0f} s")
    seconds = best(variants, repeats)
    for name, each in seconds.items():
        ratio = seconds["contiguous"] / each
        print(f"{decoder:<18}{name:<26}{BATCH / each:>8.1f} images/s{ratio:>7.2f}x", flush=True)


def compare_stack(runs: int, batch: int, repeats: int) -> None:
    """Prints the seconds that gradients of several runs take, one by one and stacked."""
    architecture = Architecture("convhvae_2level", z_dim=40, pseudo_inputs=0)
    x = (torch.rand(runs, batch, 784) < 0.1).float()
    nets = [architecture.initial(seed, x[0], from_images=False) for seed in range(runs)]
    noise = [TwoLevelNoise.draw(batch, 40, torch.device("cpu"), seed) for seed in range(runs)]
    parts = [torch.stack([getattr(each, name) for each in noise]) for name in vars(noise[0])]
    weights, _ = torch.func.stack_module_state(nets)

    def loss(weights: dict[str, Tensor], x: Tensor, *parts: Tensor) -> Tensor:
        with _reparametrize_module(nets[0], weights):
            return losses("vae", nets[0], StandardPrior(), x, TwoLevelNoise(*parts), 1.0).mean()

    def one_by_one() -> None:
        for run in range(runs):
            losses("vae", nets[run], StandardPrior(), x[run], noise[run], 1.0).mean().backward()

    def stacked() -> None:
        torch.func.vmap(loss)(weights, x, *parts).sum().backward()

    seconds = best({"one by one": one_by_one, "stacked": stacked}, repeats)
    for name, each in seconds.items():
        ratio = seconds["one by one"] / each
        print(f"{runs} runs' gradients, {name:<24}{each:>8.2f} s       {ratio:>7.2f}x", flush=True)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--stack", type=int, default=4, help="runs of the stack")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load_before = os.getloadavg()[0]
    for decoder in ("convhvae_2level", "pixelhvae_2level"):
        compare(decoder, options.images, options.repeats)
        compare_ways(decoder, options.repeats)
    compare_stack(options.stack, BATCH // 2, options.repeats)
    print(f"load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
