"""Which fields of a run don't go together, each refused with a sentence."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mimsweep.orchestrator.files.choices import IMAGE_MODELS, IMAGE_SETS
from mimsweep.orchestrator.files.fields import (
    FILE_FIELDS,
    FOUND_FIELDS,
    RunFields,
)

if TYPE_CHECKING:
    from mimsweep.models.data.files.found import DataFile

LEARNED = ("prior", "gmm-marginal")
"""The distributions of ours that are learned; those that users add are too."""

NOT_LEARNED = ("anchor", "marginal")

ALONE = {
    "free_bits": ("p_z", "q_zx_gmm", "inv_h", "importance_samples"),
    "bn_gamma": ("q_zx_gmm", "encoder"),
    "mmd": ("p_z", "inv_h", "importance_samples"),
    "importance_samples": ("beta_end", "inv_h"),
}
"""Settings of methods, and what must have its default beside each. Free bits need the divergence of
each dimension in closed form, batch norm one mean of each and a last layer that it knows, MMD a
p(z) that isn't learned; the weights of importance are those of VAE's bound, and `inv_h` is of VAE's
loss."""

LEAST_ITEMS = 100
"""With fewer there can be more classes than images to be clustered, or neighbours than images."""


LARGEST_SQUARED = 1e18
"""A number whose square float32 can still hold, with all that a loss does to it."""


def conflicts(
    run: RunFields, *, known: bool, binary: bool, file: "DataFile | None" = None
) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with a run: the field to blame, and a sentence.

    Args:
        run: all of whose fields are valid.
        known: whether the true P(x) of its data set is known.
        binary: whether its data are probabilities of bits.
        file: its data file, if it has one that was found.
    """
    yield from _image_models(run)
    for field, value, default in _changed(run, run.lacking):
        text = f"{value} is not allowed with model {run.model}, which has no {field}"
        yield field, f"{text}; allowed: {default}"
    yield from _models(run)
    yield from _methods(run)
    yield from _distributions(run)
    if run.q_x == "anchor" and not known:
        yield (
            "q_x",
            (
                f"anchor is not allowed with dataset {run.dataset}, whose P(x) isn't known; "
                "allowed with: toy<K>, toy<K>_<D>, toy<TEXT>"
            ),
        )
    if binary:
        yield from _bits(run)
    if not run.of_file:
        for field, value, default in _changed(run, (*FILE_FIELDS, *FOUND_FIELDS)):
            allowed = f"allowed: {default}" if default else "leave it out"
            yield (
                field,
                f"{value} is not allowed with dataset {run.dataset}, which is no file; {allowed}",
            )
    if file:
        yield from _file(run, binary, file)


def _image_models(run: RunFields) -> Iterator[tuple[str, str]]:
    if not run.of_images and run.dataset in IMAGE_SETS:
        yield (
            "dataset",
            f"{run.dataset} is not allowed with model {run.model}; "
            f"allowed with: {', '.join(IMAGE_MODELS)}",
        )
    if run.of_images and run.dataset not in IMAGE_SETS:
        yield (
            "dataset",
            f"{run.dataset} is not allowed with model {run.model}; allowed: "
            f"{', '.join(IMAGE_SETS)}",
        )
    if run.of_images:
        yield from _images(run)


def _images(run: RunFields) -> Iterator[tuple[str, str]]:
    if run.model == "pixelhvae_2level-smim":
        yield (
            "model",
            f"{run.model} is not available: a sample of its decoder is 784 passes; "
            "allowed: convhvae_2level-smim, pixelhvae_2level-amim",
        )
    if run.prior == "standard":
        for field, value, _ in _changed(run, ("pseudo_inputs", "use_training_data_init")):
            yield field, f"{value} is not allowed with prior standard; allowed with: vampprior"
    for field in ("train_items", "test_items"):
        items = getattr(run, field)
        if 0 < items < LEAST_ITEMS:
            text = f"it must be 0, which is all, or at least {LEAST_ITEMS}"
            yield field, f"{items} is not allowed; {text}"


def _changed(run: RunFields, fields: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yields the fields that don't have their default: name, value and default, as in a file."""
    for field in fields:
        value, default = getattr(run, field), type(run).model_fields[field].default
        if value != default:
            yield field, _shown(value), _shown(default)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _models(run: RunFields) -> Iterator[tuple[str, str]]:
    if run.inv_h and run.model in ("ae", "cmim"):
        yield "inv_h", f"true is not allowed with model {run.model}; allowed with: mim, amim, vae"
    if run.p_z == "marginal" and run.model != "mim":
        yield (
            "p_z",
            (
                f"marginal is not allowed with model {run.model}, which doesn't sample from the "
                "decoder; allowed with: mim"
            ),
        )


def _methods(run: RunFields) -> Iterator[tuple[str, str]]:
    """Yields which settings of the field's methods mean nothing together."""
    for field, others in ALONE.items():
        for _, value, _ in _changed(run, [field]):
            for other, given, default in _changed(run, others):
                yield field, f"{value} is not allowed with {other} {given}; allowed with: {default}"
    if not run.beta_end:
        for field, value, default in _changed(run, ("cycles", "free_bits")):
            text = "is not allowed with beta_end 0.0, which leaves out the divergence"
            yield field, f"{value} {text}; allowed: {default}"
    if run.cycles > 1:
        yield from _cycles(run)
    if run.model == "cmim":
        for field, value, default in _changed(run, ("q_x", "q_x_samples")):
            text = "is not allowed with model cmim, whose q(x) is p(x|z)"
            yield field, f"{value} {text}; allowed: {default}"
        for field, value, default in _changed(run, ("learn_p_z",)):
            text = "is not allowed with model cmim, which doesn't sample from the decoder"
            yield field, f"{value} {text}; allowed: {default}"
    asks = "model cmim" if run.model == "cmim" else ""
    for field, value, _ in _changed(run, ("bn_gamma", "mmd")):
        asks = f"{field} {value}"
    if asks and run.batch_size < 2:
        yield "batch_size", f"1 is not allowed with {asks}; it must be at least 2"


def _cycles(run: RunFields) -> Iterator[tuple[str, str]]:
    """Yields what keeps β from rising so often."""
    from mimsweep.models.losses.annealing import settled

    least = settled(run.warmup, run.cycles)
    if run.warmup < 2:
        text = "in which β is at its end from the first epoch; it must be at least 2"
        yield "warmup", f"{run.warmup} is not allowed with cycles {run.cycles}, {text}"
    elif run.epochs < least:
        after = f"after which β stays from epoch {least}; it must be at least {least}"
        given = f"cycles {run.cycles} of warmup {run.warmup}"
        yield "epochs", f"{run.epochs} is not allowed with {given}, {after}"


def _distributions(run: RunFields) -> Iterator[tuple[str, str]]:
    for field in ("p_z", "q_x"):
        value, count = getattr(run, field), getattr(run, f"{field}_gmm")
        if count and value in NOT_LEARNED:
            yield (
                f"{field}_gmm",
                (
                    f"{count} is not allowed with {field} {value}; "
                    f"allowed with: {', '.join(LEARNED)}"
                ),
            )
        if value == "gmm-marginal" and not count:
            yield f"{field}_gmm", f"0 is not allowed with {field} {value}; it must be at least 1"
    if run.learn_p_z and run.p_z in NOT_LEARNED:
        yield (
            "learn_p_z",
            (f"true is not allowed with p_z {run.p_z}; allowed with: {', '.join(LEARNED)}"),
        )
    if run.q_x_samples == "marginal" and run.q_x != "marginal":
        yield (
            "q_x_samples",
            (
                f"marginal is not allowed with q_x {run.q_x}, which is the same on all samples; "
                "allowed with: marginal"
            ),
        )


def _file(run: RunFields, binary: bool, file: "DataFile") -> Iterator[tuple[str, str]]:
    facts = file.facts
    if facts.own_test:
        for field, value, default in _changed(run, ("test_fraction",)):
            own = f"{run.dataset}, which has x_test"
            yield field, f"{value} is not allowed with dataset {own}; allowed: {default}"
    if binary and not run.standardise:
        bits = f"dataset {run.dataset} of bits, which are never standardised"
        yield "standardise", f"false is not allowed with {bits}; leave it out"
    if run.bits and not 0 <= facts.low <= facts.high <= 1:
        outside = f"whose numbers go from {facts.low:g} to {facts.high:g}"
        yield (
            "bits",
            f"true is not allowed with dataset {run.dataset}, {outside}; probabilities are 0 to 1",
        )
    if not binary and facts.constant:
        # A density of its values grows beyond all bounds, and says nothing of the other columns.
        few, more = ", ".join(facts.constant[:3]), len(facts.constant) - 3
        columns = f"{few} and {more} more" if more > 0 else few
        yield (
            "dataset",
            f"{run.dataset}: all items to train on have one value in {columns}, which has no "
            "density; leave such columns out (of probabilities, bits: true allows them)",
        )
    largest = max(-facts.low, facts.high)
    if not run.standardise and largest > LARGEST_SQUARED:
        yield (
            "standardise",
            f"false is not allowed with dataset {run.dataset}, whose numbers go to {largest:g}; "
            f"at most {LARGEST_SQUARED:g}",
        )
    if file.largest_batch(run.batch_size) != run.batch_size:
        items = f"{facts.train_items} items to train on and {facts.test_items} to test on"
        most = file.largest_batch(run.batch_size)
        if most:
            yield (
                "batch_size" if "batch_size" in run.model_fields_set else "dataset",
                f"batch_size {run.batch_size} is not allowed with {run.dataset}, which has {items};"
                f" {most} would fit",
            )
        else:
            yield (
                "dataset",
                f"{run.dataset} has {items}: too few; at least 10 and 6 are needed, in whole "
                "batches",
            )


def _bits(run: RunFields) -> Iterator[tuple[str, str]]:
    what = f"dataset {run.dataset}, whose decoder is Bernoulli"
    if run.p_xz_gmm:
        yield "p_xz_gmm", f"{run.p_xz_gmm} is not allowed with {what}; allowed: 0"
    if run.q_x == "prior" and run.q_x_gmm:
        yield "q_x_gmm", f"{run.q_x_gmm} is not allowed with q_x prior and {what}; allowed: 0"
    if not run.min_logvar:
        yield "min_logvar", f"0 is not allowed with {what}; it must be at least 1"
