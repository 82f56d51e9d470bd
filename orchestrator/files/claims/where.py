"""`where` of a claim: which runs it is about, comparisons of fields with values.

`field op value` joined by `and`, with the operators = != < <= > >=. It is cut into tokens and
compared; nothing in it is ever executed.
"""

import re
from typing import Any

from mimsweep.orchestrator.files.choices import JsonSchema
from mimsweep.orchestrator.files.fields import check_name, field_names, types_of
from mimsweep.orchestrator.files.nodes import scalar
from mimsweep.orchestrator.files.spec import shown

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
        conditions.append((field_name(field), "=" if op == "==" else op, given))
    for condition in conditions:
        check_value(*condition)
    return tuple(conditions)


def field_name(name: str) -> str:
    """Returns the name of a field.

    Raises:
        ValueError: there is no such field; the sentence says which name is near.
    """
    return check_name(name, f"{shown(name)} is not a field")


def check_value(field: str, op: str, value: object) -> None:
    """Refuses a value that the field can't have, and an order of values that have none.

    Raises:
        ValueError: it is one of these.
    """
    kinds = types_of(field)
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not any(numeric if kind in (int, float) else type(value) is kind for kind in kinds):
        names = {int: "a number", float: "a number", bool: "true or false", str: "text"}
        allowed = " or ".join(dict.fromkeys(names[kind] for kind in kinds))
        raise ValueError(f"{shown(value)} can't be compared with {field}, which is {allowed}")
    if op not in ("=", "!=") and not numeric:
        raise ValueError(f"{field} is no number, so it can only be compared by = and !=")


def where_schema() -> JsonSchema:
    """Returns the pattern of the texts that `parse_where` takes, as far as a pattern tells."""
    quoted, word = """(?:"[^"]*"|'[^']*')""", r"""[^\s=!<>"']+"""
    field_op = rf"(?:{'|'.join(field_names())})\s*(?:[=!<>]=|[=<>])\s*"
    more = rf"(?:{field_op}(?:{quoted}\s*|{word}\s+)and\s+)*"
    return {"pattern": rf"^\s*(?:{more}{field_op}(?:{quoted}|{word})\s*)?$"}


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
