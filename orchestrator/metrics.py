"""The names of all metrics of a run, as they are stored, tabled and plotted.

What each one means, and where it means nothing and isn't stored, is told by docs/measures.md; all
in nats where they are log-densities or entropies.
"""

FINAL_METRICS = (
    "mi",  # I(x; z), KSG estimate
    "mi_ceiling",  # the most that it can be
    "mi_lower",  # lower bound of I(x; z)
    "mi_upper",  # upper bound of I(x; z)
    "mi_lower_ceiling",  # the most that the lower bound can be, log N
    "retrieval",  # share of z whose likeliest x is their own
    "active_units",  # latent dimensions in use
    "rate",  # mean KL(q(z|x) || p(z))
    "distortion",  # -mean log p(x|z)
    "nll",  # -mean log q(x)
    "nll_untrained",  # the same of a learned q(x) that nothing in the loss depends on
    "rmse",  # mean ||x - x_hat||
    "knn1",  # accuracy of the label from z by the nearest neighbour
    "knn3",
    "knn5",  # the published one
    "knn10",
    "mi_bound",  # mean log q(z|x) - log p(z)
    "h_z",  # -mean log p(z)
    "h_encoder",  # joint entropy of q(z|x) q(x)
    "h_decoder",  # joint entropy of p(x|z) p(z)
    "h_joint",  # mean of the two
    "h_mixture",  # entropy of half the one and half the other
    "kl_qp",
    "kl_pq",
    "kl_mean",
    "nll_true_x",  # -mean log P(x), where P(x) is known
    "nll_true_z",  # -mean log P(z)
)
"""Measured once, on the best model and the final test set. Of models of images there are
mi to nll, knn1 to knn10, and `IMAGE_METRICS`."""

IMAGE_METRICS = (
    "log_likelihood",  # mean log p(x) by importance sampling, nll negated
    "elbo",  # its lower bound
    "nmi",  # of k-means clusters of the latents with the labels, divided by the larger entropy
    "from_chardata",  # of Omniglot: 1 from `chardata.mat`, 0 made from the raw images
)
"""What models of images have besides."""

EPOCH_METRICS = ("train_loss", "test_loss", "beta", "lr")
"""Stored after every epoch; the step is the epoch, from 1."""

RUN_METRICS = ("best_epoch", "best_loss", "epochs_run", "seconds")
"""What the training itself came to."""

TABLE_METRICS = FINAL_METRICS + IMAGE_METRICS + RUN_METRICS
"""One number a run, empty where its model has none: the columns of `results`, and what `figures`
can show."""
