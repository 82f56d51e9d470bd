"""What the keys of a claim can have, each as a type that pydantic checks and a schema tells."""

import math
import re
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, ValidationInfo

from mimsweep.orchestrator.files.choices import JsonSchema, Told, among
from mimsweep.orchestrator.files.claims.where import (
    check_value,
    field_name,
    parse_where,
    where_schema,
)
from mimsweep.orchestrator.files.fields import field_names, types_of
from mimsweep.orchestrator.files.spec import listed, shown
from mimsweep.orchestrator.metrics import TABLE_METRICS

FEWEST = 3
"""Values that are ranked, at least."""

_CELLS = re.compile(r"(\d{1,6}) of (\d{1,6}) cells")


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


def _group(values: dict[str, Any]) -> dict[str, Any]:
    for field, value in values.items():
        check_value(field_name(field), "=", value)
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
    if not isinstance(values, list) or len(values) < FEWEST:
        allowed = f"it must be a list of {FEWEST} values or more"
        raise ValueError(f"{shown(values)} is not allowed; {allowed}")
    for index, value in enumerate(values):
        check_value(info.data.get("over") or "model", "=", value)
        if value in values[:index]:
            raise ValueError(f"{shown(value)} is listed twice")
    return tuple(values)


def _where(text: str) -> str:
    parse_where(text)
    return text


def _fields(value: object) -> Any:  # noqa: ANN401
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return tuple(dict.fromkeys(map(field_name, value)))
    if isinstance(value, str):
        return field_name(value)
    raise ValueError(f"{shown(value)} is not allowed; it must be a field, or a list of fields")


def _field_schema() -> JsonSchema:
    return among(field_names())


def _fields_schema() -> JsonSchema:
    several = {"type": "array", "minItems": 1, "items": _field_schema()}
    return {"anyOf": [_field_schema(), several]}


def _numeric_schema() -> JsonSchema:
    return among(n for n in field_names() if n != "seed" and {int, float} & {*types_of(n)})


def _over_schema() -> JsonSchema:
    return among(name for name in field_names() if name != "seed")


def _types(name: str) -> list[str]:
    kinds = {int: "number", float: "number", bool: "boolean", str: "string"}
    return [*dict.fromkeys(kinds[kind] for kind in types_of(name))]


def _group_schema() -> JsonSchema:
    properties = {name: {"type": _types(name)} for name in field_names()}
    return {
        "type": "object", "minProperties": 1, "additionalProperties": False,
        "properties": properties,
    }  # fmt: skip


def _than_schema() -> JsonSchema:
    return {"anyOf": [{"type": "number"}, _group_schema()]}


def _ranks_schema() -> JsonSchema:
    values = {"type": ["string", "number", "boolean"]}
    return {"type": "array", "minItems": FEWEST, "uniqueItems": True, "items": values}


def _cells_schema() -> JsonSchema:
    return {"type": "string", "pattern": r"^0*[1-9]\d* of 0*[1-9]\d* cells$"}


MetricName = Annotated[str, listed(TABLE_METRICS, "metric")]
Group = Annotated[dict[str, Any], Field(min_length=1), Told(_group, _group_schema)]
Than = Annotated[Any, Told(_group_or_number, _than_schema)]
Within = Annotated[FiniteFloat, Field(gt=0)]
SpecField = Annotated[str, Told(field_name, _field_schema)]
SpecFields = Annotated[Any, Told(_fields, _fields_schema)]
"""A field, or several, which are a tuple."""
Along = Annotated[str, Told(field_name, _numeric_schema)]
Over = Annotated[str, Told(field_name, _over_schema)]
Ranks = Annotated[Any, Told(_ranks, _ranks_schema)]
Cells = Annotated[Any, Told(parse_cells, _cells_schema)]
Where = Annotated[str, Told(_where, where_schema)]
