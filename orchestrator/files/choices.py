"""The values that a run's options can have, and what its data set is like."""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import AfterValidator, GetJsonSchemaHandler

JsonSchema = dict[str, Any]


@dataclass(frozen=True)
class Told(AfterValidator):
    """A check of a value, and what a JSON schema says of it, as pydantic can't look into a check.

    Attributes:
        schema: returns that; called when it is asked for, as users add names.
    """

    schema: Callable[[], JsonSchema]

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> JsonSchema:  # noqa: ANN401
        """Returns what pydantic says of the type, and the rest; pydantic asks for it."""
        return {**handler(core), **self.schema()}


@dataclass(frozen=True)
class Choices:
    """The values of an option.

    Attributes:
        now: those of ours.
        added: which table of `models.registry` holds the values that users add, if they can.
    """

    now: tuple[str, ...]
    added: str = ""

    def check(self, value: str) -> str:
        """Returns `value`, or says what is allowed."""
        if value in self.now:
            return value
        names = [*self.now, *registered(self.added)]
        if value in names:
            return value
        allowed = f"allowed: {', '.join(names)}"
        near = did_you_mean(value, names) or (not_imported() if self.added else "")
        raise ValueError(f"{value} is not allowed; {allowed}{near}")

    @property
    def told(self) -> Told:
        """Returns the check, for pydantic."""
        return Told(self.check, lambda: among([*self.now, *registered(self.added)]))


def among(names: Iterable[str]) -> JsonSchema:
    """Returns the schema of a text that is one of these."""
    return {"type": "string", "enum": [*names]}


def registered(table: str) -> dict[str, Any]:
    """Returns a table of what users have added: "DATA", "LOSSES", "NETWORKS" or "DENSITIES".

    Raises:
        ValueError: it can't be imported.
    """
    if not table:
        return {}
    from mimsweep.models import registry

    try:
        registry.load()
    except registry.RegistrationError as error:
        raise ValueError(f"{registry.VARIABLE}: {error}") from error
    entries: dict[str, Any] = getattr(registry, table)
    return entries


def not_imported() -> str:
    """Returns how to add parts of one's own, behind what is allowed; nothing where some are."""
    from mimsweep.models import registry

    return "" if registry.registering() else "; those of your own are added by --import MODULE"


IMAGE_MODELS = tuple(
    f"{decoder}_2level{loss}"
    for decoder in ("convhvae", "pixelhvae")
    for loss in ("", "-mim", "-amim", "-smim")
)
MODELS = Choices(("mim", "amim", "vae", "ae", "cmim", *IMAGE_MODELS), added="LOSSES")
NETWORKS = Choices(("mlp",), added="NETWORKS")
PRIORS = Choices(("standard", "vampprior"))
ACTIVATIONS = Choices(("tanh", "swish", "relu"))
P_Z = Choices(("anchor", "prior", "marginal", "gmm-marginal"), added="DENSITIES")
Q_X = Choices(("marginal", "anchor", "prior", "gmm-marginal"), added="DENSITIES")
Q_X_SAMPLES = Choices(("conditional", "marginal"))

IMAGE_SETS = ("dynamic_mnist", "dynamic_fashion_mnist", "omniglot")
DATASETS = (
    "toy<K>, toy<K>_<D> with D >= 2, toy<TEXT>, the same with a capital T (self-supervised), "
    "mnist, fashion-mnist, pca-fashion-mnist<k> with k from 1 to 784, pca-fashion-mnist<k>-study, "
    + ", ".join(IMAGE_SETS)
    + ", file:<PATH> of a .npz, .npy, .csv or .parquet file"
)
BITS = ("mnist", "fashion-mnist")

FILE = "file:"
"""How the name of a data set begins that is a file; its path follows."""

_NUMBER = "0|[1-9][0-9]{0,8}"
_TOY = re.compile(rf"[tT]oy(?:0|-?[1-9][0-9]{{0,8}})(?:_({_NUMBER}))?")
_PCA = re.compile(rf"pca-fashion-mnist({_NUMBER})(?:-study)?")
_TEXT = re.compile(r"[tT]oy[A-Za-z][A-Za-z0-9]{0,19}")
_TO_784 = "[1-9][0-9]?|[1-6][0-9]{2}|7[0-7][0-9]|78[0-4]"


def data_dim(dataset: str) -> int:
    """Returns D, the dimensions of a point of `dataset`.

    Raises:
        ValueError: there is no such data set; the sentence says what there is.
    """
    if toy := _TOY.fullmatch(dataset):
        dim = int(toy[1] or 2)
        if dim >= 2:
            return dim
        raise ValueError(f"{dataset} is not allowed; its dimension must be at least 2, not {dim}")
    if _TEXT.fullmatch(dataset):
        return 2
    if pca := _PCA.fullmatch(dataset):
        dim = int(pca[1])
        if 1 <= dim <= 784:
            return dim
        raise ValueError(f"{dataset} is not allowed; its dimension must be 1 to 784, not {dim}")
    if dataset in (*BITS, *IMAGE_SETS):
        return 784
    added = registered("DATA")
    if dataset in added:
        return int(added[dataset].dims)
    allowed = ", ".join([DATASETS, *added])
    near = did_you_mean(dataset, [*BITS, *IMAGE_SETS, *added]) or not_imported()
    raise ValueError(f"{dataset} is not allowed; allowed: {allowed}{near}")


def check_dataset(dataset: str) -> str:
    """Returns the name of a data set, or says what is allowed; a file is looked at later."""
    if not is_file(dataset):
        data_dim(dataset)
    return dataset


def _dataset_schema() -> JsonSchema:
    """Returns the schema of what `check_dataset` lets pass, and of files by their endings."""
    from mimsweep.models.data.files.reading import ENDINGS

    toy = _TOY.pattern.replace(_NUMBER, "[2-9]|[1-9][0-9]{1,8}")
    pca = _PCA.pattern.replace(_NUMBER, _TO_784)
    endings = "|".join(re.sub("[a-z]", _any_case, re.escape(each)) for each in ENDINGS)
    patterns = "|".join((toy, _TEXT.pattern, pca, f"{FILE}[\\s\\S]*(?:{endings})[\\s\\S]*"))
    names = [*BITS, *IMAGE_SETS, *registered("DATA")]
    return {"type": "string", "anyOf": [{"enum": names}, {"pattern": f"^(?:{patterns})$"}]}


def _any_case(letter: re.Match[str]) -> str:
    return f"[{letter[0]}{letter[0].upper()}]"


DATASET = Told(check_dataset, _dataset_schema)


def is_file(dataset: str) -> bool:
    """Returns whether a data set is a file of a user's."""
    return dataset.startswith(FILE)


def is_binary(dataset: str) -> bool:
    """Returns whether a data set, which is no file, has bits, or probabilities of bits."""
    if _ours(dataset):
        return dataset in (*BITS, *IMAGE_SETS)
    return bool(registered("DATA")[dataset].binary)


def is_known(dataset: str) -> bool:
    """Returns whether the true P(x) of a data set is known."""
    if _ours(dataset) or is_file(dataset):
        return is_toy(dataset)
    return bool(registered("DATA")[dataset].known)


def is_toy(dataset: str) -> bool:
    """Returns whether a data set is a mixture of ours, made of nothing but its name."""
    return bool(_TOY.fullmatch(dataset) or _TEXT.fullmatch(dataset))


def _ours(dataset: str) -> bool:
    files = dataset in (*BITS, *IMAGE_SETS) or bool(_PCA.fullmatch(dataset))
    return files or is_toy(dataset)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Returns `; did you mean …?` with the nearest of `names`, or nothing if none is near."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}?" if near else ""
