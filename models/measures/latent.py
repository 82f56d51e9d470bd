"""What is measured of a trained run, on the final test set (experiments.md section 5).

z and x̂ are sampled, not means. Two latent draws per test point: z1 for MI, x̂, KNN, log q(z|x) and
log p(z); z2, a second pass, for log p(x|z) and log q(x). With one draw the joint entropies of
encoder and decoder would be equal by construction when q(x) is the marginal. Divergences use draws
of their own. All quantities in nats but `rmse` (units of x) and shares.

- mi           I(x; z), KSG estimator 1, k = 5;  mi_ceiling  the most that it can be
- mi_lower, mi_upper, retrieval  bounds of I(x; z), of the same pairs (`models.measures.bounds`)
- nll          −mean log q(x);  nll_true_x  −mean log P(x), where known;  nll_true_z  −mean log P(z)
- nll_untrained  what nll would be, of a q(x) that is as it started, because its loss has no q(x)
- rmse         mean ‖x − x̂‖₂
- knn<k>       accuracy of classifying the label from z by k neighbours in a new training pass,
               where there is more than one class
- active_units, rate  and what is told of each dimension (`models.measures.collapse`)
- distortion   −mean log p(x|z)
- mi_bound     mean log q(z|x) − log p(z)
- h_z          −mean log p(z)
- h_encoder    −mean log q(z|x) q(x);  h_decoder  −mean log p(x|z) p(z);  h_joint their mean
- h_mixture    −mean log(½ p(x,z) + ½ q(x,z)), on encoder samples
- kl_qp, kl_pq KL(q‖p) on encoder samples, KL(p‖q) on samples of p;  kl_mean their mean

q(x) and p(z) are the run's own. What means nothing is left out (docs/measures.md): h_encoder,
h_joint, h_mixture and divergences with an untrained q(x); divergences with a marginal q(x) or p(z),
where one of them is 0 by construction, and of bits, whose samples are probabilities; the rate
against a marginal p(z).
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from mimsweep.models.data.base import Split
from mimsweep.models.densities.mixture import log_mixture_of_two
from mimsweep.models.densities.normal import Normal
from mimsweep.models.layout import Weights, feature_major, padded
from mimsweep.models.losses.base import Noise
from mimsweep.models.measures.bounds import information
from mimsweep.models.measures.collapse import Measured, active_units, profile
from mimsweep.models.measures.knn import knn_accuracy
from mimsweep.models.measures.ksg import MOST_PAIRS, ksg_ceiling, ksg_mutual_information
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.steps.counted import SeedEpoch
from mimsweep.models.steps.sampling import Sampler

AT_ONCE = 8
"""Minibatches that are measured at once."""

MOST_NEIGHBOURS = 100_000
"""Training items among which a test item's neighbours are sought, of a pass in any order."""


@torch.no_grad()
def evaluate(model: LatentModel, weights: Weights, sampler: Sampler, seed: int) -> Measured:
    """Returns all that is measured of one run in the end.

    Args:
        model: its densities.
        weights: of the best epoch, a stack of one run.
        sampler: of its data and noise.
        seed: of the run.
    """
    terms = _test_terms(model, weights, sampler, seed)
    x, z, noise = terms.pop("x"), terms.pop("z"), terms.pop("noise")
    mean = {name: float(values.double().mean()) for name, values in terms.items()}
    used = _used(model, weights, (x, z, noise), mean)
    x, z = x.double(), z.double()
    finite = bool(x.isfinite().all() and z.isfinite().all())
    metrics = {
        "mi": ksg_mutual_information(x, z) if finite else math.nan,
        "mi_ceiling": ksg_ceiling(len(x)),
        "rmse": mean["distance"],
        "distortion": -mean["log_p_xz2"],
        "mi_bound": mean["log_q_zx"] - mean["log_p_z"],
        "h_z": -mean["log_p_z"],
        "h_decoder": -mean["log_p_xz2"] - mean["log_p_z"],
        "nll_true_z": -mean["log_anchor_z"],
    }
    if _is_untrained(model, weights, seed):
        metrics["nll_untrained"] = -mean["log_q_x"]
    else:
        metrics |= _with_q_x(mean, metrics["h_decoder"])
    log_p_x = sampler.data.log_prob(x)
    if log_p_x is not None:
        metrics["nll_true_x"] = -float(log_p_x.mean())
    metrics |= {**used.metrics, **_knn(model, weights, sampler, seed, z)}
    return Measured(metrics, used.profile)


def _is_untrained(model: LatentModel, weights: Weights, seed: int) -> bool:
    """Whether q(x) is learned, but as it started: nothing in the loss depends on it."""
    starts = model.q_x.start(seed) if model.q_x else {}
    same = [torch.equal(weights[name][0].cpu(), start) for name, start in starts.items()]
    return bool(same) and all(same)


def _with_q_x(mean: Mapping[str, float], h_decoder: float) -> dict[str, float]:
    """Returns what says something only with a q(x) that does, by the means of the summands."""
    h_encoder = -mean["log_q_zx"] - mean["log_q_x"]
    metrics = {
        "nll": -mean["log_q_x"],
        "h_encoder": h_encoder,
        "h_joint": (h_encoder + h_decoder) / 2,
        "h_mixture": -mean["log_mixture"],
    }
    if "kl_qp" in mean:
        divergences = {name: mean[name] for name in ("kl_qp", "kl_pq")}
        metrics |= {**divergences, "kl_mean": sum(divergences.values()) / 2}
    return metrics


def _used(
    model: LatentModel,
    weights: Weights,
    drawn: tuple[Tensor, Tensor, Tensor],
    mean: Mapping[str, float],
) -> Measured:
    """Returns how much of x the latents hold, and which dimensions, of the pairs that KSG has.

    Args:
        model: its densities.
        weights: a stack of one run.
        drawn: x (N, D), z (N, Z) and the noise that z came from, (N, ·).
        mean: of the summands over the test set.
    """
    x, z, noise = (values[None, :MOST_PAIRS] for values in drawn)
    q_z_given_x = model.encode(weights, feature_major(x))
    metrics, dimensions = information(q_z_given_x, noise), profile(q_z_given_x, z)
    metrics["active_units"] = active_units(dimensions)
    if model.options.p_z == "anchor" and isinstance(q_z_given_x, Normal):
        metrics["rate"] = sum(dimensions["kl"])
    elif model.options.p_z != "marginal":
        metrics["rate"] = mean["log_q_zx"] - mean["log_p_z"]
    return Measured(metrics, dimensions)


def _test_terms(
    model: LatentModel, weights: Weights, sampler: Sampler, seed: int
) -> dict[str, Tensor]:
    """Returns x (N, D), z1 (N, Z), its noise, and the summands (N,) of means over the test set."""
    names = ("z", "z_marginal", "anchor", "x")
    test = [_terms(model, weights, *batch) for batch in _wide(sampler, "final", (seed, 0), names)]
    terms = _joined(test, sampler.batch_size)
    if "marginal" in (model.options.p_z, model.options.q_x) or model.binary:
        return terms
    fresh = [
        _divergences(model, weights, *batch) for batch in _wide(sampler, "final", (seed, 1), names)
    ]
    return {**terms, **_joined(fresh, sampler.batch_size)}


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
        "noise": noise.z,
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
    if sampler.data.classes == 1:
        return {}
    rows, count = [], 0
    for x, noise in _wide(sampler, "knn", (seed, 0), ("z",)):
        rows.append({"z": model.encode(weights, x).sample(noise.z)})
        count += x.shape[1] // padded(sampler.batch_size) * sampler.batch_size
        if count >= MOST_NEIGHBOURS:
            break
    train_z, test_z = _joined(rows, sampler.batch_size)["z"][:MOST_NEIGHBOURS], test_z[:MOST_PAIRS]
    if not (train_z.isfinite().all() and test_z.isfinite().all()):
        return dict.fromkeys(("knn1", "knn3", "knn5", "knn10"), math.nan)
    accuracy = knn_accuracy(
        train_z,
        _labels(sampler, "knn", seed)[: len(train_z)],
        test_z,
        _labels(sampler, "final", seed)[: len(test_z)],
    )
    return {f"knn{k}": share for k, share in accuracy.items()}


def _labels(sampler: Sampler, split: Split, seed: int) -> Tensor:
    return sampler.data.draw(split, seed, 0)[1]
