"""Schemas of whole files, draft 2020-12: of a sweep, and of a search.

What one place of a file may say is told, and which keys go together; not which fields go together
in a run (`files.conflicts`), nor what a file that is named has in it.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mimsweep.orchestrator.files import search, sweep
from mimsweep.orchestrator.files.choices import JsonSchema
from mimsweep.orchestrator.files.claims.claim import Claim
from mimsweep.orchestrator.files.fields import RunFields
from mimsweep.orchestrator.files.schema import descriptions
from mimsweep.orchestrator.files.schema.values import (
    Untitled,
    dimension,
    either,
    fixed,
    has_step,
    values,
    varied,
)
from mimsweep.orchestrator.files.yamlfile import ASIDE

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def sweep_schema() -> JsonSchema:
    """Returns the schema of a sweep file, with what users' parts add."""
    defs = _definitions(
        {
            sweep.Document: descriptions.SWEEP,
            sweep.Figures: descriptions.FIGURES,
            Claim: descriptions.CLAIM,
        }
    )
    each = values()
    defs["block"] = {"minProperties": 1, **_mapping(each, varied)}
    block = {"$ref": "#/$defs/block"}
    return _document(
        defs,
        "mimsweep sweep",
        {
            "fixed": _mapping(each, fixed),
            "grid": either({"items": block}, block),
        },
        _not_twice(each, "grid"),
    )


def search_schema() -> JsonSchema:
    """Returns the schema of a search file, with what users' parts add."""
    defs = _definitions(
        {search.Document: descriptions.SEARCH, search.Objective: descriptions.OBJECTIVE}
    )
    each = values()
    seeds = varied({**each.pop("seed"), "description": descriptions.SEARCH["seeds"]})
    seeds.pop("default")
    one = {"$ref": "#/$defs/Objective"}
    space = {"minProperties": 1, **_mapping(each, dimension)}
    return _document(
        defs,
        "mimsweep search",
        {
            "fixed": _mapping(each, fixed),
            "seeds": seeds,
            "space": space,
            "objective": either({"items": one}, one),
        },
        [*_not_twice(each, "space"), *_methods(each)],
    )


def _definitions(models: Mapping[type[BaseModel], Mapping[str, str]]) -> JsonSchema:
    """Returns the schemas of models by their names, each key described."""
    _, made = models_json_schema(
        [(model, "validation") for model in models], schema_generator=Untitled
    )
    defs: JsonSchema = made["$defs"]
    for model, texts in models.items():
        described = defs[model.__name__]["properties"]
        for name, part in described.items():
            described[name] = {"description": texts[name], **part}
    return defs


def _document(
    defs: JsonSchema, title: str, parts: Mapping[str, JsonSchema], rules: list[JsonSchema]
) -> JsonSchema:
    """Returns a file's schema: that of its model, with what pydantic takes for anything."""
    document = defs.pop("Document")
    for name, part in parts.items():
        document["properties"][name] = {**document["properties"][name], **part}
    aside = "|".join(prefix.replace(".", r"\.") for prefix in ASIDE)
    return {
        "$schema": DIALECT,
        **document,
        "title": title,
        "description": f"A {title.removeprefix('mimsweep ')} file of mimsweep.",
        "patternProperties": {f"^(?:{aside})": {}},
        "allOf": rules,
        "$defs": defs,
    }


def _mapping(each: Mapping[str, JsonSchema], of: Any) -> JsonSchema:  # noqa: ANN401
    """Returns the schema of a mapping of fields, made `of` the schemas of their values."""
    properties = {name: of(value) for name, value in each.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _not_twice(each: Mapping[str, JsonSchema], other: str) -> list[JsonSchema]:
    """Returns rules: what is under `fixed` isn't elsewhere too; required fields are somewhere."""
    rules = []
    for name in each:
        rule: JsonSchema = {
            "if": {"required": ["fixed"], "properties": {"fixed": {"required": [name]}}},
            "then": _in(other, {"properties": {name: False}}),
        }
        if name in RunFields.model_fields and RunFields.model_fields[name].is_required():
            rule["else"] = {"required": [other], **_in(other, {"required": [name]})}
        rules.append(rule)
    return rules


def _in(key: str, rule: JsonSchema) -> JsonSchema:
    """Returns a rule of the mapping under a key, or of each of a list of them."""
    return {"properties": {key: {**rule, "items": rule}}}


def _methods(each: Mapping[str, JsonSchema]) -> list[JsonSchema]:
    """Returns rules of what sampler and pruner suit, as `search._check_methods` has them."""
    steps = {"properties": {"space": {"additionalProperties": has_step()}}}
    losses = [name for name in search.LOSS_OF if name in each]
    several = {
        "required": ["objective"],
        "properties": {"objective": {"type": "array", "minItems": 2}},
    }
    return [
        {"if": _says("sampler", "grid"), "then": steps},
        {
            "if": _says("pruner", "median", "hyperband"),
            "then": {"properties": {"space": {"properties": dict.fromkeys(losses, False)}}},
        },
        {"if": several, "then": {"properties": {"pruner": {"const": "none"}}}},
    ]


def _says(key: str, *values: str) -> JsonSchema:
    return {"required": [key], "properties": {key: {"enum": [*values]}}}
