"""A peer of `peers.py`: an epoch of R seeds by `torch.func`, each step compiled."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, vmap
from turns import BATCH, ITEMS, LOG_2PI, STEPS, Shape, mixture, rate, take_turns

Weights = dict[str, Tensor]


def start(shape: Shape) -> Weights:
    """Returns the weights of encoder and decoder of all seeds."""
    weights = {}
    sizes = {"encoder": (shape.x_dim, shape.z_dim), "decoder": (shape.z_dim, shape.x_dim)}
    for name, (inputs, outputs) in sizes.items():
        for layer, (rows, columns) in (
            ("1", (inputs, shape.mid_dim)), ("2", (shape.mid_dim, 2 * outputs))
        ):  # fmt: skip
            for kind, size in (("w", (rows, columns)), ("b", (columns,))):
                uniform = 2 * torch.rand(shape.runs, *size) - 1
                weights[f"{name}.{kind}{layer}"] = uniform / rows**0.5
    return weights


def gaussian(weights: Weights, name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and σ given x with shape (B, inputs)."""
    hidden = torch.tanh(x @ weights[f"{name}.w1"] + weights[f"{name}.b1"])
    mean, log_scale = (hidden @ weights[f"{name}.w2"] + weights[f"{name}.b2"]).chunk(2, dim=1)
    return mean, log_scale.exp() + 1e-6


def log_prob(x: Tensor, mean: Tensor | float = 0.0, scale: Tensor | None = None) -> Tensor:
    """Returns the log-density of a Gaussian at x with shape (B, F): nats, (B,)."""
    if scale is None:
        return (-0.5 * x.square() - 0.5 * LOG_2PI).sum(1)
    return (-0.5 * ((x - mean) / scale).square() - scale.log() - 0.5 * LOG_2PI).sum(1)


def losses(model: str, weights: Weights, x: Tensor, noise: Tensor, z_dim: int) -> list[Tensor]:
    """Returns the loss of each direction; `noise` has those of z, of the anchor and of x."""
    mean, scale = gaussian(weights, "encoder", x)
    z = mean + scale * noise[:, :z_dim]
    log_p_x = log_prob(x, *gaussian(weights, "decoder", z))
    if model == "vae":
        return [(log_prob(z, mean, scale) - log_prob(z) - log_p_x).mean()]
    encoder = -(log_p_x + log_prob(z)).mean()
    z = noise[:, z_dim : 2 * z_dim]
    mean, scale = gaussian(weights, "decoder", z)
    x = mean + scale * noise[:, 2 * z_dim :]
    log_p_x = log_prob(x, mean, scale)
    log_q = log_prob(z, *gaussian(weights, "encoder", x)) + log_p_x
    return [encoder, -0.5 * (log_p_x + log_prob(z) + log_q).mean()]


def trainer(shape: Shape) -> Callable[[int], float]:
    """Returns a function that trains an epoch of all seeds and gives the mean test loss."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    means, sigma = mixture(shape.x_dim)
    centres = torch.tensor(means)
    width = shape.z_dim if shape.model == "vae" else 2 * shape.z_dim + shape.x_dim
    weights = start(shape)
    first = {name: torch.zeros_like(each) for name, each in weights.items()}
    second = {name: torch.zeros_like(each) for name, each in weights.items()}

    def drawn() -> tuple[Tensor, Tensor]:
        labels = torch.randint(len(centres), (shape.runs, ITEMS))
        points = centres[labels] + sigma * torch.randn(shape.runs, ITEMS, shape.x_dim)
        points = points[:, : STEPS * BATCH].reshape(shape.runs, STEPS, BATCH, shape.x_dim)
        return points, torch.randn(shape.runs, STEPS, BATCH, width)

    def loss(weights: Weights, x: Tensor, noise: Tensor) -> Tensor:
        return torch.stack(losses(shape.model, weights, x, noise, shape.z_dim)).sum()

    def mean_loss(weights: Weights, x: Tensor, noise: Tensor) -> Tensor:
        return torch.stack(losses(shape.model, weights, x, noise, shape.z_dim)).mean()

    gradients_of = vmap(grad(loss))

    @torch.compile
    def step(x: Tensor, noise: Tensor, pace: Tensor, root: Tensor) -> None:
        for name, gradient in gradients_of(weights, x, noise).items():
            first[name].mul_(0.9).add_(gradient, alpha=0.1)
            second[name].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            weights[name].sub_(pace * first[name] / (second[name].sqrt() / root + 1e-8))

    tested = torch.compile(vmap(mean_loss))
    count = 0

    @torch.no_grad()
    def train(number: int) -> float:
        nonlocal count
        x, noise = drawn()
        for index in range(STEPS):
            count += 1
            pace = torch.tensor(rate(number) / (1 - 0.9**count))
            root = torch.tensor((1 - 0.999**count) ** 0.5)
            step(x[:, index], noise[:, index], pace, root)
        x, noise = drawn()
        found = [tested(weights, x[:, index], noise[:, index]) for index in range(STEPS)]
        return float(torch.stack(found).mean())

    return train


if __name__ == "__main__":
    take_turns(trainer)
