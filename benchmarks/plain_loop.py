"""One run as plain PyTorch: what a researcher writes for one model, one seed at a time.

    python benchmarks/plain_loop.py --dataset toy4 --model mim --mid-dim 50 --seed 1

The yardstick of `cohort_cost.py`. It shares with `models/` the data and nothing else: modules,
torch.distributions, torch.optim.Adam, autograd as they come. Same losses, schedules and early stop
(experiments.md sections 3, 4; MIM with the conditional q(x)); its random numbers are its own.
"""

import argparse
import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from mimsweep.models.data.base import DataSet, Split
from mimsweep.models.data.loading import load


@dataclass(frozen=True)
class Settings:
    """What is trained.

    Attributes:
        dataset: name of a data set without files.
        model: mim or vae.
        z_dim: size of the latent.
        mid_dim: width of the hidden layer.
        seed: of weights, data and noise.
        warmup: w, epochs.
        epochs: at most so many.
        lr: highest learning rate.
        batch_size: items.
        min_scale: smallest σ.
    """

    dataset: str = "toy4"
    model: str = "mim"
    z_dim: int = 2
    mid_dim: int = 50
    seed: int = 1
    warmup: int = 3
    epochs: int = 200
    lr: float = 1e-3
    batch_size: int = 128
    min_scale: float = 1e-6


class GaussianNet(nn.Module):
    """Maps to a Gaussian: a hidden layer, then mean and log-scale."""

    def __init__(self, inputs: int, mid_dim: int, outputs: int, min_scale: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, mid_dim)
        self.mean = nn.Linear(mid_dim, outputs)
        self.log_scale = nn.Linear(mid_dim, outputs)
        self.min_scale = min_scale

    def forward(self, x: Tensor) -> Independent:
        """Returns the Gaussian given x with shape (B, inputs)."""
        h = torch.tanh(self.hidden(x))
        return Independent(Normal(self.mean(h), self.log_scale(h).exp() + self.min_scale), 1)


class Model(nn.Module):
    """Encoder, decoder and anchor."""

    def __init__(self, settings: Settings, x_dim: int) -> None:
        super().__init__()
        mid_dim, z_dim, min_scale = settings.mid_dim, settings.z_dim, settings.min_scale
        self.encoder = GaussianNet(x_dim, mid_dim, z_dim, min_scale)
        self.decoder = GaussianNet(z_dim, mid_dim, x_dim, min_scale)
        self.anchor = Independent(Normal(torch.zeros(z_dim), torch.ones(z_dim)), 1)


def vae_loss(model: Model, x: Tensor, beta: float) -> Tensor:
    """Returns the VAE's loss of a minibatch."""
    q = model.encoder(x)
    z = q.rsample()
    kl = q.log_prob(z) - model.anchor.log_prob(z)
    return (beta * kl - model.decoder(z).log_prob(x)).mean()


def mim_losses(model: Model, x: Tensor, beta: float, decoder_samples: bool) -> list[Tensor]:
    """Returns MIM's loss of a minibatch, on encoder samples and, if wanted, decoder samples."""
    z = model.encoder(x).rsample()
    log_p = model.decoder(z).log_prob(x) + model.anchor.log_prob(z)
    losses = [-0.5 * (1 + beta) * log_p.mean()]  # log q(z|x) cancels in log q(z|x) + log q(x)
    if decoder_samples:
        z = model.anchor.sample((len(x),))
        p = model.decoder(z)
        x = p.rsample()
        log_p_x = p.log_prob(x)
        log_q = model.encoder(x).log_prob(z) + log_p_x
        losses.append(-0.5 * (log_p_x + model.anchor.log_prob(z) + beta * log_q).mean())
    return losses


def losses_of(
    settings: Settings, model: Model, x: Tensor, beta: float, decoder_samples: bool
) -> list[Tensor]:
    """Returns the losses to add, one per direction."""
    if settings.model == "vae":
        return [vae_loss(model, x, beta)]
    return mim_losses(model, x, beta, decoder_samples)


def train(settings: Settings, data: DataSet) -> tuple[Model, dict[str, float]]:
    """Trains one run to its end; returns the best model, and where it ended."""
    torch.manual_seed(settings.seed)
    model = Model(settings, data.dims)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.lr)
    best_loss, best_epoch, best_state = math.inf, 0, copy.deepcopy(model.state_dict())
    w = settings.warmup
    for epoch in range(1, settings.epochs + 1):
        beta = min(1.0, epoch / w)
        rate = settings.lr * (epoch / w if epoch <= w else math.sqrt(w / epoch))
        for group in optimiser.param_groups:
            group["lr"] = rate
        for x in minibatches(settings, data, "train", epoch):
            optimiser.zero_grad()
            loss = sum(losses_of(settings, model, x, beta, beta >= 1), start=torch.zeros(()))
            loss.backward()
            optimiser.step()
        test_loss = tested(settings, model, data, epoch)
        if epoch >= w and test_loss < best_loss:
            best_loss, best_epoch = test_loss, epoch
            best_state = copy.deepcopy(model.state_dict())
        if best_epoch and epoch - best_epoch > w:
            break
    if best_epoch:
        model.load_state_dict(best_state)
    else:
        best_epoch, best_loss = epoch, test_loss
    return model, {"best_epoch": best_epoch, "best_loss": best_loss, "epochs_run": epoch}


def minibatches(settings: Settings, data: DataSet, split: Split, epoch: int) -> list[Tensor]:
    """Returns an epoch's minibatches, the incomplete one dropped."""
    items, _ = data.draw(split, settings.seed, epoch)
    return [x for x in items.split(settings.batch_size) if len(x) == settings.batch_size]


@torch.no_grad()
def tested(settings: Settings, model: Model, data: DataSet, epoch: int) -> float:
    """Returns the test loss, β = 1 and the mean of the directions."""
    losses = []
    for x in minibatches(settings, data, "test", epoch):
        parts = losses_of(settings, model, x, 1.0, True)
        losses.append(torch.stack(parts).mean())
    return float(torch.stack(losses).mean())


@torch.no_grad()
def evaluated(settings: Settings, model: Model, data: DataSet) -> dict[str, float]:
    """Returns the four published metrics on the final test set."""
    from mimsweep.models.measures.knn import knn_accuracy
    from mimsweep.models.measures.ksg import ksg_mutual_information

    (x, labels), (train_x, train_labels) = (
        data.draw(split, settings.seed, 0) for split in ("final", "knn")
    )
    q = model.encoder(x)
    z, z2 = q.sample(), q.sample()
    log_q_x = model.decoder(z2).log_prob(x) + model.anchor.log_prob(z2) - q.log_prob(z2)
    train_z = model.encoder(train_x).sample()
    accuracy = knn_accuracy(train_z.numpy(), train_labels.numpy(), z.numpy(), labels.numpy())
    return {
        "mi": ksg_mutual_information(x.numpy(), z.numpy()),
        "nll": -float(log_q_x.mean()),
        "rmse": float((x - model.decoder(z).sample()).norm(dim=1).mean()),
        "knn5": accuracy[5],
    }


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default=Settings.dataset)
    parser.add_argument("--model", choices=("mim", "vae"), default=Settings.model)
    for name in ("z_dim", "mid_dim", "seed", "warmup", "epochs"):
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=getattr(Settings, name)
        )
    settings = Settings(**vars(parser.parse_args()))
    torch.set_num_threads(1)
    data = load(settings.dataset, Path("data"))
    start = time.process_time()
    model, end = train(settings, data)
    seconds = time.process_time() - start
    print(json.dumps({**end, **evaluated(settings, model, data), "training_seconds": seconds}))


if __name__ == "__main__":
    main()
