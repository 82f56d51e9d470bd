"""What a run has learned, for anyone's items: q(z|x), p(x|z), samples of p(x), and log p(x).

log p(x) is estimated by S importance samples (arXiv 1509.00519, equation 8), in nats:

    log 1/S Σ_s p(x|z_s) p(z_s) / q(z_s|x),    z_s ~ q(z|x)

a lower bound in expectation, the ELBO for S = 1, and closer the larger S. It speaks of the decoder
and p(z) alone: of the run's own q(x) it is only what a marginal q(x) stands for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mimsweep.models.data.base import DataSet
from mimsweep.models.densities.mixture import Density
from mimsweep.models.layout import Weights, check_shapes, feature_major
from mimsweep.models.measures.images import importance_sampled
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.streams import normals, uniforms
from mimsweep.models.training.cohort import Cohort

AT_ONCE = 20_000
"""Importance samples that are weighed at once."""


@dataclass(frozen=True)
class Learned:
    """A trained run.

    Attributes:
        model: its densities.
        weights: of the best epoch, a stack of one run.
    """

    model: LatentModel
    weights: Weights

    def encode(self, x: Tensor) -> Density:
        """Returns q(z|x), over (1, N, Z), of x with shape (N, D)."""
        return self.model.encode(self.weights, feature_major(x[None]))

    def decode(self, z: Tensor) -> Density:
        """Returns p(x|z), over (1, N, D), of z with shape (N, Z)."""
        return self.model.decode(self.weights, feature_major(z[None]))

    def noise(self, field: str, *name: str | int, items: int) -> Tensor:
        """Returns noise, with shape (1, N, ·), by which a density is sampled.

        Args:
            field: of `losses.base.Noise`, whose noise it is: "z", "x" or "anchor".
            name: of its stream.
            items: N.
        """
        features = self.model.x_dim if field == "x" else self.model.z_dim
        noise = normals((field, *name), (1, items, features))
        if field not in self.model.choices:
            return noise
        return torch.cat([noise, uniforms((field, "choice", *name), (1, items, 1))], dim=-1)

    def sample(self, count: int, seed: int) -> Tensor:
        """Returns x ~ p(x|z), z ~ p(z), with shape (N, D); of bits their probabilities.

        Where p(z) is the marginal, which nothing can be drawn from, z is drawn from N(0, I), as it
        was in training.

        Args:
            count: N.
            seed: of the noise.
        """
        noise = self.noise("anchor", "samples", seed, items=count)
        z = self.model.sample_p_z(self.weights, feature_major(noise))[0]
        return self.decode(z).sample(self.noise("x", "samples", seed, items=count))[0]

    def log_prob(self, x: Tensor, samples: int, seed: int) -> Tensor:
        """Returns the estimate of log p(x) in nats, with shape (N,).

        Args:
            x: with shape (N, D).
            samples: S; each item has noise of its own.
            seed: of the noise.

        Raises:
            ValueError: p(z) is the marginal, which is no density of z alone.
        """
        if self.model.options.p_z == "marginal":
            raise ValueError("its p(z) is the marginal, no density of z alone: it has no p(x)")

        def log_weights(rows: slice, noise: Tensor) -> Tensor:
            count = noise.shape[1]
            items = feature_major(x[rows].repeat_interleave(count, dim=0)[None])
            noise = feature_major(noise.flatten(0, 1)[None])
            q_z = self.model.encode(self.weights, items)
            z, log_q_z = q_z.sample(noise), q_z.log_prob_of_sample(noise)
            log_p_x_given_z = self.model.decode(self.weights, z).log_prob(items)
            log_weight = log_p_x_given_z + self.model.log_p_z(self.weights, z, log_q_z) - log_q_z
            return log_weight.view(-1, count)

        def draw(row: int) -> Tensor:
            return self.noise("z", "log_prob", seed, row, items=samples)[0]

        return importance_sampled(log_weights, draw, len(x), AT_ONCE)[0]


def learned(cohort: Cohort, data: DataSet, weights: Mapping[str, Tensor]) -> Learned:
    """Returns what a run has learned.

    Args:
        cohort: of that run alone.
        data: its data set.
        weights: its own, by name.

    Raises:
        ValueError: they are not those of such a run.
    """
    model = cohort.objective(data).model
    check_shapes(weights, model.shapes())
    return Learned(model, {name: tensor[None] for name, tensor in weights.items()})
