"""What is measured of a trained run, on the final test set (experiments.md section 5).

z and x̂ are sampled, not means. Two latent draws per test point: z1 for MI, x̂, KNN, log q(z|x) and
log p(z); z2, a second pass, for log p(x|z) and log q(x). With one draw the joint entropies of
encoder and decoder would be equal by construction when q(x) is the marginal. Divergences use draws
of their own. All quantities in nats but `rmse` (units of x) and accuracies (shares).

- mi           I(x; z), KSG estimator 1, k = 5;  mi_error its error scale N^−½ + N^(−1/(D+Z))
- nll          −mean log q(x);  nll_true_x  −mean log P(x), where known;  nll_true_z  −mean log P(z)
- rmse         mean ‖x − x̂‖₂
- knn<k>       accuracy of classifying the label from z by k neighbours in a new training pass
- mi_bound     mean log q(z|x) − log p(z)
- h_z          −mean log p(z)
- h_encoder    −mean log q(z|x) q(x);  h_decoder  −mean log p(x|z) p(z);  h_joint their mean
- h_mixture    −mean log(½ p(x,z) + ½ q(x,z)), on encoder samples
- kl_qp, kl_pq KL(q‖p) on encoder samples, KL(p‖q) on samples of p;  kl_mean their mean

q(x) and p(z) are the run's own. A marginal p(z) is what makes p(x, z) = q(x, z) on samples of p:
KL(p‖q) is then 0 by construction.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from mimsweep.models.data.base import Split
from mimsweep.models.densities.mixture import log_mixture_of_two
from mimsweep.models.layout import Weights, padded
from mimsweep.models.losses.base import Noise
from mimsweep.models.measures.knn import knn_accuracy
from mimsweep.models.measures.ksg import ksg_mutual_information
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.steps.sampling import Sampler, SeedEpoch

AT_ONCE = 8
"""Minibatches that are measured at once."""


@torch.no_grad()
def evaluate(model: LatentModel, weights: Weights, sampler: Sampler, seed: int) -> dict[str, float]:
    """Returns all final metrics of one run.

    Args:
        model: its densities.
        weights: of the best epoch, a stack of one run.
        sampler: of its data and noise.
        seed: of the run.
    """
    terms = _test_terms(model, weights, sampler, seed)
    x, z = terms.pop("x").double(), terms.pop("z").double()
    mean = {name: float(values.double().mean()) for name, values in terms.items()}
    finite = bool(x.isfinite().all() and z.isfinite().all())
    points, dims = len(x), x.shape[1] + z.shape[1]
    h_encoder = -mean["log_q_zx"] - mean["log_q_x"]
    h_decoder = -mean["log_p_xz2"] - mean["log_p_z"]
    metrics = {
        "mi": ksg_mutual_information(x.cpu().numpy(), z.cpu().numpy()) if finite else math.nan,
        "mi_error": points**-0.5 + points ** (-1 / dims),
        "nll": -mean["log_q_x"],
        "rmse": mean["distance"],
        "mi_bound": mean["log_q_zx"] - mean["log_p_z"],
        "h_z": -mean["log_p_z"],
        "h_encoder": h_encoder,
        "h_decoder": h_decoder,
        "h_joint": (h_encoder + h_decoder) / 2,
        "h_mixture": -mean["log_mixture"],
        "nll_true_z": -mean["log_anchor_z"],
        "kl_qp": mean["kl_qp"],
        "kl_pq": mean["kl_pq"],
        "kl_mean": (mean["kl_qp"] + mean["kl_pq"]) / 2,
    }
    log_p_x = sampler.data.log_prob(x)
    if log_p_x is not None:
        metrics["nll_true_x"] = -float(log_p_x.mean())
    return {**metrics, **_knn(model, weights, sampler, seed, z)}


def _test_terms(
    model: LatentModel, weights: Weights, sampler: Sampler, seed: int
) -> dict[str, Tensor]:
    """Returns x (N, D), z1 (N, Z) and the summands (N,) of the means over the test set."""
    names = ("z", "z_marginal", "anchor", "x")
    test = [_terms(model, weights, *batch) for batch in _wide(sampler, "final", (seed, 0), names)]
    fresh = [
        _divergences(model, weights, *batch) for batch in _wide(sampler, "final", (seed, 1), names)
    ]
    return {**_joined(test, sampler.batch_size), **_joined(fresh, sampler.batch_size)}


def _wide(
    sampler: Sampler, split: Split, seed_epoch: SeedEpoch, names: Sequence[str]
) -> Iterator[tuple[Tensor, Noise]]:
    """Yields the items of a run, with shape (1, S·B', ·), S minibatches at once.

    One run's minibatch is too small for what each of torch's operations costs.
    """

    def merged(tensor: Tensor, start: int) -> Tensor:
        return tensor[start : start + AT_ONCE].mT.permute(1, 2, 0, 3).flatten(2).mT

    for batches in sampler.minibatches(split, [seed_epoch], names):
        for start in range(0, len(batches), AT_ONCE):
            fields = {name: merged(getattr(batches.noise, name), start) for name in names}
            yield merged(batches.x, start), Noise(**fields)


def _joined(rows: Sequence[Mapping[str, Tensor]], items: int) -> dict[str, Tensor]:
    """Joins results (1, S·B', …) to (N, …), padding dropped: of B' columns B are items."""

    def kept(tensor: Tensor) -> Tensor:
        return tensor[0].unflatten(0, (-1, padded(items)))[:, :items].flatten(0, 1)

    return {name: torch.cat([kept(row[name]) for row in rows]) for name in rows[0]}


def _terms(model: LatentModel, weights: Weights, x: Tensor, noise: Noise) -> dict[str, Tensor]:
    assert noise.x is not None
    assert noise.z_marginal is not None
    q_z_given_x = model.encode(weights, x)
    z = q_z_given_x.sample(noise.z)
    p_x_given_z = model.decode(weights, z)
    log_q_zx = q_z_given_x.log_prob_of_sample(noise.z)
    log_p_z = model.log_p_z(weights, z, log_q_zx)
    z2 = q_z_given_x.sample(noise.z_marginal)
    log_p_xz2 = model.decode(weights, z2).log_prob(x)
    log_q_z2x = q_z_given_x.log_prob_of_sample(noise.z_marginal)
    log_q_x = model.log_q_x_at(weights, x, z2, log_p_xz2, log_q_z2x)
    return {
        "x": x,
        "z": z,
        "distance": (x - p_x_given_z.sample(noise.x)).norm(dim=-1),
        "log_q_zx": log_q_zx,
        "log_p_z": log_p_z,
        "log_anchor_z": model.log_anchor(weights, z),
        "log_p_xz2": log_p_xz2,
        "log_q_x": log_q_x,
        "log_mixture": log_mixture_of_two(p_x_given_z.log_prob(x) + log_p_z, log_q_zx + log_q_x),
    }


def _divergences(
    model: LatentModel, weights: Weights, x: Tensor, noise: Noise
) -> dict[str, Tensor]:
    assert noise.anchor is not None
    assert noise.x is not None
    assert noise.z_marginal is not None
    q_z_given_x = model.encode(weights, x)
    z = q_z_given_x.sample(noise.z)
    log_q_zx = q_z_given_x.log_prob_of_sample(noise.z)
    kl_qp = (
        log_q_zx
        + model.log_q_x(weights, x, noise.z_marginal, q_z_given_x)
        - model.decode(weights, z).log_prob(x)
        - model.log_p_z(weights, z, log_q_zx)
    )
    z = model.sample_p_z(weights, noise.anchor)
    p_x_given_z = model.decode(weights, z)
    sample = p_x_given_z.sample(noise.x)
    log_p_xz = p_x_given_z.log_prob_of_sample(noise.x)
    q_z_given_sample = model.encode(weights, sample)
    log_q_zx = q_z_given_sample.log_prob(z)
    log_q_x = model.log_q_x(weights, sample, noise.z_marginal, q_z_given_sample)
    log_p_z = model.log_p_z(weights, z, log_q_zx + log_q_x - log_p_xz)
    kl_pq = log_p_xz + log_p_z - log_q_zx - log_q_x
    return {"kl_qp": kl_qp, "kl_pq": kl_pq}


def _knn(
    model: LatentModel, weights: Weights, sampler: Sampler, seed: int, test_z: Tensor
) -> dict[str, float]:
    rows = [
        {"z": model.encode(weights, x).sample(noise.z)}
        for x, noise in _wide(sampler, "knn", (seed, 0), ("z",))
    ]
    train_z = _joined(rows, sampler.batch_size)["z"]
    if not (train_z.isfinite().all() and test_z.isfinite().all()):
        return dict.fromkeys(("knn1", "knn3", "knn5", "knn10"), math.nan)
    accuracy = knn_accuracy(
        train_z.double().cpu().numpy(),
        _labels(sampler, "knn", seed)[: len(train_z)],
        test_z.cpu().numpy(),
        _labels(sampler, "final", seed)[: len(test_z)],
    )
    return {f"knn{k}": share for k, share in accuracy.items()}


def _labels(sampler: Sampler, split: Split, seed: int) -> Tensor:
    return sampler.data.draw(split, seed, 0)[1]
