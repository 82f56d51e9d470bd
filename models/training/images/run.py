"""One run of a two-level image model: its weights and optimiser, an epoch of it, its flat state.

Convolutions are channels last, which is faster on a CPU too. On a GPU layers compute in bfloat16;
densities, weights and moments are float32, as all is on a CPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mimsweep.models.data.binarised import ImageSet
from mimsweep.models.losses.hvae import Kind, TwoLevelNoise, losses
from mimsweep.models.nets.hvae import TwoLevel
from mimsweep.models.training.images.optim import normalised_adam


@dataclass(frozen=True)
class Settings:
    """What a run's training depends on, apart from its data and its first weights.

    Attributes:
        kind: which loss.
        seed: of data and noise.
        lr: learning rate.
        batch_size: B; an epoch's last minibatch may have fewer images.
    """

    kind: Kind
    seed: int
    lr: float
    batch_size: int


class ImageRun:
    """A run in training.

    Attributes:
        net: the model at its present weights.
        best: the weights that the run keeps, flat, with shape (P,).
    """

    def __init__(self, net: TwoLevel, data: ImageSet, settings: Settings, device: str) -> None:
        self.device = torch.device(device)
        self.net = net.to(self.device)
        self.net.to(memory_format=torch.channels_last)
        self._data, self._settings = data, settings
        self._adam = normalised_adam(list(net.parameters()), settings.lr)
        self._validation = data.validation.to(self.device)
        self.best = self.flat()

    def train_epoch(self, epoch: int, beta: float) -> float:
        """Trains an epoch; returns the mean loss in nats.

        Args:
            epoch: from 1.
            beta: β.
        """
        bits, kind = self._data.epoch(self._settings.seed, epoch)[0], self._settings.kind
        bits = bits.to(self.device)
        noise = self._noise("train", epoch, len(bits))
        self.net.train()
        total = torch.zeros((), device=self.device)
        for rows in self._minibatches(len(bits)):
            with self._precision():
                prior = self.net.prior()
                loss = losses(kind, self.net, prior, bits[rows].float(), noise.rows(rows), beta)
            self._adam.zero_grad()
            loss.mean().backward()
            self._adam.step()
            total += loss.detach().sum()
        return float(total) / len(bits)

    @torch.no_grad()
    def validation_loss(self, epoch: int) -> float:
        """Returns the mean loss of the validation images at β = 1, in nats."""
        bits, kind = self._validation, self._settings.kind
        noise = self._noise("validation", epoch, len(bits))
        self.net.eval()
        total = torch.zeros((), device=self.device)
        with self._precision():
            prior = self.net.prior()
            for rows in self._minibatches(len(bits)):
                x = bits[rows].float()
                total += losses(kind, self.net, prior, x, noise.rows(rows), 1.0).sum()
        return float(total) / len(bits)

    def _precision(self) -> torch.autocast:
        """Returns the context in which a GPU's layers compute in bfloat16."""
        return torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda")

    def _noise(self, split: str, epoch: int, count: int) -> TwoLevelNoise:
        name = (self._data.name, split, self._settings.seed, epoch)
        return TwoLevelNoise.draw(count, self.net.z_dim, self.device, *name)

    def _minibatches(self, count: int) -> list[slice]:
        size = self._settings.batch_size
        return [slice(start, start + size) for start in range(0, count, size)]

    def keep_weights(self) -> None:
        """Makes the present weights the best."""
        self.best = self.flat()

    def flat(self) -> Tensor:
        """Returns a copy of the present weights, batch norms' statistics included, shape (P,)."""
        return flattened(self._weights())

    def load_best(self) -> None:
        """Makes the best weights the present ones."""
        load(self._weights(), self.best)

    def tensors(self) -> dict[str, Tensor]:
        """Returns all that a run needs to go on, by name, each with shape (1, P)."""
        flat = {
            "weights": self.flat(),
            "best": self.best,
            "adam.first": flattened(self._adam_state("exp_avg")),
            "adam.second": flattened(self._adam_state("exp_avg_sq")),
        }
        return {name: tensor[None] for name, tensor in flat.items()}

    def put(self, tensors: Mapping[str, Tensor], epochs: int) -> None:
        """Goes on from the tensors, each with shape (P,), of a run that has trained `epochs`."""
        load(self._weights(), tensors["weights"])
        self.best = tensors["best"].to(self.device, copy=True)
        load(self._adam_state("exp_avg"), tensors["adam.first"])
        load(self._adam_state("exp_avg_sq"), tensors["adam.second"])
        for step in self._adam_state("step"):
            step.fill_(epochs * len(self._minibatches(len(self._data.train))))

    def _weights(self) -> list[Tensor]:
        return list(floats(self.net).values())

    def _adam_state(self, name: str) -> list[Tensor]:
        """Returns Adam's own tensors of a name in torch's `state_dict`, one for each weight."""
        return [state[name] for state in self._adam.state_dict()["state"].values()]


def floats(net: TwoLevel) -> dict[str, Tensor]:
    """Returns the model's own tensors of floats, by name.

    What is left out counts the minibatches of batch norms, whose momentum is fixed.
    """
    return {name: t.detach() for name, t in net.state_dict().items() if t.is_floating_point()}


def flattened(tensors: Sequence[Tensor]) -> Tensor:
    """Returns tensors one after the other, copied, with shape (P,)."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def load(into: Sequence[Tensor], flat: Tensor) -> None:
    """Sets tensors from what `flattened` made of their like; they keep their layout in memory."""
    parts = flat.split([tensor.numel() for tensor in into])
    for tensor, values in zip(into, parts, strict=True):
        tensor.copy_(values.view(tensor.shape))
