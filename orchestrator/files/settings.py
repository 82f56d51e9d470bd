"""What sweep and search files share: names, values of fields, models read with positions."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ValidationError

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.choices import Told
from mimsweep.orchestrator.files.fields import LARGEST, check_name
from mimsweep.orchestrator.files.spec import explain, shown, unknown
from mimsweep.orchestrator.files.yamlfile import YamlFile, YamlPath

M = TypeVar("M", bound=BaseModel)

_OF_SEARCHES = ("space", "objective", "trials")
"""Keys that every search file must have, and no sweep file can."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
RANGE = re.compile(r"(-?[0-9]{1,300})\.\.(-?[0-9]{1,300})")
"""An inclusive range of whole numbers, `1..10`."""


def _name(value: str) -> str:
    if _NAME.fullmatch(value):
        return value
    raise ValueError(
        f"{shown(value)} is not allowed; it must be 1 to 100 letters, digits, '.', '_' and '-', "
        "the first a letter or digit"
    )


def is_search(data: Mapping[str, Any]) -> bool:
    """Returns whether what stands in a file is a search; else it is a sweep."""
    return "grid" not in data and not data.keys().isdisjoint(_OF_SEARCHES)


Name = Annotated[str, Told(_name, lambda: {"pattern": f"^{_NAME.pattern}$"})]
"""Of a sweep or search, which is that of its experiment in MLflow too."""


@dataclass(frozen=True)
class Setting:
    """The values of one field, and how to make the error that blames the one at an index."""

    values: Sequence[Any]
    error: Callable[[int, str], SpecError]


def read_model(
    file: YamlFile,
    model: type[M],
    value: Any,  # noqa: ANN401
    where: YamlPath = (),
    inner: Mapping[str, type[BaseModel]] | None = None,
) -> M:
    """Returns a part of a file, checked.

    Args:
        file: the file.
        model: what the part is to be.
        value: the part.
        where: its path; by default it is the whole.
        inner: what stands under some of its keys, for errors that name what is allowed there.

    Raises:
        SpecError: the first thing that is wrong.
    """
    try:
        return model.model_validate(value)
    except ValidationError as invalid:
        # A misspelt field is also a missing one: tell the misspelling.
        error = min(invalid.errors(), key=lambda error: error["type"] != "extra_forbidden")
    path = tuple(error["loc"])
    if error["type"] == "extra_forbidden":
        parent = (inner or {})[str(path[0])] if len(path) > 1 else model
        text = unknown("no such field", str(path[-1]), parent.model_fields)
        raise file.error((*where, *path), text, key=True)
    raise file.error((*where, *path), explain(error))


def fixed_settings(file: YamlFile, fixed: dict[str, Any], varied: str) -> dict[str, Setting]:
    """Returns what stands under `fixed`: one value each; several belong under `varied`."""
    settings: dict[str, Setting] = {}
    for field, value in fixed.items():
        path: YamlPath = ("fixed", field)
        check_field(file, path)
        if isinstance(value, list) or (isinstance(value, str) and RANGE.fullmatch(value)):
            text = f"{shown(value)} is not one value; several belong under {varied}"
            raise file.error(path, text)
        settings[field] = read_setting(file, path, value)
    return settings


def check_varied(file: YamlFile, path: YamlPath, fixed: Collection[str]) -> None:
    """Refuses a key that is no field of a run, or is under `fixed` too."""
    check_field(file, path)
    field = str(path[-1])
    if field in fixed:
        line, _ = file.position(("fixed", field), key=True)
        raise file.error(path, f"is under fixed too, in line {line}", key=True)


def check_field(file: YamlFile, path: YamlPath) -> None:
    """Refuses a key that is no field of a run."""
    try:
        check_name(str(path[-1]))
    except ValueError as error:
        raise file.error(path, str(error), key=True) from None


def read_setting(file: YamlFile, path: YamlPath, value: Any) -> Setting:  # noqa: ANN401
    """Returns the values of a field, of a list, a range such as `1..10`, or one value."""
    if isinstance(value, list):
        return checked(value, lambda index, text: file.error((*path, index), text))
    hint = f"; a list is written [{value}]" if isinstance(value, str) and "," in value else ""
    return checked(value, lambda index, text: file.error(path, f"{text}{hint}"))


def checked(value: Any, error: Callable[[int, str], SpecError]) -> Setting:  # noqa: ANN401
    """Makes a list, a range such as `1..10`, or one value to the values of a field."""
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    if not values:
        raise error(0, "the list is empty; give at least one value")
    if isinstance(value, str) and (ends := RANGE.fullmatch(value)):
        first, last = int(ends[1]), int(ends[2])
        if first > last:
            raise error(0, f"{value} runs backwards; write {last}..{first}")
        if max(-first, last) > LARGEST:
            raise error(0, f"{value} is not allowed; its ends must be {LARGEST} at most")
        return Setting(range(first, last + 1), error)
    seen: set[object] = set()
    for index, item in enumerate(values):
        # 1 and 1.0 are one value, true and 1 are two.
        same = item if type(item) in (int, float) else repr(item)
        if same in seen:
            raise error(index, f"{shown(item)} is in the list twice")
        seen.add(same)
    return Setting(values, error)
