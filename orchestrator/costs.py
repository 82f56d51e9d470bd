"""What it takes to train runs: orders of magnitude, good for sorting, splitting and time-outs."""

from collections.abc import Sequence

from mimsweep.orchestrator.files.spec import RunSpec

CPU_SPEED = 1e10
"""Multiplications that a CPU's core does in a second, with all that comes beside."""

FASTER = {"cpu": 1, "cuda": 20}
"""How much faster a device is than such a core, at least."""

# Measured on a CPU, in multiplications: what a step of a stack costs whatever its
# size, an epoch of a run beside its steps (data, noise, test), a run beside its epochs (measures).
_STEP, _EPOCH, _RUN = 10_000, 10_000_000, 1_000_000_000
_EAGER_STEP = 30_000_000  # by torch's operations, one after the other

_SAMPLE = 2.5  # passes of a VAE that each sample of IWAE costs after the first
_MMD_PAIR, _COSINE = 100, 100  # multiplications for a pair of latents in a minibatch

# Multiplications for an item by an image model, all of it, q(z2|x) alone, p(x|z1,z2) alone.
_IMAGE_LAYERS = {"convhvae": (230e6, 30e6, 180e6), "pixelhvae": (260e6, 30e6, 210e6)}
_IMAGE_ITEMS = (50_000, 10_000)  # of training and test sets, or so

# Of a device: bytes that the activations of a cohort may take, and runs that it may have.
# On a CPU they should stay in a core's share of the cache; on a GPU, far within its memory.
LIMITS = {"cpu": (16 * 2**20, 64), "cuda": (8 * 2**30, 1024)}


def stack_cost(runs: Sequence[RunSpec]) -> float:
    """Returns the multiplications of runs that agree."""
    first = runs[0]
    if first.of_images:
        return sum(map(_image_cost, runs))
    items = 60_000 if first.dataset.startswith("pca-") else 10_000
    if first.file:
        items = first.file.facts.train_items
    per_epoch = items * (_parameters(first) * _passes(first) + _pairs(first)) + _EPOCH
    epochs = [run.epochs for run in runs]
    steps = max(epochs) * (items // first.batch_size)
    step = _EAGER_STEP if is_eager(first) else _STEP
    return sum(epochs) * per_epoch + len(runs) * _RUN + steps * step


def is_eager(run: RunSpec) -> bool:
    """Returns whether `models.steps.cpu` has no steps for a run, so that a stack is worth more.

    It has none for MIM with the marginal q(x) on its own samples, nor for what users add, nor
    for the methods of the field but for what they do to β.
    """
    if run.users_loss or run.users_networks or run.model == "cmim":
        return True
    of_vae = any((run.free_bits, run.bn_gamma, run.mmd, run.importance_samples > 1))
    return of_vae or (run.model == "mim" and run.q_x_samples == "marginal")


def _passes(run: RunSpec) -> float:
    """Returns the passes through encoder and decoder that a step takes, in those of a VAE."""
    return 2.0 if run.model == "mim" else 1 + _SAMPLE * (run.importance_samples - 1)


def _pairs(run: RunSpec) -> float:
    """Returns the multiplications of an item with all others of its minibatch."""
    return run.batch_size * ((_MMD_PAIR if run.mmd else 0) + _COSINE * (run.model == "cmim"))


def _image_cost(run: RunSpec) -> float:
    """Returns the multiplications of a run of images."""
    return run.epochs * image_epoch(run) + image_likelihood(run)


def image_epoch(run: RunSpec) -> float:
    """Returns the multiplications of an epoch of a run of images."""
    whole, encoder, _ = _IMAGE_LAYERS[run.model.partition("_")[0]]
    train, test = run.train_items or _IMAGE_ITEMS[0], run.test_items or _IMAGE_ITEMS[1]
    steps = train / run.batch_size
    pseudo_inputs = steps * run.pseudo_inputs * encoder if run.prior == "vampprior" else 0.0
    # Forward, and twice that backward.
    epoch = 3 * (train * whole * (2 if run.model.endswith("-smim") else 1) + pseudo_inputs)
    return epoch + test * whole


def image_likelihood(run: RunSpec) -> float:
    """Returns the multiplications of its marginal log-likelihood."""
    _, _, decoder = _IMAGE_LAYERS[run.model.partition("_")[0]]
    return (run.test_items or _IMAGE_ITEMS[1]) * run.likelihood_samples * decoder


def _parameters(spec: RunSpec) -> int:
    """Returns the weights of encoder and decoder, without biases."""
    ends = spec.data_dim + spec.z_dim
    if spec.layers == 1:
        return 4 * spec.data_dim * spec.z_dim
    # Each network: inputs to hidden, hidden to hidden, hidden to the two heads.
    return ends * spec.mid_dim + 2 * (spec.layers - 2) * spec.mid_dim**2 + 2 * ends * spec.mid_dim


def cohort_limit(spec: RunSpec, device: str) -> int:
    """Returns how many runs like `spec` are best stacked in one cohort on a device.

    As many as keep the activations of a training step, about 12 float32 tensors of shape
    (batch_size, mid_dim) a layer and run (or dimensions of the data, where they are more), in the
    device's fast memory: 16 MiB of cache on a CPU (at most 64 runs), 8 GiB on a GPU (at most 1,024
    runs).

    Image models train one by one: a stack of their convolutions gains nothing. A user's network is
    computed twice where it is alone (`models.nets.users`): with three or more in a full cohort,
    none is left alone but a single one.

    Args:
        spec: one of the runs.
        device: "cpu" or "cuda".
    """
    if spec.of_images:
        return 1
    memory, most = LIMITS[device]
    width = max(spec.mid_dim, spec.data_dim)
    activations = 4 * spec.batch_size * width * spec.layers * 12
    return min(max(memory // activations, 3 if spec.users_networks else 1), most)
