"""YAML files read strictly: plain values only, and every error with its line and column.

PyYAML composes the text into nodes; their values are made here, so that none of its surprises get
through: `1e-3` is a number, `no` and `on` are text, `012` and `1:30` are text and not 10 and 90, a
key given twice is an error, and no tag can have anything built or executed. Anchors, aliases and
merges (`<<: *base`) are as elsewhere; a key on top that begins with `x-` (as in compose) or `.` (as
in GitLab) is there for the anchors under it, and no part of the data.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.nodes import Composer, entries, plain, problem, used_at

YamlPath = tuple[str | int, ...]
"""Where a value is inside a file: keys of mappings and indices of lists from the root."""

Position = tuple[int, int]
"""Line and column, both from 1."""

STDIN = Path("-")
"""Stands for the standard input."""

_MAX_BYTES = 16_000_000
"""No file that people write is larger; a device or a data file given by mistake may have no end."""

ASIDE = ("x-", ".")
"""How keys on top of a file begin that are there for their anchors alone."""


@dataclass(frozen=True)
class YamlFile:
    """The contents of a YAML file, and where in it everything stands.

    Attributes:
        name: the file's path as it was given, for errors.
        folder: where relative paths in it start.
        data: the mapping the file consists of.
        keys: where the key of each path stands (for an item of a list: the item).
        values: where the value of each path stands.
        used: where the alias stands that brings the value of a path, which is written elsewhere.
    """

    name: str
    folder: Path
    data: dict[str, Any] = field(default_factory=dict)
    keys: dict[YamlPath, Position] = field(default_factory=dict)
    values: dict[YamlPath, Position] = field(default_factory=dict)
    used: dict[YamlPath, Position] = field(default_factory=dict)

    def position(self, path: YamlPath, *, key: bool = False) -> Position:
        """Returns where `path` stands; for a path that the file lacks, its nearest parent."""
        positions = self.keys if key else self.values
        while path not in positions:
            path, positions = path[:-1], self.values
        return positions[path]

    def error(self, path: YamlPath, sentence: str, *, key: bool = False) -> SpecError:
        """Returns the error `file:line:column: dotted.path: sentence`.

        The position is that of where a value is written; the line of an alias for it is told too.

        Args:
            path: what is wrong.
            sentence: what is wrong with it, and what is allowed.
            key: whether to point at the key rather than at its value.
        """
        line, column = self.position(path, key=key)
        label = ".".join(part for part in path if isinstance(part, str))
        parts = (f"{self.name}:{line}:{column}", label, f"{sentence}{self._use(path)}")
        return SpecError(": ".join(filter(None, parts)))

    def _use(self, path: YamlPath) -> str:
        for length in range(len(path), 0, -1):
            if path[:length] in self.used:
                return f" (used in line {self.used[path[:length]][0]})"
        return ""


def load_yaml(path: Path) -> YamlFile:
    """Reads a YAML file whose top level is a mapping.

    Args:
        path: the file, in UTF-8, or `STDIN`.

    Raises:
        SpecError: the file cannot be read, or is not plain YAML; with its line and column.
    """
    name = shown_name(path)
    text = _read(path)
    file = YamlFile(name, path.parent)
    try:
        node = Composer(text).get_single_node()
        if node is None:
            raise SpecError(f"{name}: the file is empty")
        if not isinstance(node, yaml.MappingNode):
            raise problem(node.start_mark, "the file must be a mapping of keys to values")
        data = _value(file, node, ())
        file.data.update({key: data[key] for key in data if not key.startswith(ASIDE)})
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        assert mark is not None
        line, column = _position(mark)
        raise SpecError(f"{name}:{line}:{column}: {_sentence(error)}") from None
    except yaml.reader.ReaderError as error:
        line, column = _line_column(text[: error.position])
        raise SpecError(
            f"{name}:{line}:{column}: the control character #x{error.character:02x} is not allowed"
        ) from None
    except RecursionError:
        raise SpecError(f"{name}: nested too deeply") from None
    return file


def shown_name(path: Path) -> str:
    """Returns what a file is called before people."""
    return "<stdin>" if path == STDIN else str(path)


def _read(path: Path) -> str:
    name = shown_name(path)
    try:
        data = _bytes(path)
    except FileNotFoundError:
        raise SpecError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise SpecError(f"{name}: is a folder, not a file") from None
    except OSError as error:
        raise SpecError(f"{name}: cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise SpecError(
            f"{name}: has more than {_MAX_BYTES:,} bytes; it is no sweep or search file"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", errors="replace")
        line, column = _line_column(before)
        raise SpecError(f"{name}:{line}:{column}: the file is not UTF-8 text") from None


def _bytes(path: Path) -> bytes:
    """Returns the contents, and at most one byte more than a file may have."""
    if path != STDIN:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES + 1)
    if sys.stdin is None:  # Python's, where a program was started with it closed
        raise SpecError(f"{shown_name(path)}: is closed; pipe a file into it, or name one")
    return sys.stdin.buffer.read(_MAX_BYTES + 1)


def _line_column(before: str) -> Position:
    """Returns where the character after `before` stands."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _sentence(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not YAML"
    if "'\\t'" in problem:
        return "a tab is not allowed here; use spaces"
    if "another document" in problem:
        return "a second document is not allowed; one file is one document"
    return f"{error.context}: {problem}" if error.context else problem


def _position(mark: yaml.Mark) -> Position:
    return mark.line + 1, mark.column + 1


def _value(file: YamlFile, node: yaml.Node, path: YamlPath) -> Any:  # noqa: ANN401
    """Returns the plain value of a node, and notes in `file` where it and its parts stand."""
    file.values[path] = _position(node.start_mark)
    file.keys.setdefault(path, file.values[path])
    if used := used_at(node):
        file.used[path] = _position(used)
    if isinstance(node, yaml.ScalarNode):
        return plain(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(file, item, (*path, index)) for index, item in enumerate(node.value)]
    assert isinstance(node, yaml.MappingNode)
    mapping: dict[str, Any] = {}
    for key, entry in entries(node).items():
        inner = (*path, key)
        file.keys[inner] = _position(entry.key.start_mark)
        if entry.used:
            file.used[inner] = _position(entry.used)
        mapping[key] = _value(file, entry.value, inner)
    return mapping
