"""The settings of the field's methods; with their defaults each is what it is a variant of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """The settings of a loss that are not of MIM's study. All but the last are of VAE's.

    Attributes:
        beta_end: β once it is annealed (β-VAE; Higgins et al., ICLR 2017).
        cycles: M, how often β rises from 0 (arXiv 1903.10145); 1 is once and for all.
        free_bits: λ, nats of each latent dimension that cost nothing (arXiv 1606.04934).
        bn_gamma: γ, the spread that batch norm gives to the posterior means (arXiv 2004.12585);
            0 for none.
        mmd: weight of MMD²(q(z), p(z)) (InfoVAE, WAE-MMD; arXiv 1706.02262, 1711.01558).
        importance_samples: K of the importance-weighted bound (arXiv 1509.00519); 1 is the ELBO.
        temperature: τ of cMIM's contrast of latents (arXiv 2502.19642).
    """

    beta_end: float = 1.0
    cycles: int = 1
    free_bits: float = 0.0
    bn_gamma: float = 0.0
    mmd: float = 0.0
    importance_samples: int = 1
    temperature: float = 0.1


PLAIN = Method()
