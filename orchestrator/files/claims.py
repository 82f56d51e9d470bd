"""Claims of a sweep file: the sentences that `mimsweep verify` judges, and the form they take.

A claim compares a metric of two groups of runs, or one metric of the one with another of the other,
or of one group with a number, or says that it falls or rises with a field. With `of` a comparison
says by how much: at least (`greater_by`, `less_by`; of a negative number, "no worse than"), or at
most (`within`). `ranks` lists values of the field `over` (the model, if it isn't said) from that of
the greatest metric to that of the least. `holds_in` asks it of so many of the cells only:

    - {claim: MIM keeps more, metric: mi, greater: {model: mim}, than: {model: vae}, where: z_dim >= 4}
    - {claim: VAE loses MI, metric: mi, falls_with: z_dim, where: model = vae and z_dim >= 4}
    - {claim: for sure, metric: mi_lower, greater: {model: mim}, than: {model: vae}, than_metric: mi_upper}
    - {claim: by far, metric: mi, of: {model: mim}, greater_by: 0.5, than: {model: vae}}
    - {claim: as likely, metric: nll, of: {model: mim}, within: 0.1, than: {model: vae}, holds_in: 9 of 10 cells}
    - {claim: in this order, metric: mi, ranks: [mim, vae, ae], over: model}

`where` chooses the runs: comparisons `field op value` joined by `and`, with the operators
= != < <= > >=. It is cut into tokens and compared; nothing in it is ever executed.
"""  # noqa: E501

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationInfo,
    model_validator,
)

from mimsweep.orchestrator.files.fields import check_name, types_of
from mimsweep.orchestrator.files.nodes import scalar
from mimsweep.orchestrator.files.spec import one_of, shown
from mimsweep.orchestrator.metrics import TABLE_METRICS

_FEWEST = 3  # values that are ranked
_BY = ("greater_by", "less_by", "within")
_FORMS = ("greater", "less", *_BY, "falls_with", "rises_with", "ranks")

_ON_SEEDS = (
    "runs of the same seed are compared, so a claim can't be on seeds; choose some with `where`, "
    "for example where: seed <= 5"
)

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")

Condition = tuple[str, str, Any]
"""A field, an operator, and the value that it is compared with."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<op>[=!<>]=|[=<>]) | (?P<quoted>"[^"]*"|'[^']*') | (?P<word>[^\s=!<>"']+))""",
    re.VERBOSE,
)

_CELLS = re.compile(r"(\d{1,6}) of (\d{1,6}) cells")


def parse_where(text: str) -> tuple[Condition, ...]:
    """Returns the conditions of a `where`, all of which a run must meet; none for empty text.

    Raises:
        ValueError: it is not comparisons of fields with values joined by `and`.
    """
    tokens = list(_tokens(text.rstrip()))
    conditions: list[Condition] = []
    while tokens:
        if conditions:
            kind, word = tokens.pop(0)
            if (kind, word) != ("word", "and"):
                raise ValueError(
                    f"{shown(word)} where `and` or the end should be, in {shown(text)}"
                )
        three, tokens = tokens[:3], tokens[3:]
        if [kind in ("word", "quoted") for kind, _ in three] != [True, False, True]:
            example = "`field op value`, for example z_dim >= 4"
            raise ValueError(f"{shown(text)} is not made of comparisons {example}")
        (_, field), (_, op), (kind, value) = three
        given = value[1:-1] if kind == "quoted" else scalar(value)
        conditions.append((_field(field), "=" if op == "==" else op, given))
    for condition in conditions:
        _check(*condition)
    return tuple(conditions)


def parse_cells(text: object) -> tuple[int, int]:
    """Returns k and n of a `holds_in`.

    Raises:
        ValueError: it is not `k of n cells`, with k from 1 to n.
    """
    match = _CELLS.fullmatch(text) if isinstance(text, str) else None
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        allowed = "it must say of how many, for example 9 of 10 cells"
        raise ValueError(f"{shown(text)} is not allowed; {allowed}")
    return int(match[1]), int(match[2])


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{shown(text[at:].strip())} can't be read, in {shown(text)}")
        assert match.lastgroup is not None
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def _field(name: str) -> str:
    return check_name(name, f"{shown(name)} is not a field")


def _check(field: str, op: str, value: object) -> None:
    """Refuses a value that the field can't have, and an order of values that have none."""
    kinds = types_of(field)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not any(numeric if kind in (int, float) else type(value) is kind for kind in kinds):
        names = {int: "a number", float: "a number", bool: "true or false", str: "text"}
        allowed = " or ".join(dict.fromkeys(names[kind] for kind in kinds))
        raise ValueError(f"{shown(value)} can't be compared with {field}, which is {allowed}")
    if op not in ("=", "!=") and not numeric:
        raise ValueError(f"{field} is no number, so it can only be compared by = and !=")


def _group(values: dict[str, Any]) -> dict[str, Any]:
    for field, value in values.items():
        _check(_field(field), "=", value)
    return values


def _group_or_number(value: object) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        if not value:
            raise ValueError("{} is empty; give at least one field, for example {model: vae}")
        return _group(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    text = "it must be a mapping of fields or a finite number"
    raise ValueError(f"{shown(value)} is not allowed; {text}")


def _ranks(values: object, info: ValidationInfo) -> tuple[Any, ...]:
    if not isinstance(values, list) or len(values) < _FEWEST:
        allowed = f"it must be a list of {_FEWEST} values or more"
        raise ValueError(f"{shown(values)} is not allowed; {allowed}")
    for index, value in enumerate(values):
        _check(info.data.get("over") or "model", "=", value)
        if value in values[:index]:
            raise ValueError(f"{shown(value)} is listed twice")
    return tuple(values)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _where(text: str) -> str:
    parse_where(text)
    return text


def _fields(value: object) -> Any:  # noqa: ANN401
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(dict.fromkeys(map(_field, value)))
    if isinstance(value, str):
        return _field(value)
    raise ValueError(f"{shown(value)} is not allowed; it must be a field, or a list of fields")


Group = Annotated[dict[str, Any], Field(min_length=1), AfterValidator(_group)]
MetricName = Annotated[str, AfterValidator(one_of(TABLE_METRICS, "metric"))]
SpecField = Annotated[str, AfterValidator(_field)]
SpecFields = Annotated[Any, AfterValidator(_fields)]
"""A field, or several, which are a tuple."""


class Claim(BaseModel):
    """A sentence on a sweep's runs, and the comparison that decides whether it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    claim: Annotated[str, Field(min_length=1)]
    metric: MetricName
    greater: Group | None = None
    less: Group | None = None
    of: Group | None = None
    greater_by: FiniteFloat | None = None
    less_by: FiniteFloat | None = None
    within: Annotated[FiniteFloat, Field(gt=0)] | None = None
    than: Annotated[Any, AfterValidator(_group_or_number)] = None
    than_metric: MetricName | None = None
    falls_with: SpecField | None = None
    rises_with: SpecField | None = None
    over: SpecField | None = None
    ranks: Annotated[Any, AfterValidator(_ranks)] = None
    where: Annotated[str, AfterValidator(_where)] = ""
    holds_in: Annotated[Any, AfterValidator(parse_cells)] = None

    @model_validator(mode="after")
    def _one_form(self) -> "Claim":
        given = [name for name in _FORMS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"give one of {', '.join(_FORMS)}; there is {found}")
        form = given[0]
        if (form in _BY) != (self.of is not None):
            raise ValueError(f"`of` goes with {_listed(_BY)}, and they with it")
        compared = ("greater", "less", *_BY)
        if (form in compared) != (self.than is not None):
            raise ValueError(f"`than` goes with {_listed(compared)}, and they with it")
        if self.over and form != "ranks":
            raise ValueError("`over` goes with ranks")
        if self.over == "seed":
            raise ValueError(_ON_SEEDS)
        if self.than_metric and not isinstance(self.than, dict):
            raise ValueError("`than_metric` goes with a `than` that chooses runs")
        along = self.falls_with or self.rises_with
        if along and not {int, float} & {*types_of(along)}:
            raise ValueError(f"{along} is no number, so nothing falls or rises with it")
        self._check_pairs()
        return self

    def _check_pairs(self) -> None:
        """Refuses what no pair of runs of one seed can decide, however many seeds there are."""
        one, other = self.greater or self.less or self.of or {}, self.than
        seeds = {
            group["seed"] for group in (one, other) if isinstance(group, dict) and "seed" in group
        }
        if "seed" in (self.falls_with, self.rises_with) or len(seeds) > 1:
            raise ValueError(_ON_SEEDS)
        if one == other and self.than_metric in (None, self.metric):
            raise ValueError("the group after `than` is the same, so nothing is compared")

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What `where` says."""
        return parse_where(self.where)

    @property
    def ranked(self) -> str | None:
        """The field whose values it ranks."""
        return (self.over or "model") if self.ranks else None

    @property
    def sign(self) -> Literal[1, 0, -1]:
        """1 where more is claimed, a rise or ranks, −1 where less or a fall, 0 where neither."""
        if self.within is not None:
            return 0
        more = (self.greater, self.greater_by, self.rises_with, self.ranks)
        return 1 if any(given is not None for given in more) else -1

    @property
    def margin(self) -> float:
        """By how much at least, or at most."""
        return self.greater_by or self.less_by or self.within or 0.0

    @property
    def fields(self) -> set[str]:
        """The fields that it names."""
        groups = [
            group
            for group in (self.greater, self.less, self.of, self.than)
            if isinstance(group, dict)
        ]
        along = filter(None, (self.falls_with, self.rises_with, self.ranked))
        return {*(field for field, _, _ in self.conditions), *along}.union(*groups)
