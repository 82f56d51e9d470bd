"""The losses, one function each, of a stack of runs (arXiv 1910.03175; experiments.md section 3).

With joint densities p(x, z) = p(x|z) p(z) and q(x, z) = q(z|x) q(x):

- VAE    −log p(x|z) + β (log q(z|x) − log p(z)),                      x ~ data, z ~ q(z|x)
- A-MIM  −½ [log p(x|z) + log p(z) + β (log q(z|x) + log q(x))],        x ~ data, z ~ q(z|x)
- MIM    the same, plus the same expression on                          z ~ P(z), x ~ p(x|z)
- AE     −log p(x|z)

One sample each, reparameterised. On encoder samples q(x) is by default the marginal
log q(x) = log p(x|z) + log p(z) − log q(z|x), in which log q(z|x) cancels, so that A-MIM is
−½ (1 + β) (log p(x|z) + log p(z)). Other p(z) and q(x): `models.latent.Options`. Bits drawn from a
decoder have no gradient: they get a score-function term instead.

With `inv_h` (the "entropy prior", inverted): the VAE adds −(log q(z|x) + log q(x)); MIM and A-MIM
add β·log(½ p(x,z) + ½ q(x,z)), always with log q(x) := log p(x|z).
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from models import registry
from models.distributions import log_mixture_of_two
from models.latent import LatentModel
from models.nn import Weights
from models.optim import annealed_beta


@dataclass(frozen=True)
class Noise:
    """Standard Gaussian noise of a minibatch; what a loss doesn't use is None.

    Of S minibatches at once the shapes have a leading S. What is drawn from a mixture has one
    feature more, uniform in [0, 1), that chooses the component.

    Attributes:
        z: of z ~ q(z|x), with shape (R, B, Z).
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
class Loss:
    """A loss per item, in nats, on samples of the two directions.

    Attributes:
        encoder: on x ~ data, z ~ q(z|x), with shape (R, B).
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
        loss: key of `LOSSES`, or the name of a user's.
        model: its networks and densities.
        inv_h: whether the inverted entropy prior is added.
        q_x_samples: log q(x) on decoder samples if q(x) is the marginal: "conditional",
            log p(x|z) at the same z, or "marginal", at a fresh z' ~ q(z'|x).
        pairs: whether a training item is a pair, the encoder's input and the target.
    """

    loss: str
    model: LatentModel
    inv_h: bool = False
    q_x_samples: str = "conditional"
    pairs: bool = False

    def __call__(self, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
        """Returns the loss of a minibatch; arguments as for `vae`."""
        return loss_function(self.loss)(self, weights, x, noise, beta)

    def beta(self, warmup: int, epoch: int) -> float:
        """Returns β of a training epoch (from 1); an auto-encoder has none."""
        return 0.0 if self.loss == "ae" else annealed_beta(warmup, epoch)

    def noise_names(self, decoder_samples: bool) -> tuple[str, ...]:
        """Returns the fields of `Noise` that the loss needs, with or without decoder samples."""
        added = registry.LOSSES.get(self.loss)
        wanted = added.decoder_samples if added else self.loss == "mim"
        if not (wanted and decoder_samples):
            return ("z",)
        fresh = self.q_x_samples == "marginal" and self.model.options.q_x == "marginal"
        marginal = ("z_marginal",) if fresh else ()
        return ("z", "anchor", "x", *marginal)


def vae(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns the VAE's loss, −ELBO at β = 1.

    Args:
        objective: what is minimised.
        weights: of the stack.
        x: with shape (R, B, D); or (R, B, 2D) of pairs, input of the encoder and target.
        noise: of the minibatch.
        beta: β, with shape (R, 1).
    """
    model = objective.model
    source, target = _pair(x, model.x_dim)
    q_z_given_x = model.encode(weights, source)
    z = q_z_given_x.sample(noise.z)
    log_p_x_given_z = model.decode(weights, z).log_prob(target)
    log_q_z_given_x = q_z_given_x.log_prob_of_sample(noise.z)
    log_p_z = model.log_p_z(weights, z, log_q_z_given_x)
    loss = -log_p_x_given_z + beta * (log_q_z_given_x - log_p_z)
    if objective.inv_h and model.options.q_x == "marginal":
        loss = loss - (log_p_x_given_z + log_p_z)  # log q(z|x) cancels
    elif objective.inv_h:
        loss = loss - (log_q_z_given_x + model.log_density_q_x(weights, target))
    return Loss(loss)


def ae(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns the auto-encoder's loss, −log p(x|z); arguments as for `vae`, β unused."""
    source, target = _pair(x, objective.model.x_dim)
    z = objective.model.encode(weights, source).sample(noise.z)
    return Loss(-objective.model.decode(weights, z).log_prob(target))


def amim(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns the loss of asymmetric MIM, on encoder samples alone; arguments as for `vae`."""
    model = objective.model
    source, target = _pair(x, model.x_dim)
    q_z_given_x = model.encode(weights, source)
    z = q_z_given_x.sample(noise.z)
    log_p_x_given_z = model.decode(weights, z).log_prob(target)
    log_q_z_given_x = q_z_given_x.log_prob_of_sample(noise.z)
    log_p_xz = log_p_x_given_z + model.log_p_z(weights, z, log_q_z_given_x)
    if model.options.q_x == "marginal":
        loss = -0.5 * (1 + beta) * log_p_xz
    else:
        log_q_x = model.log_density_q_x(weights, target)
        loss = -0.5 * (log_p_xz + beta * (log_q_z_given_x + log_q_x))
    if objective.inv_h:
        log_q_xz = log_q_z_given_x + log_p_x_given_z
        loss = loss + beta * log_mixture_of_two(log_p_xz, log_q_xz)
    return Loss(loss)


def mim(objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor) -> Loss:
    """Returns MIM's loss; arguments as for `vae`.

    The decoder's direction is computed when `noise` has its part: during warm-up it is off.
    """
    loss = amim(objective, weights, x, noise, beta)
    if noise.anchor is None:
        return loss
    return Loss(loss.encoder, _decoder_direction(objective, weights, noise, beta))


def _decoder_direction(
    objective: Objective, weights: Weights, noise: Noise, beta: Tensor
) -> Tensor:
    model = objective.model
    assert noise.anchor is not None
    assert noise.x is not None
    z = model.sample_anchor(weights, noise.anchor)
    p_x_given_z = model.decode(weights, z)
    x = p_x_given_z.sample(noise.x)
    if model.binary:
        x = x.detach()
        log_p_x_given_z = p_x_given_z.log_prob(x)
    else:
        log_p_x_given_z = p_x_given_z.log_prob_of_sample(noise.x)
    log_q_z_given_x = model.encode(weights, x).log_prob(z)
    log_q_x = _log_q_x_of_sample(objective, weights, x, noise, log_p_x_given_z)
    # A marginal p(z) is q(z|x) re-weighted: the z at which p(x, z) = q(x, z).
    marginal = log_q_z_given_x + log_q_x - log_p_x_given_z
    log_p_xz = log_p_x_given_z + model.log_p_z(weights, z, marginal)
    loss = -0.5 * (log_p_xz + beta * (log_q_z_given_x + log_q_x))
    if objective.inv_h:
        loss = loss + beta * log_mixture_of_two(log_p_xz, log_q_z_given_x + log_p_x_given_z)
    return with_score(loss, log_p_x_given_z) if model.binary else loss


def _log_q_x_of_sample(
    objective: Objective, weights: Weights, x: Tensor, noise: Noise, log_p_x_given_z: Tensor
) -> Tensor:
    """Returns log q(x) of x ~ p(x|z), with shape (R, B)."""
    model = objective.model
    if model.options.q_x != "marginal":
        return model.log_density_q_x(weights, x)
    if objective.q_x_samples == "conditional":
        return log_p_x_given_z
    assert noise.z_marginal is not None
    return model.log_q_x(weights, x, noise.z_marginal)


def with_score(loss: Tensor, log_p_x_given_z: Tensor) -> Tensor:
    """Returns a loss on samples x that have no gradient, with that of drawing them (REINFORCE).

    Added is loss·log p(x|z), the loss constant, less its own value: 0, with the gradient
    loss·∇log p(x|z). Both with shape (R, B).
    """
    weight = loss.detach()
    return loss + (weight * log_p_x_given_z - (weight * log_p_x_given_z).detach())


def _pair(x: Tensor, dims: int) -> tuple[Tensor, Tensor]:
    """Returns the encoder's input and the target: both halves of a pair, or x twice."""
    return x[..., :dims], x[..., -dims:]


LossFunction = Callable[[Objective, Weights, Tensor, Noise, Tensor], Loss]
LOSSES: dict[str, LossFunction] = {"mim": mim, "amim": amim, "vae": vae, "ae": ae}


def loss_function(name: str) -> LossFunction:
    """Returns the loss called `name`, ours or a user's."""
    return LOSSES[name] if name in LOSSES else registry.LOSSES[name].function
