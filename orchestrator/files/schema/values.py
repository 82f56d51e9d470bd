"""Schemas of the values of a field: one, several in a grid, the ends of a search.

They are made from the types and checks with which files are read. JSON has no infinities, and its
integers are those of mathematics: `.inf` and `1.0`, which a file may not have there, pass.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from mimsweep.orchestrator.files.choices import JsonSchema
from mimsweep.orchestrator.files.fields import (
    FOUND_FIELDS,
    RunFields,
    declared_fields,
    declared_type,
)
from mimsweep.orchestrator.files.schema.descriptions import FIELDS
from mimsweep.orchestrator.files.settings import RANGE

NUMBERS = ("integer", "number")

_NOT_NULL: JsonSchema = {"not": {"type": "null"}}


class Untitled(GenerateJsonSchema):
    """Leaves out titles that say a field's name again."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401
        """Returns False; pydantic asks for it."""
        return False


def values() -> dict[str, JsonSchema]:
    """Returns the schema of a value of each field, ours and those that users' parts declare."""
    ours: dict[str, JsonSchema] = RunFields.model_json_schema(schema_generator=Untitled)[
        "properties"
    ]
    found = {name: {"description": FIELDS[name], **schema} for name, schema in ours.items()}
    for name in FOUND_FIELDS:
        found[name] |= {"const": "", "doNotSuggest": True}  # to editors that know that word
    for name, defaults in declared_fields().items():
        kinds = [TypeAdapter(declared_type(default)).json_schema() for default in defaults]
        any_of: JsonSchema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        found[name] = {"description": "A field of your own.", **any_of, "default": defaults[0]}
    return found


def fixed(value: JsonSchema) -> JsonSchema:
    """Returns the schema of a field that has one value, which no range is."""
    free = value.get("type") == "string" and not {"enum", "anyOf"} & {*value}
    return {**value, "not": {"pattern": f"^{RANGE.pattern}$"}} if free else value


def varied(value: JsonSchema) -> JsonSchema:
    """Returns the schema of a field in a grid: one value, a list, or a range of integers."""
    told: JsonSchema = {k: value[k] for k in ("description", "default") if k in value}
    one = {key: part for key, part in value.items() if key not in told}
    ranges = [{"type": "string", "pattern": pattern} for pattern in _ranges(one)]
    alone = {"anyOf": [fixed(one), *ranges]} if ranges else fixed(one)
    return {**told, **either({"uniqueItems": True, "items": one}, alone)}


def either(several: JsonSchema, alone: JsonSchema) -> JsonSchema:
    """Returns the schema of a list that isn't empty, or of what stands alone.

    By the value's type, as what is wrong is told with its place then, which `anyOf` hides.
    """
    return {"if": {"type": "array"}, "then": {"minItems": 1, **several}, "else": alone}


def dimension(value: JsonSchema) -> JsonSchema:
    """Returns the schema of a field that is searched: between two numbers, or among choices."""
    one = {key: part for key, part in value.items() if key not in ("description", "default")}
    kinds = _kinds(one)
    ends: dict[str, JsonSchema] = {
        "categorical": {"type": "array", "minItems": 1, "uniqueItems": True, "items": one}
    }
    if set(NUMBERS) & kinds:
        ends["int"] = _ends({"allOf": [one, {"type": "integer"}]})
    if "number" in kinds:
        ends["float"] = _ends(one)
    steps: JsonSchema = {"type": ["number", "null"], "exclusiveMinimum": 0}
    ranged = {"log": {"type": "boolean"}, "step": steps} if len(ends) > 1 else {}
    forms: list[JsonSchema] = [{"required": [kind]} for kind in ends]
    forms[0] |= {"properties": dict.fromkeys(ranged, False)}
    above: JsonSchema = {"items": {"exclusiveMinimum": 0}}
    by_log = {"step": {"type": "null"}, "int": above, "float": above}
    by_int = {"step": {"type": ["integer", "null"]}}
    return {
        "description": value["description"],
        "type": "object",
        "additionalProperties": False,
        "properties": {**ends, **ranged},
        "oneOf": forms,
        "allOf": [
            {
                "if": {"required": ["log"], "properties": {"log": {"const": True}}},
                "then": {"properties": by_log},
            },
            {"if": {"required": ["int"]}, "then": {"properties": by_int}},
        ],
    }


def has_step() -> JsonSchema:
    """Returns the schema of a dimension whose points a grid can count."""
    return {
        "if": {"required": ["float"]},
        "then": {"required": ["step"], "properties": {"step": _NOT_NULL}},
    }


def _ends(one: JsonSchema) -> JsonSchema:
    return {"type": "array", "minItems": 2, "maxItems": 2, "items": one}


def _kinds(one: Mapping[str, Any]) -> set[str]:
    """Returns the types that a value can have."""
    parts = one.get("anyOf", ()) if "type" not in one else ()
    return {one["type"]} if "type" in one else {part["type"] for part in parts}


def _ranges(one: Mapping[str, Any]) -> list[str]:
    """Returns patterns of the ranges whose values a field can have, as far as a pattern tells."""
    parts = one["anyOf"] if "type" not in one else [one]
    return list(dict.fromkeys(filter(None, map(_range, parts))))


def _range(one: Mapping[str, Any]) -> str:
    if one["type"] not in NUMBERS or "exclusiveMaximum" in one:  # between 0 and 1 is no integer
        return ""
    least = one["minimum"] if "minimum" in one else one.get("exclusiveMinimum", -2) + 1
    if least < 0:
        return f"^{RANGE.pattern}$"
    number = "0*[1-9][0-9]*" if least else "(?:-?0+|0*[1-9][0-9]*)"
    return rf"^{number}\.\.{number}$"
