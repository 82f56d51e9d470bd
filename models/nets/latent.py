"""Encoder q(z|x), decoder p(x|z), prior p(z) and marginal q(x) of latent models, in all options.

Encoder and decoder are perceptrons of one shape (experiments.md section 2): hidden layers, then a
linear layer; or networks of a user's. Their outputs are the mean and the log-scale;
scale = exp(log-scale) + min_scale. With N components these are N means and N log-scales, and N
log-weights. Of binary data the decoder returns logits. What p(z) and q(x) can be is in `Options`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from mimsweep.models import registry
from mimsweep.models.densities.bernoulli import Bernoulli
from mimsweep.models.densities.learned import Bits, Gaussian, LearnedDensity
from mimsweep.models.densities.mixture import Density, Mixture, normalised
from mimsweep.models.densities.normal import Normal, standard_normal_log_prob
from mimsweep.models.densities.users import UsersDensity, users_density
from mimsweep.models.densities.vampprior import StackedVampPrior
from mimsweep.models.layout import Weights
from mimsweep.models.nets.mlp import Mlp
from mimsweep.models.nets.users import Network, Networks, UsersNetwork


@dataclass(frozen=True)
class Options:
    """Which distributions a model is made of.

    Attributes:
        p_z: "anchor", N(0, I); "prior", learned; "gmm-marginal", the VampPrior; or "marginal": on
            encoder samples log p(z) := log q(z|x), on decoder samples
            log q(z|x) + log q(x) − log p(x|z).
        q_x: "marginal", log p(x|z) + log p(z) − log q(z|x) at a z ~ q(z|x); "anchor", the true
            P(x); "prior", learned; "gmm-marginal", a mixture of p(x|u) at learned latents u.
        p_z_gmm: components of p(z); with "prior" 0 for a Gaussian that is no mixture.
        q_x_gmm: likewise of q(x).
        q_zx_gmm: components of q(z|x); 0 for a Gaussian that is no mixture.
        p_xz_gmm: likewise of p(x|z).
        learn_p_z: whether the learned p(z) is also the anchor P(z) that is sampled from.
    """

    p_z: str = "anchor"
    q_x: str = "marginal"
    p_z_gmm: int = 0
    q_x_gmm: int = 0
    q_zx_gmm: int = 0
    p_xz_gmm: int = 0
    learn_p_z: bool = False


@dataclass(frozen=True)
class LatentModel:
    """The networks and densities of one latent-variable model, for a stack of R runs.

    Attributes:
        x_dim: D, dimensions of an observation.
        z_dim: Z, dimensions of the latent.
        mid_dim: H, width of the hidden layers.
        layers: linear layers from input to output, at least 1.
        act: activation of the hidden layers, a key of `models.nets.mlp.ACTIVATIONS`.
        min_scale: smallest σ of q(z|x) and p(x|z), smallest probability of a Bernoulli.
        fixed_encoder_scale: whether q(z|x) has σ = min_scale everywhere (the auto-encoder).
        options: which distributions it is made of.
        binary: whether x is made of probabilities of bits: the decoder is Bernoulli.
        log_p_x: the true log P(x) in nats, of x with shape (R, B, D), for q(x) = "anchor".
        networks: which encoder and decoder; width, layers and activation are of perceptrons.
    """

    x_dim: int
    z_dim: int
    mid_dim: int
    layers: int
    act: str
    min_scale: float
    fixed_encoder_scale: bool = False
    options: Options = Options()
    binary: bool = False
    log_p_x: Callable[[Tensor], Tensor | None] | None = None
    networks: Networks = field(default_factory=Networks)

    @cached_property
    def encoder(self) -> Network:
        """The network of q(z|x): D features to the mean, and the log-scale unless it is fixed."""
        heads = 1 if self.fixed_encoder_scale else 2
        outputs = _outputs(heads * self.z_dim, self.options.q_zx_gmm)
        mlp = Mlp("encoder", self.x_dim, outputs, self.mid_dim, self.layers, self.act)
        return self.networks.instead_of(mlp)

    @cached_property
    def decoder(self) -> Network:
        """The network of p(x|z): Z features to the mean and the log-scale, or to logits."""
        outputs = self.x_dim if self.binary else _outputs(2 * self.x_dim, self.options.p_xz_gmm)
        mlp = Mlp("decoder", self.z_dim, outputs, self.mid_dim, self.layers, self.act)
        return self.networks.instead_of(mlp)

    @property
    def users_networks(self) -> list[UsersNetwork]:
        """The networks that are a user's."""
        return [net for net in (self.encoder, self.decoder) if isinstance(net, UsersNetwork)]

    @property
    def p_z(self) -> LearnedDensity | None:
        """The learned p(z), or None if nothing of it is learned."""
        match self.options.p_z:
            case "prior":
                count = self.options.p_z_gmm
                return Gaussian("p_z", self.z_dim, count, self.min_scale, circles=True)
            case "gmm-marginal":
                return StackedVampPrior("p_z", self.x_dim, self.options.p_z_gmm, self.encode)
        return self._added("p_z", self.options.p_z, self.z_dim, self.options.p_z_gmm)

    @property
    def q_x(self) -> LearnedDensity | None:
        """The learned q(x), or None if nothing of it is learned."""
        match self.options.q_x:
            case "prior" if self.binary:
                return Bits("q_x", self.x_dim, self.min_scale)
            case "prior":
                return Gaussian("q_x", self.x_dim, self.options.q_x_gmm, self.min_scale)
            case "gmm-marginal":
                return StackedVampPrior("q_x", self.z_dim, self.options.q_x_gmm, self.decode)
        return self._added("q_x", self.options.q_x, self.x_dim, self.options.q_x_gmm)

    @property
    def choices(self) -> frozenset[str]:
        """The fields of `losses.base.Noise` that choose a component: one uniform more each."""
        options, names = self.options, set()
        if options.q_zx_gmm:
            names |= {"z", "z_marginal"}
        if options.p_xz_gmm:
            names |= {"x"}
        added = registry.DENSITIES.get(options.p_z)
        if options.p_z_gmm or (added and added.choice):
            names |= {"anchor"}
        return frozenset(names)

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Returns the shapes of one run's weights by name, in the order of its flat row."""
        shapes = {**self.encoder.shapes(), **self.decoder.shapes()}
        for prior in (self.p_z, self.q_x):
            shapes |= prior.shapes() if prior else {}
        return shapes

    def starts(self, seed: int, items: Callable[[], Tensor]) -> dict[str, Tensor]:
        """Returns what one run's weights start at, by name; those of perceptrons are left out.

        Args:
            seed: of the run.
            items: returns training items, with shape (N, >= D), for the VampPrior to start at.
        """
        starts = {**self.encoder.start(seed), **self.decoder.start(seed)}
        p_z, q_x = self.p_z, self.q_x
        if isinstance(p_z, StackedVampPrior):
            starts |= p_z.start(seed, items())
        elif p_z:
            starts |= p_z.start(seed)
        return starts | (q_x.start(seed) if q_x else {})

    def encode(self, weights: Weights, x: Tensor) -> Density:
        """Returns q(z|x), over (R, B, Z), of x with shape (R, B, D)."""
        out, count = self.encoder(weights, x), self.options.q_zx_gmm
        if count:
            return self._mixture(out, count, self.min_scale if self.fixed_encoder_scale else None)
        return Normal(out, self.min_scale) if self.fixed_encoder_scale else self._normal(out)

    def decode(self, weights: Weights, z: Tensor) -> Density:
        """Returns p(x|z), over (R, B, D), of z with shape (R, B, Z)."""
        out, count = self.decoder(weights, z), self.options.p_xz_gmm
        if self.binary:
            return Bernoulli.clamped(out, self.min_scale)
        return self._mixture(out, count) if count else self._normal(out)

    def log_p_z(self, weights: Weights, z: Tensor, marginal: Tensor) -> Tensor:
        """Returns log p(z) in nats, with shape (R, B).

        Args:
            weights: of the stack.
            z: with shape (R, B, Z).
            marginal: what it is if p(z) is the marginal, with shape (R, B).
        """
        if self.options.p_z == "marginal":
            return marginal
        prior = self.p_z
        return prior(weights, z.shape[1]).log_prob(z) if prior else standard_normal_log_prob(z)

    def log_anchor(self, weights: Weights, z: Tensor) -> Tensor:
        """Returns log P(z) in nats, with shape (R, B), of z with shape (R, B, Z)."""
        if self.options.learn_p_z:
            return self.log_p_z(weights, z, z[..., 0])
        return standard_normal_log_prob(z)

    def sample_anchor(self, weights: Weights, noise: Tensor) -> Tensor:
        """Returns z ~ P(z), with shape (R, B, Z), of noise with that shape or, to choose, more."""
        if self.options.learn_p_z:
            return self.sample_p_z(weights, noise).detach()
        return noise[..., : self.z_dim]

    def sample_p_z(self, weights: Weights, noise: Tensor) -> Tensor:
        """Returns z ~ p(z) as `sample_anchor` does; of the marginal p(z), z ~ P(z) instead."""
        prior = self.p_z
        if prior is None:
            return noise[..., : self.z_dim]
        return prior(weights, noise.shape[1]).sample(noise)

    def log_q_x(
        self, weights: Weights, x: Tensor, noise: Tensor, q_z_given_x: Density | None = None
    ) -> Tensor:
        """Returns log q(x) in nats, with shape (R, B).

        The marginal is log p(x|z) + log p(z) − log q(z|x) at one z ~ q(z|x); its mean over z bounds
        it from below (the ELBO).

        Args:
            weights: of the stack.
            x: with shape (R, B, D).
            noise: of that z, with shape (R, B, Z) or, to choose a component, one more.
            q_z_given_x: what `encode` returns for x, from whoever has it already.
        """
        if self.options.q_x != "marginal":
            return self.log_density_q_x(weights, x)
        q_z_given_x = q_z_given_x or self.encode(weights, x)
        z = q_z_given_x.sample(noise)
        log_q_z_given_x = q_z_given_x.log_prob_of_sample(noise)
        log_p_x_given_z = self.decode(weights, z).log_prob(x)
        return self.log_q_x_at(weights, x, z, log_p_x_given_z, log_q_z_given_x)

    def log_q_x_at(
        self,
        weights: Weights,
        x: Tensor,
        z: Tensor,
        log_p_x_given_z: Tensor,
        log_q_z_given_x: Tensor,
    ) -> Tensor:
        """Returns log q(x) as `log_q_x` does, the marginal at z ~ q(z|x) with shape (R, B, Z)."""
        if self.options.q_x != "marginal":
            return self.log_density_q_x(weights, x)
        log_p_xz = log_p_x_given_z + self.log_p_z(weights, z, log_q_z_given_x)
        return log_p_xz - log_q_z_given_x

    def log_density_q_x(self, weights: Weights, x: Tensor) -> Tensor:
        """Returns log q(x) in nats, with shape (R, B), where q(x) is not the marginal."""
        prior = self.q_x
        if prior:
            return prior(weights, x.shape[1]).log_prob(x)
        assert self.log_p_x is not None
        log_p_x = self.log_p_x(x)
        assert log_p_x is not None
        return log_p_x

    def _added(self, prefix: str, name: str, dims: int, components: int) -> UsersDensity | None:
        """Returns a distribution that a user has registered, or None."""
        if name not in registry.DENSITIES:
            return None
        return users_density(name, prefix, dims, components, self.min_scale)

    def _normal(self, out: Tensor) -> Normal:
        mean, log_scale = out.chunk(2, dim=-1)
        return Normal(mean, log_scale.exp() + self.min_scale)

    def _mixture(self, out: Tensor, count: int, scale: float | None = None) -> Mixture:
        """Returns N components of a network's output (R, B, ·); σ is learned if it isn't given."""
        heads, log_weight = out.mT[:, :-count], normalised(out.mT[:, -count:])
        if scale is not None:
            return Mixture(log_weight, Normal(heads.unflatten(1, (count, -1)).mT, scale))
        mean, log_scale = (half.unflatten(1, (count, -1)).mT for half in heads.chunk(2, dim=1))
        return Mixture(log_weight, Normal(mean, log_scale.exp() + self.min_scale))


def _outputs(heads: int, components: int) -> int:
    """Returns a network's outputs: heads of each component, and its log-weight if it has any."""
    return components * (heads + 1) if components else heads
