"""Claims of a sweep file: the sentences that `mimsweep verify` judges, and the form they take.

A claim compares a metric of two groups of runs, or one metric of the one with another of the other,
or of one group with a number, or says that it falls or rises with a field:

    - {claim: MIM keeps more, metric: mi, greater: {model: mim}, than: {model: vae}, where: z_dim >= 4}
    - {claim: VAE loses MI, metric: mi, falls_with: z_dim, where: model = vae and z_dim >= 4}
    - {claim: for sure, metric: mi_lower, greater: {model: mim}, than: {model: vae}, than_metric: mi_upper}

`where` chooses the runs: comparisons `field op value` joined by `and`, with the operators
= != < <= > >=. It is cut into tokens and compared; nothing in it is ever executed.
"""  # noqa: E501

import math
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mimsweep.orchestrator.files.choices import JsonSchema, Told, among
from mimsweep.orchestrator.files.fields import check_name, field_names, types_of
from mimsweep.orchestrator.files.nodes import scalar
from mimsweep.orchestrator.files.spec import listed, shown
from mimsweep.orchestrator.metrics import TABLE_METRICS

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")

Condition = tuple[str, str, Any]
"""A field, an operator, and the value that it is compared with."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<op>[=!<>]=|[=<>]) | (?P<quoted>"[^"]*"|'[^']*') | (?P<word>[^\s=!<>"']+))""",
    re.VERBOSE,
)


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


def _where(text: str) -> str:
    parse_where(text)
    return text


def _fields(value: object) -> Any:  # noqa: ANN401
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(dict.fromkeys(map(_field, value)))
    if isinstance(value, str):
        return _field(value)
    raise ValueError(f"{shown(value)} is not allowed; it must be a field, or a list of fields")


def _field_schema() -> JsonSchema:
    return among(field_names())


def _along_schema() -> JsonSchema:
    return among(n for n in field_names() if n != "seed" and {int, float} & {*types_of(n)})


def _group_schema() -> JsonSchema:
    kinds = {int: "number", float: "number", bool: "boolean", str: "string"}
    of = {name: [*dict.fromkeys(kinds[kind] for kind in types_of(name))] for name in field_names()}
    properties = {name: {"type": types} for name, types in of.items()}
    return {
        "type": "object", "minProperties": 1, "additionalProperties": False,
        "properties": properties,
    }  # fmt: skip


def _where_schema() -> JsonSchema:
    quoted, word = """(?:"[^"]*"|'[^']*')""", r"""[^\s=!<>"']+"""
    field_op = rf"(?:{'|'.join(field_names())})\s*(?:[=!<>]=|[=<>])\s*"
    more = rf"(?:{field_op}(?:{quoted}\s*|{word}\s+)and\s+)*"
    return {"pattern": rf"^\s*(?:{more}{field_op}(?:{quoted}|{word})\s*)?$"}


Group = Annotated[dict[str, Any], Field(min_length=1), Told(_group, _group_schema)]
MetricName = Annotated[str, listed(TABLE_METRICS, "metric")]
SpecField = Annotated[str, Told(_field, _field_schema)]
SpecFields = Annotated[
    Any,
    Told(
        _fields,
        lambda: {
            "anyOf": [_field_schema(), {"type": "array", "minItems": 1, "items": _field_schema()}]
        },
    ),
]
"""A field, or several, which are a tuple."""
_Along = Annotated[str, Told(_field, _along_schema)]
_Than = Annotated[
    Any, Told(_group_or_number, lambda: {"anyOf": [{"type": "number"}, _group_schema()]})
]


def _rules(schema: JsonSchema) -> None:
    """Adds what `Claim._one_form` refuses to the schema of a claim."""

    def given(name: str) -> JsonSchema:
        return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}

    schema["oneOf"] = [given(name) for name in ("greater", "less", "falls_with", "rises_with")]
    groups, than = {"anyOf": [given("greater"), given("less")]}, {"required": ["than"]}
    schema["allOf"] = [
        {"if": groups, "then": than, "else": {"properties": {"than": False}}},
        {"if": given("than_metric"), "then": {**than, "properties": {"than": {"type": "object"}}}},
    ]


class Claim(BaseModel):
    """A sentence on a sweep's runs, and the comparison that decides whether it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, json_schema_extra=_rules)

    claim: Annotated[str, Field(min_length=1)]
    metric: MetricName
    greater: Group | None = None
    less: Group | None = None
    than: _Than = None
    than_metric: MetricName | None = None
    falls_with: _Along | None = None
    rises_with: _Along | None = None
    where: Annotated[str, Told(_where, _where_schema)] = ""

    @model_validator(mode="after")
    def _one_form(self) -> "Claim":
        given = [
            name
            for name in ("greater", "less", "falls_with", "rises_with")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"give one of greater, less, falls_with, rises_with; there is {found}")
        if (given[0] in ("greater", "less")) != (self.than is not None):
            raise ValueError("`than` goes with greater and less, and they with it")
        if self.than_metric and not isinstance(self.than, dict):
            raise ValueError("`than_metric` goes with a `than` that chooses runs")
        along = self.falls_with or self.rises_with
        if along and not {int, float} & {*types_of(along)}:
            raise ValueError(f"{along} is no number, so nothing falls or rises with it")
        self._check_pairs()
        return self

    def _check_pairs(self) -> None:
        """Refuses what no pair of runs of one seed can decide, however many seeds there are."""
        one, other = self.greater or self.less or {}, self.than
        seeds = {
            group["seed"] for group in (one, other) if isinstance(group, dict) and "seed" in group
        }
        if "seed" in (self.falls_with, self.rises_with) or len(seeds) > 1:
            raise ValueError(
                "runs of the same seed are compared, so a claim can't be on seeds; choose some "
                "with `where`, for example where: seed <= 5"
            )
        if one == other and self.than_metric in (None, self.metric):
            raise ValueError("the group after `than` is the same, so nothing is compared")

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What `where` says."""
        return parse_where(self.where)

    @property
    def fields(self) -> set[str]:
        """The fields that it names."""
        groups = [
            group for group in (self.greater, self.less, self.than) if isinstance(group, dict)
        ]
        along = filter(None, (self.falls_with, self.rises_with))
        return {*(field for field, _, _ in self.conditions), *along}.union(*groups)
