"""What one run is: `RunSpec`, its key and name, and what is wrong with its fields in sentences."""

import hashlib
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr, ValidationInfo, model_validator
from pydantic_core import ErrorDetails

from mimsweep.orchestrator.files import choices
from mimsweep.orchestrator.files.choices import Told, among, did_you_mean, is_known
from mimsweep.orchestrator.files.conflicts import conflicts
from mimsweep.orchestrator.files.fields import FOUND_FIELDS, RunFields, conflict

if TYPE_CHECKING:
    from mimsweep.models.data.files.found import DataFile

SPEC_VERSION = 2
"""Part of every `run_key`. Raised by whatever changes the numbers that an unchanged `RunSpec` comes
to: data, noise or the order of their streams, initialisation, a loss, the optimiser or the stop,
how a metric is measured. Not raised by speed, by what is stored beside, or by new values of a
field. A new field stays out of the key while it has its default, or all old runs would be lost.

1: torch's generators. 2: counted numbers (`models.philox`)."""

IMAGES_VERSION = 1
"""That of the runs of two-level models of images, which draw from torch's generators."""

_IN_EVERY_KEY = (
    "dataset",
    "model",
    "seed",
    "z_dim",
    *("mid_dim", "layers", "act", "inv_h", "min_logvar"),
    *("warmup", "epochs", "batch_size", "lr"),
    *("p_z", "q_x", "q_x_samples", "p_z_gmm", "q_x_gmm", "q_zx_gmm", "p_xz_gmm", "learn_p_z"),
)
"""The fields that the first runs had; all others came later."""

VARIES_IN_COHORT = ("seed", "lr", "warmup", "epochs")
"""The fields in which the runs of one cohort may differ; in all others they agree."""


KEPT_DATA = Path(".mimsweep", "data")
"""Where the parts of data files are kept, as they are trained on."""


class RunSpec(RunFields):
    """All that a run's numbers depend on. Two equal specs are the same run.

    Of a data file that is its content: validated in the context of a folder, from which relative
    paths start, a spec finds its file, and fills `content` in.
    """

    _file: "DataFile | None" = PrivateAttr(None)

    @model_validator(mode="after")
    def _compatible(self, info: ValidationInfo) -> "RunSpec":
        if self.of_file and info.context is not None:
            self._find(info.context)
        known, binary = is_known(self.dataset), self.is_binary
        for field, sentence in conflicts(self, known=known, binary=binary, file=self._file):
            raise conflict(field, sentence)
        return self

    def _find(self, folder: Path) -> None:
        from mimsweep.models.data.files.found import find
        from mimsweep.models.data.files.reading import FileError

        name = self.dataset.removeprefix(choices.FILE)
        try:
            found = find(name, self.label, self.test_fraction, folder, KEPT_DATA)
        except FileError as error:
            raise conflict(error.field, str(error)) from None
        if FOUND_FIELDS & self.model_fields_set:
            raise conflict("content", "is what a data file has in it, and found; leave it out")
        self._file = found
        object.__setattr__(self, "content", found.content)  # nobody has the spec yet

    @property
    def file(self) -> "DataFile | None":
        """Its data file, if it has one and that was found."""
        return self._file

    @property
    def data_dim(self) -> int:
        """D, the dimensions of an item."""
        return self._file.facts.dims if self._file else choices.data_dim(self.dataset)

    @property
    def is_binary(self) -> bool:
        """Whether its data are probabilities of bits."""
        if self.of_file:
            return self.bits or (self._file is not None and self._file.facts.bits)
        return choices.is_binary(self.dataset)

    @property
    def run_key(self) -> str:
        """16 hexadecimal digits that are equal for equal specs of one `SPEC_VERSION`."""
        return self._key(self._version)

    @property
    def older_keys(self) -> list[str]:
        """The keys that it had by older versions, the first one first."""
        return [self._key(version) for version in range(1, self._version)]

    def key_among(self, keys: Collection[str]) -> str:
        """Returns its key by the newest version that is among `keys`; today's if none is."""
        if self.run_key in keys:
            return self.run_key
        return next((key for key in reversed(self.older_keys) if key in keys), self.run_key)

    @property
    def _version(self) -> int:
        return IMAGES_VERSION if self.of_images else SPEC_VERSION

    @property
    def key_of_any_content(self) -> str:
        """What its key would be, whatever its data file had in it."""
        return self._key(self._version, content="")

    def _key(self, version: int, **instead: str) -> str:
        fields = {
            name: getattr(self, name)
            for name, field in RunSpec.model_fields.items()
            if name in _IN_EVERY_KEY or getattr(self, name) != field.default
        }
        if self.of_file:
            fields |= {"dataset": "file", **instead}  # wherever it is on this machine
        # Theirs are always in, as a user may change a default.
        declared = {"declared": self.declared} if self.declared else {}
        canonical = json.dumps(
            {"version": version, **fields, **declared}, sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def run_name(self) -> str:
        """A name for people, such as `mim-toy4_20-z2-m50-s1`; and what else is not default."""
        width = "" if self.of_images else f"-m{self.mid_dim}"
        name = f"{self.model}-{self.dataset}-z{self.z_dim}{width}-s{self.seed}"
        others = {
            field: value
            for field, default in _DEFAULTS_OUTSIDE_NAME
            if (value := getattr(self, field)) != default
        }
        for field, value in {**others, **self.declared}.items():
            if isinstance(value, bool):
                name += f"-{field}" if value else f"-no_{field}"
            else:
                name += f"-{field}_{value}" if isinstance(value, str) else f"-{field}{value}"
        return name


_DEFAULTS_OUTSIDE_NAME = [
    (name, field.default)
    for name, field in RunSpec.model_fields.items()
    if name not in ("model", "dataset", "z_dim", "mid_dim", "seed", *FOUND_FIELDS)
]


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than_equal": lambda ctx: f"it must be at least {ctx['ge']}",
    "greater_than": lambda ctx: f"it must be greater than {ctx['gt']:g}",
    "less_than": lambda ctx: f"it must be less than {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"it must be at most {ctx['le']}",
    "finite_number": lambda ctx: "it must be a finite number",
    "int_type": lambda ctx: "it must be an integer",
    "float_type": lambda ctx: "it must be a number",
    "bool_type": lambda ctx: "it must be true or false",
    "string_type": lambda ctx: "it must be text",
    "list_type": lambda ctx: "it must be a list",
    "sequence_str": lambda ctx: "it must be a list of texts",
    "too_short": lambda ctx: f"it must have at least {ctx['min_length']} value",
    "dict_type": lambda ctx: "it must be a mapping",
    "model_type": lambda ctx: "it must be a mapping",
    "literal_error": lambda ctx: f"allowed: {ctx['expected']}",
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


def unknown(problem: str, name: str, names: Collection[str]) -> str:
    """Returns `problem` and the nearest of `names` or, if none is near, all of them."""
    return problem + (did_you_mean(name, names) or f"; allowed: {', '.join(names)}")


def one_of(names: Collection[str], kind: str) -> Callable[[str], str]:
    """Returns a check that lets only `names` pass; `kind` says what they are."""

    def check(value: str) -> str:
        if value in names:
            return value
        raise ValueError(unknown(f"{shown(value)} is not a {kind}", value, names))

    return check


def listed(names: Collection[str], kind: str) -> Told:
    """Returns the same check, for pydantic."""
    return Told(one_of(names, kind), lambda: among(names))
