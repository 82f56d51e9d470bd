"""What a loss is, and what it is given (arXiv 1910.03175; experiments.md section 3).

A loss is of a stack of runs, in terms of the joint densities p(x, z) = p(x|z) p(z) and
q(x, z) = q(z|x) q(x), by one sample each, reparameterised. On encoder samples q(x) is by default
the marginal log q(x) = log p(x|z) + log p(z) − log q(z|x). Other p(z) and q(x):
`models.nets.latent.Options`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from mimsweep.models import registry
from mimsweep.models.layout import Weights
from mimsweep.models.losses.annealing import annealed_beta, settled
from mimsweep.models.losses.method import PLAIN, Method
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.parts import Shape, Value


@dataclass(frozen=True)
class Noise:
    """Standard Gaussian noise of a minibatch; what a loss doesn't use is None.

    Of S minibatches at once the shapes have a leading S. What is drawn from a mixture has one
    feature more, uniform in [0, 1), that chooses the component.

    Attributes:
        z: of z ~ q(z|x), with shape (R, B, Z); of K samples of IWAE (R, K, B, Z).
        anchor: z ~ P(z) itself, with shape (R, B, Z); noise of it where P(z) is learned.
        x: of x ~ p(x|z), with shape (R, B, D).
        z_marginal: of the fresh z' ~ q(z'|x) in log q(x), with shape (R, B, Z).
    """

    z: Tensor
    anchor: Tensor | None = None
    x: Tensor | None = None
    z_marginal: Tensor | None = None

    def minibatch(self, index: int) -> "Noise":
        """Returns the noise of one of S minibatches."""
        parts = (self.z, self.anchor, self.x, self.z_marginal)
        return Noise(*(None if part is None else part[index] for part in parts))  # type: ignore[arg-type]


@dataclass(frozen=True)
class UsersNoise(Noise):
    """Noise of a minibatch for a loss that asks for it by name: a user's, or IWAE.

    Attributes:
        own: what it has asked for, its z too, by name, with shape (R, B, F) or, of K samples,
            (R, K, B, F).
    """

    own: Mapping[str, Tensor] = field(default_factory=dict)

    def minibatch(self, index: int) -> "UsersNoise":
        """Returns the noise of one of S minibatches."""
        own = {name: part[index] for name, part in self.own.items()}
        ours = super().minibatch(index)
        return UsersNoise(ours.z, ours.anchor, ours.x, ours.z_marginal, own)


class OwnNoise(NamedTuple):
    """What an item gets of a noise that a user's loss asks for.

    Attributes:
        normals: F, how many standard normals.
        choice: whether a number uniform in [0, 1) comes after them.
        samples: K, each of which gets so many, on an axis of their own; 0 for one without.
    """

    normals: int
    choice: bool
    samples: int


@dataclass(frozen=True)
class Loss:
    """A loss per item, in nats, on samples of the two directions.

    Attributes:
        encoder: on x ~ data, z ~ q(z|x), with shape (R, B); (R, 1) of a user's loss that has one
            number for the minibatch.
        decoder: on z ~ P(z), x ~ p(x|z), with shape (R, B); None when that direction is off.
    """

    encoder: Tensor
    decoder: Tensor | None = None

    def objective(self, items: int) -> Tensor:
        """Returns what is minimised, with shape (R,): the directions' means over B, added."""
        loss = self.encoder[:, :items].mean(-1)
        return loss if self.decoder is None else loss + self.decoder[:, :items].mean(-1)

    def reported(self, objective: Tensor) -> Tensor:
        """Returns what is reported of `objective`, with shape (R,): the directions' mean."""
        return objective if self.decoder is None else 0.5 * objective


@dataclass(frozen=True)
class Objective:
    """What a run minimises, apart from β.

    Attributes:
        loss: its name, a value of `model`.
        function: the loss.
        model: its networks and densities.
        inv_h: whether the inverted entropy prior is added.
        q_x_samples: log q(x) on decoder samples if q(x) is the marginal: "conditional",
            log p(x|z) at the same z, or "marginal", at a fresh z' ~ q(z'|x).
        pairs: whether a training item is a pair, the encoder's input and the target.
        declared: values of the fields that the run's parts declare, if they are a user's, by name.
        items: B of a minibatch, for a loss that must leave its padding out.
        method: settings of the field's methods.
    """

    loss: str
    function: "LossFunction"
    model: LatentModel
    inv_h: bool = False
    q_x_samples: str = "conditional"
    pairs: bool = False
    declared: Mapping[str, Value] = field(default_factory=dict)
    items: int = 0
    method: Method = PLAIN

    def __call__(self, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
        """Returns the loss of a minibatch; arguments as for `vae`."""
        return self.function(self, weights, x, noise, beta)

    def beta(self, warmup: int, epoch: int) -> float:
        """Returns β of a training epoch (from 1); an auto-encoder has none."""
        if self.loss == "ae":
            return 0.0
        return self.beta_end * annealed_beta(warmup, epoch, self.method.cycles)

    @property
    def beta_end(self) -> float:
        """β at its end, at which runs are tested."""
        return self.method.beta_end

    def settled(self, warmup: int) -> int:
        """Returns the epoch from which β stays: only from there on can an epoch be the best."""
        return settled(warmup, self.method.cycles)

    def noise_names(self, decoder_samples: bool) -> tuple[str, ...]:
        """Returns the fields of `Noise` that the loss needs, with or without decoder samples."""
        if added := registry.LOSSES.get(self.loss):  # its z is among what it has asked for
            return ("anchor", "x") if added.decoder_samples and decoder_samples else ()
        if self.method.importance_samples > 1:  # its z is in `own_noise`
            return ()
        if self.method.mmd:
            return ("z", "anchor")
        if not (self.loss == "mim" and decoder_samples):
            return ("z",)
        fresh = self.q_x_samples == "marginal" and self.model.options.q_x == "marginal"
        marginal = ("z_marginal",) if fresh else ()
        return ("z", "anchor", "x", *marginal)

    @property
    def own_noise(self) -> dict[str, OwnNoise]:
        """What a user's loss has asked for, by name; and IWAE, of K samples."""
        added, samples = registry.LOSSES.get(self.loss), self.method.importance_samples
        shapes: dict[str, Shape] = {"z": "q_z", **added.noise} if added else {}
        shapes |= {"z": (samples, "q_z")} if samples > 1 else {}
        return {name: self._resolved(shape) for name, shape in shapes.items()}

    def _resolved(self, shape: Shape) -> OwnNoise:
        samples, size = shape if isinstance(shape, tuple) else (0, shape)
        if isinstance(size, int):
            return OwnNoise(size, False, samples)
        normals = self.model.x_dim if size in ("x_dim", "p_x") else self.model.z_dim
        sampled = {"q_z": "z", "p_z": "anchor", "p_x": "x"}.get(size)
        return OwnNoise(normals, sampled in self.model.choices, samples)


def pair(x: Tensor, dims: int) -> tuple[Tensor, Tensor]:
    """Returns the encoder's input and the target: both halves of a pair, or x twice."""
    return x[..., :dims], x[..., -dims:]


LossFunction = Callable[[Objective, Weights, Tensor, Noise, Tensor], Loss]
