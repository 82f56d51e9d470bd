"""Pages of reference, made from the code that reads files and names metrics, as Markdown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mimsweep.dashboards.drawing import style
from mimsweep.orchestrator import metrics as names
from mimsweep.orchestrator.files.schema import descriptions
from mimsweep.orchestrator.files.schema.documents import search_schema, sweep_schema
from mimsweep.orchestrator.files.schema.values import values

Schema = Mapping[str, Any]

_EPOCHS = {
    "train_loss": "Training loss (nats)",
    "test_loss": "Test loss, by which the best epoch is chosen (nats)",
    "beta": "β of the annealing",
    "lr": "Learning rate",
}
_BETTER = {1: "more", -1: "less", 0: ""}
_UNLIMITED = 10**18 - 1
"""What stands for no limit in the schema of a whole number."""


def fields() -> str:
    """Returns the table of the fields of a run: what may stand there, default, meaning."""
    rows = (
        (f"`{name}`", _allowed(schema), _default(schema), _text(schema["description"]))
        for name, schema in values().items()
    )
    return _table(("field", "values", "default", "what"), rows)


def metrics() -> str:
    """Returns the tables of metrics: name, what it is called in figures, which end is better."""
    measured = {
        "Measured at the end": names.FINAL_METRICS,
        "Of image models": names.IMAGE_METRICS,
        "Of the training": names.RUN_METRICS,
    }
    head = ("name", "what", "on an axis", "better")
    parts = [
        f"## {title}\n\n{_table(head, map(_measured, group))}" for title, group in measured.items()
    ]
    epochs = _table(("name", "what"), ((f"`{n}`", _EPOCHS[n]) for n in names.EPOCH_METRICS))
    return "\n\n".join([*parts, f"## After each epoch\n\n{epochs}"])


def _measured(name: str) -> Sequence[str]:
    known = style.metric(name)
    return f"`{name}`", _text(known.title), _text(known.label), _BETTER[known.better]


def keys() -> str:
    """Returns the tables of the keys of sweep and search files, of claims and of figures."""
    sweep, search = sweep_schema(), search_schema()
    parts = {
        "A sweep file": (sweep, descriptions.SWEEP),
        "`figures`": (sweep["$defs"]["Figures"], descriptions.FIGURES),
        "A claim": (sweep["$defs"]["Claim"], descriptions.CLAIM),
        "A search file": (search, descriptions.SEARCH),
        "An `objective`": (search["$defs"]["Objective"], descriptions.OBJECTIVE),
    }
    return "\n\n".join(f"## {title}\n\n{_keys(*part)}" for title, part in parts.items())


def _keys(schema: Schema, texts: Mapping[str, str]) -> str:
    required = schema.get("required", ())
    rows = (
        (f"`{key}`", "required" if key in required else "", _text(texts[key]))
        for key in schema["properties"]
    )
    return _table(("key", "", "what"), rows)


def _allowed(schema: Schema) -> str:
    if "anyOf" in schema:
        found = (_allowed(part) for part in schema["anyOf"])
        return "; ".join(dict.fromkeys(filter(None, found)))
    if "const" in schema:
        return "found"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = {"integer": "whole number", "number": "number", "boolean": "true or false"}
    if "pattern" in schema:
        return ""  # the description has these in words
    return " ".join([kind.get(schema["type"], "text"), *_limits(schema)])


def _limits(schema: Schema) -> Iterable[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [
        f"{sign} {schema[key]:,.10g}"
        for key, sign in signs.items()
        if key in schema and schema[key] != _UNLIMITED
    ]
    return [", ".join(limits)] if limits else []


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return "required"
    value = schema["default"]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else ""


def _text(words: str) -> str:
    return re.sub(r"([\\*_<>|\[\]])", r"\\\1", words)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
