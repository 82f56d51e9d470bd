"""What each field of a run and each key of a file means, in the words that an editor shows."""

FIELDS = {
    "dataset": "Data set: toy<K> or toy<K>_<D>, a mixture of Gaussians; toy<TEXT>; with capital T "
    "self-supervised; pca-fashion-mnist<k>; mnist; fashion-mnist; file:<PATH> of a .csv, .parquet, "
    ".npz or .npy file; of image models dynamic_mnist, dynamic_fashion_mnist, omniglot.",
    "model": "What is trained: mim, amim (MIM without decoder samples), vae, ae, cmim (contrastive "
    "MIM); two-level image models convhvae_2level and pixelhvae_2level, as VAE or MIM.",
    "seed": "Of initial weights, data and noise.",
    "z_dim": "Latent dimensions; of two-level models, those of z1 and of z2.",
    "mid_dim": "Width of the hidden layers.",
    "layers": "Linear layers of encoder and decoder each.",
    "act": "Function between the layers.",
    "inv_h": "The inverted entropy prior (not with ae and cmim).",
    "min_logvar": "No σ is below 10^-min_logvar.",
    "warmup": "Epochs of β annealing, of rising learning rate and of patience; of image models, of "
    "β alone.",
    "epochs": "At most so many epochs.",
    "batch_size": "Items a step.",
    "lr": "Highest learning rate; of image models it is constant.",
    "p_z": "p(z): anchor, N(0, I); prior, a learned Gaussian or mixture of p_z_gmm; marginal, "
    "q(z|x) re-weighted (mim only); gmm-marginal, the VampPrior of p_z_gmm pseudo-inputs.",
    "q_x": "q(x): marginal; anchor, the true P(x) of a toy; prior, learned; gmm-marginal.",
    "q_x_samples": "MIM's log q(x) on decoder samples.",
    "p_z_gmm": "Components of p(z); 0 for one Gaussian.",
    "q_x_gmm": "Components of q(x); 0 for one Gaussian.",
    "q_zx_gmm": "Components of q(z|x); 0 for one Gaussian.",
    "p_xz_gmm": "Components of p(x|z); 0 for one Gaussian.",
    "learn_p_z": "MIM's decoder samples start at the learned p(z) instead of N(0, I).",
    "prior": "p(z2) of image models: standard, N(0, I), or vampprior.",
    "pseudo_inputs": "Of an image model's VampPrior: how many.",
    "use_training_data_init": "Whether pseudo-inputs start at training images.",
    "patience": "Of image models: epochs without a better validation loss, after the warm-up, that "
    "are let pass.",
    "likelihood_samples": "Of image models: importance samples of an image for its likelihood.",
    "train_items": "Of image models: so many training images; 0 for all.",
    "test_items": "Of image models: so many validation and so many test images; 0 for all.",
    "beta_end": "β-VAE: β rises to this (vae only).",
    "cycles": "Cyclical annealing: so often β rises from 0 (vae only).",
    "free_bits": "Free bits: so many nats of each dimension's divergence cost nothing (vae only).",
    "bn_gamma": "BN-VAE: the spread that batch norm gives posterior means; 0 for none (vae only).",
    "mmd": "InfoVAE: weight of MMD² between q(z) and p(z); with beta_end 0 WAE-MMD (vae only).",
    "importance_samples": "IWAE: samples of z for an importance-weighted bound (vae only).",
    "temperature": "τ of the contrast (cmim only).",
    "test_fraction": "Of a data file: part to test on.",
    "standardise": "Of a data file: whether columns are standardised.",
    "label": "Of a data file: the column of labels; none by default.",
    "bits": "Of a data file: whether its numbers are probabilities of bits.",
    "content": "The hash of what is in a data file. It is found: leave it out.",
    "encoder": "Perceptron (mlp), or a network of your own.",
    "decoder": "Perceptron (mlp), or a network of your own.",
}
"""Of the fields of a run that are ours."""

_OF_ALL = {
    "name": "Also the name of the MLflow experiment: letters, digits, '.', '_' and '-'.",
    "description": "What it is about, for people.",
    "fixed": "Fields that all runs share, one value each.",
}

SWEEP = {
    **_OF_ALL,
    "grid": "Fields that vary, a mapping or a list of mappings, which are joined. A field has a "
    "value, a list, or an inclusive range such as 1..10; runs are all combinations.",
    "figures": "The sweep's curves: a figure a metric, against x, a line for each value of hue.",
    "published": "A CSV of published points, drawn behind ours; relative to this file.",
    "claims": "Sentences on the runs that `mimsweep verify` judges.",
    "snapshots": "Keep each epoch's weights, for an animation.",
}
"""Of the keys of a sweep file."""

SEARCH = {
    **_OF_ALL,
    "seeds": "Of each trial: a list, or an inclusive range such as 1..5.",
    "space": "What is searched, by field: {int: [1, 50], log: true}, {float: [1e-4, 1e-2]} or "
    "{categorical: [tanh, relu]}.",
    "objective": "The metric to be made small or large, or a list of several.",
    "trials": "How many in all.",
    "parallel": "Trials at once, whose runs are trained in one stack where they fit.",
    "sampler": "How Optuna chooses points; grid needs steps.",
    "pruner": "What ends a trial early.",
}
"""Of the keys of a search file."""

CLAIM = {
    "claim": "The sentence, for people.",
    "metric": "What is compared.",
    "greater": "The runs whose metric is greater, by fields: {model: mim}.",
    "less": "The runs whose metric is less, by fields.",
    "of": "The runs whose metric is compared by how much, by fields.",
    "greater_by": "By so much greater at least; below 0, no more than so much less.",
    "less_by": "By so much less at least; below 0, no more than so much greater.",
    "within": "By less than so much apart: equivalence.",
    "than": "The runs that they are compared with, of the same seeds; or a number.",
    "than_metric": "The metric of the other runs, where it is another.",
    "falls_with": "The numeric field with which the metric falls.",
    "rises_with": "The numeric field with which the metric rises.",
    "ranks": "Values of a field, from that of the greatest metric to that of the least.",
    "over": "The field that `ranks` is about; the model, if it isn't said.",
    "holds_in": "In how many cells it must hold, at least: 9 of 10 cells.",
    "where": "Which runs it is about: `field op value`, joined by `and`, with = != < <= > >=.",
}
"""Of the keys of a claim."""

FIGURES = {
    "x": "The field of the horizontal axis.",
    "hue": "A field, or several, that tell lines apart.",
    "metrics": "A figure each.",
}
"""Of the keys of `figures`."""

OBJECTIVE = {
    "metric": "What is made small or large.",
    "direction": "minimize or maximize.",
    "seeds": "How the seeds of a trial make one value.",
}
"""Of the keys of an objective."""
