"""YAML files read strictly: plain values only, and every error with its line and column.

PyYAML composes the text into nodes; their values are made here, so that none of its surprises get
through: `1e-3` is a number, `no` and `on` are text, `012` and `1:30` are text and not 10 and 90, a
key given twice is an error, and no tag can have anything built or executed.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mimsweep.orchestrator.errors import SpecError

YamlPath = tuple[str | int, ...]
"""Where a value is inside a file: keys of mappings and indices of lists from the root."""

Position = tuple[int, int]
"""Line and column, both from 1."""

# The core schema of YAML 1.2, less octal and hexadecimal numbers. 18 digits fit an int64.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)")
_WORDS: dict[str, bool | float | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
    ".inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan"),
}  # fmt: skip


def scalar(text: str) -> str | int | float | bool | None:
    """Returns the value of an unquoted YAML scalar: a number, true, false, nothing, or text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


@dataclass(frozen=True)
class YamlFile:
    """The contents of a YAML file, and where in it everything stands.

    Attributes:
        name: the file's path as it was given, for errors.
        data: the mapping the file consists of.
        keys: where the key of each path stands (for an item of a list: the item).
        values: where the value of each path stands.
    """

    name: str
    data: dict[str, Any]
    keys: dict[YamlPath, Position]
    values: dict[YamlPath, Position]

    def position(self, path: YamlPath, *, key: bool = False) -> Position:
        """Returns where `path` stands; for a path that the file lacks, its nearest parent."""
        positions = self.keys if key else self.values
        while path not in positions:
            path, positions = path[:-1], self.values
        return positions[path]

    def error(self, path: YamlPath, sentence: str, *, key: bool = False) -> SpecError:
        """Returns the error `file:line:column: dotted.path: sentence`.

        Args:
            path: what is wrong.
            sentence: what is wrong with it, and what is allowed.
            key: whether to point at the key rather than at its value.
        """
        line, column = self.position(path, key=key)
        label = ".".join(part for part in path if isinstance(part, str))
        return SpecError(": ".join(filter(None, (f"{self.name}:{line}:{column}", label, sentence))))


def load_yaml(path: Path) -> YamlFile:
    """Reads a YAML file whose top level is a mapping.

    Args:
        path: the file, in UTF-8.

    Raises:
        SpecError: the file cannot be read, or is not plain YAML; with its line and column.
    """
    name = str(path)
    text = _read(path)
    file = YamlFile(name, {}, {}, {})
    try:
        node = _Composer(text).get_single_node()
        if node is None:
            raise SpecError(f"{name}: the file is empty")
        if not isinstance(node, yaml.MappingNode):
            raise _error(name, node, "the file must be a mapping of keys to values")
        file.data.update(_value(file, node, ()))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        assert mark is not None
        raise SpecError(f"{name}:{mark.line + 1}:{mark.column + 1}: {_sentence(error)}") from None
    except yaml.reader.ReaderError as error:
        line, column = _line_column(text[: error.position])
        raise SpecError(
            f"{name}:{line}:{column}: the control character #x{error.character:02x} is not allowed"
        ) from None
    except RecursionError:
        raise SpecError(f"{name}: nested too deeply") from None
    return file


class _Composer(yaml.SafeLoader):
    """Text to nodes, without tags and aliases."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401
        """Refuses what could build objects (tags) or blow a small file up (aliases)."""
        event = self.peek_event()
        problem = None
        if isinstance(event, yaml.AliasEvent):
            problem = f"the alias *{event.anchor} is not allowed; write the value out"
        elif getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            problem = f"the tag {tag} is not allowed; write a plain value"
        if problem:
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise SpecError(f"{path}: is a folder, not a file") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", errors="replace")
        line, column = _line_column(before)
        raise SpecError(f"{path}:{line}:{column}: the file is not UTF-8 text") from None


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


def _error(name: str, node: yaml.Node, sentence: str) -> SpecError:
    line, column = _start(node)
    return SpecError(f"{name}:{line}:{column}: {sentence}")


def _start(node: yaml.Node) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    quoted = node.style is not None
    return node.value if quoted else scalar(node.value)


def _value(file: YamlFile, node: yaml.Node, path: YamlPath) -> Any:  # noqa: ANN401
    """Returns the plain value of a node, and notes in `file` where it and its parts stand."""
    file.values[path] = _start(node)
    file.keys.setdefault(path, _start(node))
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(file, item, (*path, index)) for index, item in enumerate(node.value)]
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _key(file.name, key_node)
        inner = (*path, key)
        if key in mapping:
            raise _error(
                file.name,
                key_node,
                f"the key {key} is given twice, first in line {file.keys[inner][0]}",
            )
        file.keys[inner] = _start(key_node)
        mapping[key] = _value(file, value_node, inner)
    return mapping


def _key(name: str, node: yaml.Node) -> str:
    key = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    if not isinstance(key, str):
        raise _error(name, node, "a key must be text")
    return key
