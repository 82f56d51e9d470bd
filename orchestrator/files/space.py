"""The space of a search: what values a field may take, read from a search file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mimsweep.orchestrator.files.spec import shown, unknown
from mimsweep.orchestrator.files.yamlfile import YamlFile, YamlPath

KINDS = ("int", "float", "categorical")
_EXAMPLE = "for example {int: [1, 50], log: true} or {categorical: [tanh, relu]}"


@dataclass(frozen=True)
class Dimension:
    """The values that a field may take.

    Attributes:
        kind: "int" or "float", both with a lowest and a highest value, or "categorical".
        values: the lowest and the highest, or all choices.
        log: whether numbers are drawn evenly by their logarithm.
        step: the distance of numbers, counted from the lowest; None: any float, every int.
    """

    kind: str
    values: tuple[Any, ...]
    log: bool = False
    step: float | None = None

    @property
    def count(self) -> int | None:
        """How many values there are; None if they can't be counted."""
        if self.kind == "categorical":
            return len(self.values)
        if self.kind == "float" and self.step is None:
            return None
        low, high = self.values
        return round((high - low) / (self.step or 1)) + 1

    @property
    def grid(self) -> list[Any] | None:
        """All values; None if they can't be counted."""
        if self.kind == "categorical":
            return list(self.values)
        return None if self.count is None else [self._at(number) for number in range(self.count)]

    def exact(self, value: Any) -> Any:  # noqa: ANN401
        """Returns a value as a file would have it: 0.3, where steps of 0.1 add up to a bit more."""
        if self.kind != "float" or self.step is None or not self.has(value):
            return value
        return self._at(round((value - self.values[0]) / self.step))

    def _at(self, number: int) -> Any:  # noqa: ANN401
        """Returns the lowest value and so many steps: of floats, of the decimals as written."""
        if self.kind == "int":
            return self.values[0] + number * int(self.step or 1)
        return float(Decimal(repr(self.values[0])) + number * Decimal(repr(self.step)))

    def has(self, value: object) -> bool:
        """Returns whether `value` is one that the field may take."""
        if self.kind == "categorical":
            return any(value == choice and type(value) is type(choice) for choice in self.values)
        kinds = int if self.kind == "int" else int | float
        if not isinstance(value, kinds) or isinstance(value, bool):
            return False
        low, high = self.values
        if self.step is None or not math.isfinite(value):
            return bool(low <= value <= high)
        steps = (value - low) / self.step
        near = math.isclose(steps, round(steps), abs_tol=1e-9)
        return near and 0 <= round(steps) <= round((high - low) / self.step)

    def to_json(self) -> dict[str, Any]:
        """Returns what a search file says."""
        return {self.kind: list(self.values), "log": self.log, "step": self.step}


def read_dimension(file: YamlFile, where: YamlPath, value: Any) -> Dimension:  # noqa: ANN401
    """Returns what a search file says of a field.

    Args:
        file: the file.
        where: the path of the field.
        value: what stands there.

    Raises:
        SpecError: it is no dimension.
    """
    if not isinstance(value, dict):
        raise file.error(where, f"{shown(value)} is not allowed; write {_EXAMPLE}")
    kinds = [kind for kind in KINDS if kind in value]
    allowed = ("categorical",) if kinds == ["categorical"] else (*KINDS, "log", "step")
    for key in value:
        if key not in allowed:
            raise file.error((*where, key), unknown("no such field", key, allowed), key=True)
    if len(kinds) != 1:
        raise file.error(where, f"must have one of int, float and categorical; {_EXAMPLE}")
    (kind,) = kinds
    path: YamlPath = (*where, kind)
    if not isinstance(value[kind], list):
        raise file.error(path, f"{shown(value[kind])} is not allowed; it must be a list")
    if kind == "categorical":
        return _categorical(file, path, value[kind])
    return _range(file, where, kind, value)


def _categorical(file: YamlFile, path: YamlPath, choices: list[Any]) -> Dimension:
    if not choices:
        raise file.error(path, "the list is empty; give at least one choice")
    for index, choice in enumerate(choices):
        at: YamlPath = (*path, index)
        if not isinstance(choice, bool | int | float | str):
            raise file.error(at, f"{shown(choice)} is not allowed; it must be one value")
        if any(choice == earlier for earlier in choices[:index]):
            raise file.error(at, f"{shown(choice)} is in the list twice")
    return Dimension("categorical", tuple(choices))


def _range(file: YamlFile, where: YamlPath, kind: str, value: dict[str, Any]) -> Dimension:
    path: YamlPath = (*where, kind)
    low, high = _bounds(file, path, kind, value[kind])
    log, step = value.get("log", False), value.get("step")
    if not isinstance(log, bool):
        raise file.error((*where, "log"), f"{shown(log)} is not allowed; it must be true or false")
    if log and low <= 0:
        raise file.error((*path, 0), f"{shown(low)} is not allowed; with log it must be above 0")
    if step is not None:
        at: YamlPath = (*where, "step")
        if log:
            raise file.error(at, "is not allowed with log: true", key=True)
        step = _number(file, at, kind, step)
        if step <= 0:
            raise file.error(at, f"{shown(step)} is not allowed; it must be above 0")
        steps = (high - low) / step
        if not math.isclose(steps, round(steps), abs_tol=1e-9):
            text = f"{shown(step)} does not lead from {shown(low)} to {shown(high)}"
            raise file.error(at, text)
    return Dimension(kind, (low, high), log, step)


def _bounds(file: YamlFile, path: YamlPath, kind: str, ends: Sequence[Any]) -> tuple[Any, Any]:
    if len(ends) != 2:
        text = f"{shown(ends)} is not allowed; it must be [lowest, highest]"
        raise file.error(path, text)
    low, high = (_number(file, (*path, index), kind, end) for index, end in enumerate(ends))
    if low > high:
        raise file.error(path, f"[{low}, {high}] runs backwards; write [{high}, {low}]")
    return low, high


def _number(file: YamlFile, path: YamlPath, kind: str, value: Any) -> Any:  # noqa: ANN401
    if kind == "int":
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise file.error(path, f"{shown(value)} is not allowed; it must be an integer")
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise file.error(path, f"{shown(value)} is not allowed; it must be a finite number")
