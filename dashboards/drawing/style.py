"""How figures look and what their axes are called: the one place for both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from matplotlib import colormaps
from matplotlib.colors import to_hex


@dataclass(frozen=True)
class Metric:
    """What a metric is called in a title and, with its unit, on an axis.

    Attributes:
        title: for people, without unit.
        label: for an axis, with its unit.
        log: whether its size can differ by orders of magnitude, so that a log axis helps.
        better: 1 if more of it is better, −1 if less is, 0 if that depends on the question.
    """

    title: str
    label: str
    log: bool = False
    better: Literal[1, -1, 0] = 0


METRICS = {
    "mi": Metric("Mutual information", "MI (nats)", better=1),
    "mi_lower": Metric("Lower bound of mutual information", "MI, lower bound (nats)", better=1),
    "mi_upper": Metric("Upper bound of mutual information", "MI, upper bound (nats)"),
    "mi_ceiling": Metric("Ceiling of the KSG estimate", "largest KSG value (nats)"),
    "mi_lower_ceiling": Metric("Ceiling of the lower bound", "log N (nats)"),
    "retrieval": Metric("Retrieval of x from z", "retrieved (fraction)", better=1),
    "active_units": Metric("Active units", "active units (dimensions)", better=1),
    "rate": Metric("Rate", "rate, E[KL(q(z|x)‖p(z))] (nats)"),
    "distortion": Metric("Distortion", "distortion, −E[log p(x|z)] (nats)", better=-1),
    "nll": Metric("Negative log-likelihood", "NLL (nats)", log=True, better=-1),
    "nll_untrained": Metric("−log q(x), q(x) not trained", "−E[log q(x)], untrained (nats)"),
    "rmse": Metric("Reconstruction error", "RMSE (data units)", log=True, better=-1),
    "knn1": Metric("1-NN classification", "1-NN accuracy (fraction)", better=1),
    "knn3": Metric("3-NN classification", "3-NN accuracy (fraction)", better=1),
    "knn5": Metric("5-NN classification", "5-NN accuracy (fraction)", better=1),
    "knn10": Metric("10-NN classification", "10-NN accuracy (fraction)", better=1),
    "mi_bound": Metric("Bound on mutual information", "E[log q(z|x) − log p(z)] (nats)"),
    "h_z": Metric("Entropy of the latent anchor", "H(p(z)) (nats)"),
    "h_encoder": Metric("Joint entropy of the encoder", "H(q(x, z)) (nats)"),
    "h_decoder": Metric("Joint entropy of the decoder", "H(p(x, z)) (nats)"),
    "h_joint": Metric("Mean joint entropy", "joint entropy (nats)", better=-1),
    "h_mixture": Metric("Entropy of the mixture", "H(½p + ½q) (nats)", better=-1),
    "kl_qp": Metric("Encoder to decoder divergence", "KL(q‖p) (nats)", log=True, better=-1),
    "kl_pq": Metric("Decoder to encoder divergence", "KL(p‖q) (nats)", log=True, better=-1),
    "kl_mean": Metric("Mean divergence", "½KL(q‖p) + ½KL(p‖q) (nats)", log=True, better=-1),
    "nll_true_x": Metric("Cross-entropy to the true P(x)", "−E[log P(x)] (nats)", better=-1),
    "nll_true_z": Metric("Cross-entropy to the true P(z)", "−E[log P(z)] (nats)", better=-1),
    "log_likelihood": Metric("Log-likelihood", "log p(x) (nats)", better=1),
    "elbo": Metric("Lower bound of the log-likelihood", "ELBO (nats)", better=1),
    "nmi": Metric("Clusters against classes", "NMI (fraction)", better=1),
    "from_chardata": Metric("Omniglot of chardata.mat", "from chardata.mat (1: yes, 0: no)"),
    "best_epoch": Metric("Best epoch", "best epoch (epochs)"),
    "best_loss": Metric("Best test loss", "test loss (nats)"),
    "epochs_run": Metric("Epochs run", "epochs run (epochs)"),
    "seconds": Metric("Training time", "time (s)", log=True, better=-1),
}

FIELDS = {
    "z_dim": "latent size z_dim (dimensions)",
    "mid_dim": "hidden width mid_dim (units)",
    "layers": "layers",
    "encoder": "encoder",
    "decoder": "decoder",
    "warmup": "warm-up (epochs)",
    "lr": "learning rate lr",
    "batch_size": "batch size (items)",
    "epochs": "most epochs allowed",
    "min_logvar": "least scale: −log₁₀ of it, min_logvar",
    "p_z_gmm": "components of p(z), p_z_gmm",
    "q_x_gmm": "components of q(x), q_x_gmm",
    "q_zx_gmm": "components of q(z|x), q_zx_gmm",
    "p_xz_gmm": "components of p(x|z), p_xz_gmm",
    "seed": "seed",
    "dataset": "data set",
    "model": "model",
    "act": "activation",
    "inv_h": "entropy regulariser inv_h",
    "p_z": "latent prior p_z",
    "q_x": "data model q_x",
    "q_x_samples": "q(x) on decoder samples, q_x_samples",
    "learn_p_z": "learned anchor learn_p_z",
    "prior": "prior p(z₂)",
    "pseudo_inputs": "pseudo-inputs of the VampPrior",
    "use_training_data_init": "pseudo-inputs start at images",
    "patience": "patience (epochs)",
    "likelihood_samples": "samples of the log-likelihood",
    "train_items": "training images (0: all)",
    "test_items": "test images (0: all)",
    "beta_end": "β at its end, beta_end",
    "cycles": "cycles of β",
    "free_bits": "free bits (nats a dimension)",
    "bn_gamma": "spread of posterior means, bn_gamma",
    "mmd": "weight of MMD²",
    "importance_samples": "importance samples",
    "temperature": "temperature of cMIM",
    "test_fraction": "part of the items to test on",
    "standardise": "columns standardised",
    "label": "column of labels",
    "bits": "probabilities of bits",
}
METHOD = "method"
"""The column of what several fields come to together."""

RC: Any = {  # newer matplotlibs spell out the keys in its type, older ones don't
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titley": 1.0,  # else looked for at each drawing, which takes a tenth of its time
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "legend.title_fontsize": 8.5,
    "legend.frameon": False,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "savefig.dpi": 200,
    "svg.hashsalt": "mimsweep",  # element ids, else random, must be the same each time
    "svg.fonttype": "path",  # the reader's machine needs no fonts
}
CAPTION_COLOUR = "#555555"
PUBLISHED_COLOUR = "#9A9A9A"
RECONSTRUCTED, POSTERIOR = "#D62728", "#2E8B57"
PUBLISHED_LABEL = ", published"


@dataclass(frozen=True)
class Look:
    """How one value of the hue field is drawn and named in the legend.

    Attributes:
        label: its name for people.
        colour: as `#RRGGBB`.
        marker: a filled matplotlib marker.
        dashes: lengths of dash and gap in line widths; empty for a solid line.
    """

    label: str
    colour: str
    marker: str
    dashes: tuple[float, ...]


MODELS = {
    "mim": Look("MIM", "#0072B2", "o", ()),
    "vae": Look("VAE", "#D62728", "s", (4, 1.5)),
    "amim": Look("A-MIM", "#56B4E9", "^", (1, 1)),
    "ae": Look("AE", "#E69F00", "D", (4, 1.2, 1, 1.2)),
    "cmim": Look("cMIM", "#009E73", "v", (2, 1)),
    "convhvae_2level": Look("convHVAE", "#D62728", "s", (4, 1.5)),
    "convhvae_2level-smim": Look("convHVAE sMIM", "#0072B2", "o", ()),
    "convhvae_2level-amim": Look("convHVAE A-MIM", "#56B4E9", "^", (1, 1)),
    "convhvae_2level-mim": Look("convHVAE MIM", "#B9D9F2", "<", (6, 1.5)),
    "pixelhvae_2level": Look("PixelHVAE", "#5E0B0B", "D", (4, 1.2, 1, 1.2)),
    "pixelhvae_2level-amim": Look("PixelHVAE A-MIM", "#23217F", "v", (2, 1)),
    "pixelhvae_2level-mim": Look("PixelHVAE MIM", "#8A7FE0", ">", (1, 2)),
}
INV_H = {"mim": "MIM − H", "amim": "A-MIM − H", "vae": "VAE + H"}
"""What models with `inv_h` are called."""
# Okabe and Ito's palette without black and yellow, which is too faint for thin lines.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
_DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (4, 1.5),
    (1, 1),
    (4, 1.2, 1, 1.2),
    (6, 1.5),
    (2, 1),
)


def metric(name: str) -> Metric:
    """Returns how the metric `name` is written; an unknown one is written as it is."""
    return METRICS.get(name, Metric(name, name))


def field(name: str) -> str:
    """Returns the axis or legend label of the spec field `name`."""
    return FIELDS.get(name, name)


def model(name: str) -> str:
    """Returns what a model is called."""
    return MODELS[name].label if name in MODELS else name


def value(given: object) -> str:
    """Returns a field's value as a person writes it in a sweep file: 0.001, tanh, true.

    A dash where a run has no such field.
    """
    if given is None or given != given:
        return "–"
    if isinstance(given, bool) or type(given).__name__ == "bool":  # numpy's bool is no bool
        return str(given).lower()
    return f"{given:g}" if isinstance(given, float) else str(given)


def grey(look: Look) -> Look:
    """Returns how what was published of the same thing is drawn."""
    name = look.label.replace("$", r"\$")  # else matplotlib reads TeX in a table's own name
    return replace(look, label=f"{name}{PUBLISHED_LABEL}", colour=PUBLISHED_COLOUR)


def looks(hue: str, values: Sequence[Any]) -> dict[Any, Look]:
    """Returns the look of each value of the hue field.

    Models have fixed looks, so that MIM is blue in every picture. Other values take colours that
    colour-blind readers can tell apart, in the order given: from a palette while they are few,
    along viridis when they are many. Known models come first, in the order of `MODELS`.
    """
    ours = {"model": MODELS, METHOD: {look.label: look for look in MODELS.values()}}.get(hue, {})
    known = [v for v in ours if v in values]
    unknown = [v for v in values if v not in known]
    taken = {ours[v].colour for v in known}
    colours = [colour for colour in _PALETTE if colour not in taken]
    if len(unknown) > len(colours):
        steps = max(len(unknown) - 1, 1)
        colours = [to_hex(colormaps["viridis"](0.9 * i / steps)) for i in range(len(unknown))]
    drawn = {
        v: Look(
            value(v),
            colours[i],
            _MARKERS[(len(known) + i) % len(_MARKERS)],
            _DASHES[(len(known) + i) % len(_DASHES)],
        )
        for i, v in enumerate(unknown)
    }
    return {**{v: ours[v] for v in known}, **drawn}
