"""What is measured of a trained image model, on the test set (experiments.md section 6).

- log_likelihood  mean log p(x), by S importance samples: logsumexp log w − log S, in nats, where
                  log w = log p(x, z) − log q(z|x), z ~ q(z|x) (arXiv 1509.00519)
- nll             its negative
- elbo            mean log w of the same samples, so not above log_likelihood, in nats
- knn<k>          accuracy of classifying the label from (z1, z2) by k neighbours among the latents
                  of a new pass over the training images
- nmi             mutual information of clusters of (z1, z2), k-means with as many as there are
                  labels and ten starts, with the labels, normalised by the larger entropy
- mi              I(x; z), KSG estimator 1, k = 5, on the first 3,000 images, in nats; any two
                  images of bits that differ are 1 apart in max-norm, so it is 0 wherever the
                  neighbours in z are all further than that; mi_ceiling  the most that it can be
- and what `models.measures.two_level` says

Latents are sampled, not means.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mimsweep.models.data.binarised import ImageSet
from mimsweep.models.losses.hvae import encoded
from mimsweep.models.measures.collapse import Measured
from mimsweep.models.measures.knn import knn_accuracy
from mimsweep.models.measures.ksg import ksg_ceiling, ksg_mutual_information
from mimsweep.models.measures.two_level import AT_ONCE, batches, latents_used, noise_of_z
from mimsweep.models.nets.hvae import TwoLevel
from mimsweep.models.streams import generator

MI_ITEMS = 3_000


@torch.no_grad()
def measure(net: TwoLevel, data: ImageSet, seed: int, samples: int) -> Measured:
    """Returns all that is measured of a run in the end.

    Args:
        net: the model at its best weights; it's put into evaluation mode.
        data: its data set.
        seed: of the run.
        samples: S, importance samples of each image.
    """
    net.eval()
    used = latents_used(net, data.test, seed)
    metrics = {
        **likelihood(net, data.test, seed, samples),
        **used.metrics,
        "mi_ceiling": ksg_ceiling(min(len(data.test), MI_ITEMS)),
        **_of_latents(net, data, seed),
    }
    return Measured(metrics, used.profile)


def _of_latents(net: TwoLevel, data: ImageSet, seed: int) -> dict[str, float]:
    """Returns what the samples of z tell; of a run whose latents are no numbers, nothing."""
    train, train_labels = data.epoch(seed, 0)
    z, train_z = latents(net, data.test, "test", seed), latents(net, train, "train", seed)
    if not (np.isfinite(z).all() and np.isfinite(train_z).all()):
        return dict.fromkeys(("mi", "nmi", "knn1", "knn3", "knn5", "knn10"), math.nan)
    labels = data.test_labels.numpy()
    accuracy = knn_accuracy(train_z, train_labels.numpy(), z, labels)
    return {
        "mi": ksg_mutual_information(data.test[:MI_ITEMS].numpy(), z[:MI_ITEMS]),
        "nmi": cluster_information(z, labels, seed),
        **{f"knn{k}": share for k, share in accuracy.items()},
    }


def likelihood(net: TwoLevel, x: Tensor, seed: int, samples: int) -> dict[str, float]:
    """Returns log_likelihood, nll and elbo of images.

    Args:
        net: the model.
        x: bits with shape (N, 784).
        seed: of the run.
        samples: S.
    """
    log_p_x, elbo = log_likelihood(net, x, seed, samples)
    mean = float(log_p_x.double().mean())
    return {"log_likelihood": mean, "nll": -mean, "elbo": float(elbo.double().mean())}


def log_likelihood(net: TwoLevel, x: Tensor, seed: int, samples: int) -> tuple[Tensor, Tensor]:
    """Returns log p(x) by importance sampling, and the ELBO, of images, each with shape (N,).

    Arguments are those of `likelihood`.
    """
    prior = net.prior()
    device = next(net.parameters()).device

    def log_weights(rows: slice, noise: Tensor) -> Tensor:
        z2, z1 = noise.to(device).transpose(0, 1).chunk(2, dim=-1)
        return encoded(net, prior, x[rows].to(device).float(), z2, z1).log_weight().T

    def draw(row: int) -> Tensor:
        source = generator("likelihood", seed, row)
        return torch.randn(samples, 2 * net.z_dim, generator=source)

    return importance_sampled(log_weights, draw, len(x), AT_ONCE[device.type])


def importance_sampled(
    log_weights: Callable[[slice, Tensor], Tensor],
    draw: Callable[[int], Tensor],
    count: int,
    at_once: int,
) -> tuple[Tensor, Tensor]:
    """Returns log p(x) by importance sampling, and the ELBO, of each item, with shape (N,).

    Args:
        log_weights: returns log p(x, z) − log q(z|x) with shape (n, s), of the items in a slice,
            and of noise of z with shape (n, s, ·).
        draw: returns the noise of an item's samples, with shape (S, ·).
        count: N.
        at_once: so many samples are weighed at once; more only where S·n can't be cut so.
    """
    log_p_x, elbo, start = [], [], 0
    while start < count:
        first = draw(start)
        items = min(max(1, at_once // len(first)), count - start)
        rows = slice(start, start + items)
        noise = torch.stack([first, *(draw(row) for row in range(start + 1, rows.stop))])
        parts = [log_weights(rows, part) for part in noise.split(at_once, dim=1)]
        log_w = torch.cat(parts, dim=1)
        log_p_x.append(log_w.logsumexp(1) - math.log(log_w.shape[1]))
        elbo.append(log_w.mean(1))
        start = rows.stop
    return torch.cat(log_p_x), torch.cat(elbo)


@torch.no_grad()
def latents(net: TwoLevel, x: Tensor, split: str, seed: int) -> np.ndarray:
    """Returns (z1, z2) ~ q(z|x), with shape (N, 2Z), float32.

    Args:
        net: the model.
        x: bits with shape (N, 784).
        split: whose images they are; each has noise of its own.
        seed: of the run.
    """
    parts = []
    noise = noise_of_z(len(x), net.z_dim, split, seed)
    for images, noise_z2, noise_z1 in batches(net, x, *noise):
        z2 = net.q_z2(images).sample(noise_z2)
        z1 = net.q_z1(net.features(images), z2).sample(noise_z1)
        parts.append(torch.cat([z1, z2], dim=1).cpu())
    return torch.cat(parts).numpy()


def cluster_information(z: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Returns the normalised mutual information of k-means clusters of z with the labels.

    Args:
        z: with shape (N, D).
        labels: with shape (N,).
        seed: of k-means' ten starts.
    """
    # These take a third of a second, for which the start of a worker needn't wait.
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    clusters = KMeans(len(np.unique(labels)), n_init=10, random_state=seed).fit_predict(z)
    return float(normalized_mutual_info_score(labels, clusters, average_method="max"))
