"""What one run is: `RunSpec`, the values each of its fields can have, and its key and name.

Every option that is a choice has its table of values here: those that a run can have now, and
those that are known but not built yet, which are refused by name. A later issue moves a value from
`later` to `now`.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from orchestrator.conflicts import conflicts

SPEC_VERSION = 1
"""Part of every `run_key`. Raised by whatever changes the numbers that an unchanged `RunSpec` comes
to: data, noise or the order of their streams, initialisation, a loss, the optimiser or the stop,
how a metric is measured. Not raised by speed, by what is stored beside, or by new values of a
field. A new field stays out of the key while it has its default, or all old runs would be lost."""

VARIES_IN_COHORT = ("seed", "lr", "warmup", "epochs")
"""The fields in which the runs of one cohort may differ; in all others they agree."""

EPOCH_POINTS = 10_000
"""Points in an epoch of toy data, the smallest epoch there is: no batch can be larger."""


@dataclass(frozen=True)
class Choices:
    """The values of an option: `now` available, or known but left to a `later` issue.

    Attributes:
        now: what a run can have.
        later: what it can't have yet.
        added: which table of `models.registry` holds the values that users add, if they can.
    """

    now: tuple[str, ...]
    later: tuple[str, ...] = ()
    added: str = ""

    def check(self, value: str) -> str:
        """Returns `value`, or says what is allowed."""
        if value in self.now:
            return value
        names = [*self.now, *(_registered(self.added) if self.added else ())]
        if value in names:
            return value
        allowed = f"allowed: {', '.join(names)}"
        if value in self.later:
            raise ValueError(f"{value} is not available yet; {allowed}")
        raise ValueError(f"{value} is not allowed; {allowed}{did_you_mean(value, names)}")


def _registered(table: str) -> dict[str, Any]:
    """Returns a table of what users have added: "DATA", "LOSSES" or "DENSITIES"."""
    from models import registry

    try:
        registry.load()
    except ImportError as error:
        raise ValueError(f"{registry.VARIABLE}: {error}") from error
    entries: dict[str, Any] = getattr(registry, table)
    return entries


MODELS = Choices(
    now=("mim", "amim", "vae", "ae"),
    later=tuple(
        f"{image_model}{loss}"
        for image_model in ("convhvae_2level", "pixelhvae_2level")
        for loss in ("", "-mim", "-amim", "-smim")
    ),
    added="LOSSES",
)
ACTIVATIONS = Choices(now=("tanh", "swish", "relu"))
P_Z = Choices(now=("anchor", "prior", "marginal", "gmm-marginal"), added="DENSITIES")
Q_X = Choices(now=("marginal", "anchor", "prior", "gmm-marginal"), added="DENSITIES")
Q_X_SAMPLES = Choices(now=("conditional", "marginal"))
DATASETS = (
    "toy<K>, toy<K>_<D> with D >= 2, toy<TEXT>, the same with a capital T (self-supervised), "
    "mnist, fashion-mnist, pca-fashion-mnist<k> with k from 1 to 784"
)
DATASETS_LATER = ("dynamic_mnist", "dynamic_fashion_mnist", "omniglot")
BINARY = ("mnist", "fashion-mnist")

_NUMBER = "0|[1-9][0-9]{0,8}"
_TOY = re.compile(rf"[tT]oy(?:0|-?[1-9][0-9]{{0,8}})(?:_({_NUMBER}))?")
_PCA = re.compile(rf"pca-fashion-mnist({_NUMBER})")
_TEXT = re.compile(r"[tT]oy[A-Za-z][A-Za-z0-9]{0,19}")


def data_dim(dataset: str) -> int:
    """Returns D, the dimensions of a point of `dataset`.

    Raises:
        ValueError: there is no such data set, or not yet; the sentence says what there is.
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
    if dataset in BINARY:
        return 784
    if dataset in DATASETS_LATER:
        raise ValueError(f"{dataset} is not available yet; allowed: {DATASETS}")
    added = _registered("DATA")
    if dataset in added:
        return int(added[dataset].dims)
    allowed = ", ".join([DATASETS, *added])
    raise ValueError(f"{dataset} is not allowed; allowed: {allowed}{did_you_mean(dataset, added)}")


def is_binary(dataset: str) -> bool:
    """Returns whether a data set's items are probabilities of bits."""
    return dataset in BINARY or (not _ours(dataset) and bool(_registered("DATA")[dataset].binary))


def is_known(dataset: str) -> bool:
    """Returns whether the true P(x) of a data set is known."""
    if _ours(dataset):
        return dataset[:3].lower() == "toy"
    return bool(_registered("DATA")[dataset].known)


def _ours(dataset: str) -> bool:
    return dataset in BINARY or any(p.fullmatch(dataset) for p in (_TOY, _TEXT, _PCA))


def _dataset(value: str) -> str:
    data_dim(value)
    return value


Positive = Annotated[int, Field(ge=1)]
Components = Annotated[int, Field(ge=0, le=EPOCH_POINTS)]


class RunSpec(BaseModel):
    """All that a run's numbers depend on. Two equal specs are the same run."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dataset: Annotated[str, AfterValidator(_dataset)]
    model: Annotated[str, AfterValidator(MODELS.check)]
    seed: Annotated[int, Field(ge=0)] = 1
    z_dim: Positive = 2
    mid_dim: Positive = 50
    layers: Positive = 2
    act: Annotated[str, AfterValidator(ACTIVATIONS.check)] = "tanh"
    inv_h: bool = False
    # Beyond 18 the inverse of the floor's square, 10^36, leaves what float32 can hold.
    min_logvar: Annotated[int, Field(ge=0, le=18)] = 6
    warmup: Positive = 3
    epochs: Positive = 200
    batch_size: Annotated[int, Field(ge=1, le=EPOCH_POINTS)] = 128
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    p_z: Annotated[str, AfterValidator(P_Z.check)] = "anchor"
    q_x: Annotated[str, AfterValidator(Q_X.check)] = "marginal"
    q_x_samples: Annotated[str, AfterValidator(Q_X_SAMPLES.check)] = "conditional"
    p_z_gmm: Components = 0
    q_x_gmm: Components = 0
    q_zx_gmm: Components = 0
    p_xz_gmm: Components = 0
    learn_p_z: bool = False

    @model_validator(mode="after")
    def _compatible(self) -> "RunSpec":
        dataset = self.dataset
        for field, sentence in conflicts(self, known=is_known(dataset), binary=is_binary(dataset)):
            raise PydanticCustomError(
                "conflict", "{field}: {sentence}", {"field": field, "sentence": sentence}
            )
        return self

    @property
    def run_key(self) -> str:
        """16 hexadecimal digits that are equal for equal specs of one `SPEC_VERSION`."""
        canonical = json.dumps(
            {"version": SPEC_VERSION, **dict(self)}, sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def run_name(self) -> str:
        """A name for people, such as `mim-toy4_20-z2-m50-s1`; other fields where not default."""
        name = f"{self.model}-{self.dataset}-z{self.z_dim}-m{self.mid_dim}-s{self.seed}"
        for field, default in _DEFAULTS_OUTSIDE_NAME:
            value = getattr(self, field)
            if value == default:
                continue
            if isinstance(value, bool):
                name += f"-{field}"
            else:
                name += f"-{field}_{value}" if isinstance(value, str) else f"-{field}{value}"
        return name


_DEFAULTS_OUTSIDE_NAME = [
    (name, field.default)
    for name, field in RunSpec.model_fields.items()
    if name not in ("model", "dataset", "z_dim", "mid_dim", "seed")
]

_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than_equal": lambda ctx: f"it must be at least {ctx['ge']}",
    "greater_than": lambda ctx: f"it must be greater than {ctx['gt']:g}",
    "less_than_equal": lambda ctx: f"it must be at most {ctx['le']}",
    "finite_number": lambda ctx: "it must be a finite number",
    "int_type": lambda ctx: "it must be an integer",
    "float_type": lambda ctx: "it must be a number",
    "bool_type": lambda ctx: "it must be true or false",
    "string_type": lambda ctx: "it must be text",
    "list_type": lambda ctx: "it must be a list",
    "too_short": lambda ctx: f"it must have at least {ctx['min_length']} value",
    "dict_type": lambda ctx: "it must be a mapping",
    "model_type": lambda ctx: "it must be a mapping",
    "string_too_long": lambda ctx: f"it must have at most {ctx['max_length']} characters",
}


def explain(error: ErrorDetails) -> str:
    """Returns one of pydantic's errors as a sentence on what was given and what is allowed."""
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "conflict":
        return str(error["ctx"]["sentence"])
    if error["type"] == "missing":
        return "is required"
    rule = _SENTENCES.get(error["type"])
    allowed = rule(error.get("ctx", {})) if rule else error["msg"]
    return f"{shown(error['input'])} is not allowed; {allowed}"


def shown(value: object) -> str:
    """Returns a value as it would stand in a file, shortened."""
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Returns `; did you mean …?` with the nearest of `names`, or nothing if none is near."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def unknown(problem: str, name: str, names: Collection[str]) -> str:
    """Returns `problem` and the nearest of `names` or, if none is near, all of them."""
    return problem + (did_you_mean(name, names) or f"; allowed: {', '.join(names)}")


def one_of(names: Collection[str], kind: str) -> Callable[[str], str]:
    """Returns a validator that lets only `names` pass; `kind` says what they are."""

    def check(value: str) -> str:
        if value in names:
            return value
        raise ValueError(unknown(f"{shown(value)} is not a {kind}", value, names))

    return check
