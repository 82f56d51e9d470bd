"""The fields of a run, ours and those that its parts declare, and the values that each can have."""

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from mimsweep.orchestrator.files.choices import (
    ACTIVATIONS,
    DATASET,
    IMAGE_MODELS,
    MODELS,
    NETWORKS,
    P_Z,
    PRIORS,
    Q_X,
    Q_X_SAMPLES,
    did_you_mean,
    is_file,
    not_imported,
    registered,
)
from mimsweep.orchestrator.metrics import EPOCH_METRICS, TABLE_METRICS

IMAGE_FIELDS = (
    "prior",
    "pseudo_inputs",
    "use_training_data_init",
    "patience",
    "likelihood_samples",
    "train_items",
    "test_items",
)
"""The fields that only the two-level image models have."""

OTHERS_FIELDS = (
    "mid_dim",
    "layers",
    "act",
    "inv_h",
    "min_logvar",
    "p_z",
    "q_x",
    "q_x_samples",
    "p_z_gmm",
    "q_x_gmm",
    "q_zx_gmm",
    "p_xz_gmm",
    "learn_p_z",
    "encoder",
    "decoder",
)
"""The fields that they don't have."""

METHODS_FIELDS = {
    "vae": ("beta_end", "cycles", "free_bits", "bn_gamma", "mmd", "importance_samples"),
    "cmim": ("temperature",),
}
"""The fields that one model alone has (docs/remedies.md)."""
FILE_FIELDS = ("test_fraction", "standardise", "label", "bits")
"""The fields that only runs on data files have, beside what is found of them."""

FOUND_FIELDS = {"content"}
"""The fields that nobody sets."""

EPOCH_POINTS = 10_000
"""Points in an epoch of toy data, the smallest epoch there is: no batch can be larger."""

LARGEST = 10**18 - 1
"""Of an integer: 18 digits fit an int64."""

Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Components = Annotated[int, Field(ge=0, le=EPOCH_POINTS)]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class RunFields(BaseModel):
    """The fields of a run; those that its parts declare are what pydantic calls extras."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    dataset: Annotated[str, DATASET]
    model: Annotated[str, MODELS.told]
    seed: Annotated[int, Field(ge=0, le=LARGEST)] = 1
    z_dim: Positive = 2
    mid_dim: Positive = 50
    layers: Positive = 2
    act: Annotated[str, ACTIVATIONS.told] = "tanh"
    inv_h: bool = False
    # Beyond 18 the inverse of the floor's square, 10^36, leaves what float32 can hold.
    min_logvar: Annotated[int, Field(ge=0, le=18)] = 6
    warmup: Positive = 3
    epochs: Positive = 200
    batch_size: Annotated[int, Field(ge=1, le=EPOCH_POINTS)] = 128
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    p_z: Annotated[str, P_Z.told] = "anchor"
    q_x: Annotated[str, Q_X.told] = "marginal"
    q_x_samples: Annotated[str, Q_X_SAMPLES.told] = "conditional"
    p_z_gmm: Components = 0
    q_x_gmm: Components = 0
    q_zx_gmm: Components = 0
    p_xz_gmm: Components = 0
    learn_p_z: bool = False
    prior: Annotated[str, PRIORS.told] = "standard"
    pseudo_inputs: Annotated[int, Field(ge=1, le=EPOCH_POINTS)] = 500
    use_training_data_init: bool = True
    patience: Positive = 50
    likelihood_samples: Positive = 5000
    train_items: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    test_items: Annotated[int, Field(ge=0, le=LARGEST)] = 0
    beta_end: Weight = 1.0
    cycles: Annotated[int, Field(ge=1, le=EPOCH_POINTS)] = 1
    free_bits: Weight = 0.0
    bn_gamma: Weight = 0.0
    mmd: Weight = 0.0
    importance_samples: Annotated[int, Field(ge=1, le=EPOCH_POINTS)] = 1
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    standardise: bool = True
    label: Annotated[str, Field(max_length=200)] = ""
    bits: bool = False
    content: str = ""
    encoder: Annotated[str, NETWORKS.told] = "mlp"
    decoder: Annotated[str, NETWORKS.told] = "mlp"

    @model_validator(mode="after")
    def _holds_declared(self) -> "RunFields":
        parts = {chooser: getattr(self, chooser) for chooser in _CHOOSERS}
        defaults = defaults_of(parts)
        for name in self.declared:
            if name not in defaults:
                raise conflict(name, _not_declared(name, parts, defaults))
        if defaults:
            typed = _typed(tuple((name, type(value), value) for name, value in defaults.items()))
            values = dict(typed.model_validate(self.declared))
            self.declared.clear()  # so that all runs have them in one order
            self.declared.update(values)
        return self

    @property
    def declared(self) -> dict[str, Any]:
        """The fields that its parts declare, by name: its loss and networks, if they are a user's.

        All are there, those that weren't given with their defaults.
        """
        assert self.__pydantic_extra__ is not None
        return self.__pydantic_extra__

    @property
    def of_images(self) -> bool:
        """Whether it is a two-level image model, which has training and measures of its own."""
        return self.model in IMAGE_MODELS

    @property
    def of_file(self) -> bool:
        """Whether its data set is a file."""
        return is_file(self.dataset)

    @property
    def users_networks(self) -> list[str]:
        """The names of its networks that are a user's, each once."""
        return sorted({self.encoder, self.decoder} - {"mlp"})

    @property
    def users_loss(self) -> bool:
        """Whether its loss is a user's."""
        return self.model not in MODELS.now

    def own_fields(self) -> dict[str, Any]:
        """Returns the fields that its model and data have; the others have their defaults."""
        others = {*self.lacking}
        if not self.of_file:
            others |= {*FILE_FIELDS, *FOUND_FIELDS}
        return {name: value for name, value in self if name not in others}

    @property
    def lacking(self) -> tuple[str, ...]:
        """The fields of ours that its model doesn't have."""
        of_others = OTHERS_FIELDS if self.of_images else IMAGE_FIELDS
        methods = (own for model, own in METHODS_FIELDS.items() if model != self.model)
        return (*of_others, *(name for own in methods for name in own))


_CHOOSERS = {"model": MODELS, "encoder": NETWORKS, "decoder": NETWORKS}
"""The fields that choose a part that can declare fields."""

_OTHER_COLUMNS = ("run_key", "run_id", "run_name", "status", "epoch", "method")
_COLUMNS = {*TABLE_METRICS, *EPOCH_METRICS, *_OTHER_COLUMNS}
"""Names that tables have beside those of fields."""


def _types() -> dict[type, Any]:
    """Returns the values that a declared field can have, by the type of its default."""
    from mimsweep.models.parts import MOST_CHARACTERS

    return {
        bool: bool,
        int: Annotated[int, Field(ge=-LARGEST, le=LARGEST)],
        float: Annotated[float, Field(allow_inf_nan=False)],
        str: Annotated[str, Field(max_length=MOST_CHARACTERS)],
    }


def conflict(field: str, sentence: str) -> PydanticCustomError:
    """Returns the error of a run that blames one of its fields."""
    return PydanticCustomError(
        "conflict", "{field}: {sentence}", {"field": field, "sentence": sentence}
    )


def defaults_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that the parts of a run declare, and their defaults.

    Args:
        parts: their names, by the field that chooses them.
    """
    by: dict[str, Any] = {}
    for chooser, choices in _CHOOSERS.items():
        name = parts.get(chooser)
        if name is None or name in choices.now:
            continue
        part: Any = registered(choices.added).get(name)
        for field in part.fields if part else ():
            if field in _COLUMNS or field in RunFields.model_fields or hasattr(RunFields, field):
                text = f"the field {field}, a name of ours; rename it, in {part.at}"
                raise conflict(chooser, f"{name} declares {text}")
            if by.setdefault(field, part) is not part:
                text = f"the field {field}, as does what is registered in {by[field].at}"
                raise conflict(chooser, f"{name} declares {text}; rename one, in {part.at}")
    return {field: part.fields[field] for field, part in by.items()}


@lru_cache(maxsize=256)
def _typed(defaults: tuple[tuple[str, type, Any], ...]) -> type[BaseModel]:
    """Returns what holds declared fields, given as name, type and default, to their types."""
    # The type is part of the key: 1, 1.0 and True are equal.
    types = _types()
    fields: Any = {name: (types[kind], value) for name, kind, value in defaults}
    config = ConfigDict(strict=True, protected_namespaces=())
    return create_model("Declared", __config__=config, **fields)


def types_of(name: str) -> list[Any]:
    """Returns the types that values of a field can have; none if nobody has such a field.

    Parts that aren't of one run may give a field different ones.

    Raises:
        ValueError: what users have written can't be imported.
    """
    if name in RunFields.model_fields:
        return [RunFields.model_fields[name].annotation]
    return [type(part.fields[name]) for _, part in _users_parts() if name in part.fields]


def declared_fields() -> dict[str, list[Any]]:
    """Returns the fields that users' parts declare, and the defaults that they have there."""
    found: dict[str, list[Any]] = {}
    for _, part in _users_parts():
        for name, default in part.fields.items():
            found.setdefault(name, []).append(default)
    return found


def field_names() -> list[str]:
    """Returns the names of all fields that there are, ours first."""
    return [*RunFields.model_fields, *declared_fields()]


def declared_type(default: object) -> Any:  # noqa: ANN401
    """Returns the values that a declared field can have, as pydantic has them."""
    return _types()[type(default)]


def check_name(name: str, problem: str = "no such field") -> str:
    """Returns the name of a field, ours or one that a user's part declares, or says what is."""
    if types_of(name):
        return name
    names = field_names()
    near = did_you_mean(name, names) or f"; allowed: {', '.join(names)}{not_imported()}"
    raise ValueError(f"{problem}{near}")


def _not_declared(field: str, parts: Mapping[str, str], defaults: Collection[str]) -> str:
    """Returns why a run can't have a field, in a sentence."""
    chosen = {c: name for c, name in parts.items() if name != RunFields.model_fields[c].default}
    of = ", ".join(f"{chooser} {name}" for chooser, name in chosen.items())
    having = [named for named, part in _users_parts() if field in part.fields]
    more = f"; allowed with: {', '.join(having)}" if having else ""
    return f"{field} is no field of {of}{did_you_mean(field, defaults) or more}"


def _users_parts() -> Iterator[tuple[str, Any]]:
    """Yields what users have added that can declare fields: `model wae`, and the part itself."""
    for chooser, choices in _CHOOSERS.items():
        for name, part in registered(choices.added).items():
            yield f"{chooser} {name}", part
