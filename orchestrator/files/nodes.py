"""YAML text to nodes and plain values: no tags, aliases bounded, merges (`<<: *base`) resolved.

Errors are PyYAML's own, with a mark, so that the reader of a file can tell its name too.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from mimsweep.orchestrator.files.choices import did_you_mean

MAX_VALUES = 100_000
"""A file whose aliases come to more values than this when they are written out is a bomb."""

_MERGE = "tag:yaml.org,2002:merge"

_ANCHOR = re.compile(r"&[^\s,\[\]{}]+(?:\s+(?:#[^\n]*)?)*")
"""An anchor, and what may stand between it and its value."""

# The core schema of YAML 1.2, less octal and hexadecimal numbers. An integer is no text
# only for being too large, if a float can hold it: who reads it says how large it may be.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,299})")
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


def plain(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """Returns the value of a scalar, which is text if it is quoted."""
    quoted = node.style is not None
    return str(node.value) if quoted else scalar(node.value)


class Entry(NamedTuple):
    """A key of a mapping, its value, and where the alias stands that merges them in, if any."""

    key: yaml.ScalarNode
    value: yaml.Node
    used: yaml.Mark | None


class Composer(yaml.SafeLoader):
    """Text to nodes. An alias becomes a copy of its node, `used` where the alias stands."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text = text
        self._values = 0  # so far, with aliases written out
        self._sizes: dict[int, int] = {}  # likewise of each node that has ended, by id

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401
        """Refuses what could build objects (tags) or blow a small file up (aliases)."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            return self._alias()
        if getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise problem(event.start_mark, f"the tag {tag} is not allowed; write a plain value")
        anchor = getattr(event, "anchor", None)
        if anchor in self.anchors:
            line = self.anchors[anchor].start_mark.line + 1
            text = f"the anchor &{anchor} is given twice, first in line {line}"
            raise problem(event.start_mark, text)
        before = self._values
        node = super().compose_node(parent, index)
        _check_escapes(node)
        empty = isinstance(node, yaml.ScalarNode) and not node.value
        if anchor is not None and node is not None and not empty:
            node.start_mark = self._after_anchor(event.start_mark)
        self._values += 1
        self._sizes[id(node)] = self._values - before
        return node

    def _after_anchor(self, mark: yaml.Mark) -> yaml.Mark:
        """Returns where the value is written whose anchor stands at a mark."""
        found = _ANCHOR.match(self._text, mark.index)
        assert found is not None
        before, newline, last = found[0].rpartition("\n")
        line = mark.line + before.count("\n") + len(newline)
        column = len(last) + (0 if newline else mark.column)
        return yaml.Mark(mark.name, found.end(), line, column, None, 0)

    def _alias(self) -> Any:  # noqa: ANN401
        event = self.get_event()
        alias = f"the alias *{event.anchor}"
        node = self.anchors.get(event.anchor)
        if node is None:
            near = did_you_mean(event.anchor, self.anchors)
            raise problem(
                event.start_mark, f"{alias} has no anchor &{event.anchor} before it{near}"
            )
        if id(node) not in self._sizes:
            raise problem(event.start_mark, f"{alias} is inside of what it stands for")
        self._values += self._sizes[id(node)]
        if self._values > MAX_VALUES:
            text = f"{alias} makes the file, written out, more than {MAX_VALUES:,} values"
            raise problem(event.start_mark, text)
        found: Any = copy.copy(node)
        found.used = event.start_mark
        return found


def _check_escapes(node: yaml.Node | None) -> None:
    """Refuses escapes of what no store or file can hold as text; joins the pairs of JSON's."""
    if not isinstance(node, yaml.ScalarNode):
        return
    joined = node.value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if found := re.search(r"[\0\ud800-\udfff]", joined):
        text = f"the escape \\u{ord(found[0]):04x} stands for no character; leave it out"
        raise problem(node.start_mark, text)
    node.value = joined


def problem(mark: yaml.Mark, sentence: str) -> yaml.MarkedYAMLError:
    """Returns the error that says what is wrong at a mark."""
    return yaml.composer.ComposerError(None, None, sentence, mark)


def used_at(node: yaml.Node) -> yaml.Mark | None:
    """Returns where the alias stands that brings a node; None if the node is where it's written."""
    return getattr(node, "used", None)


def entries(node: yaml.MappingNode) -> dict[str, Entry]:
    """Returns what a mapping has under each key: what is merged in, and its own, which wins.

    Raises:
        MarkedYAMLError: a key is no text, has no value or is given twice, or a merge merges none.
    """
    own: dict[str, Entry] = {}
    merge: yaml.Node | None = None
    for index, (key, value) in enumerate(node.value):
        if node.flow_style:
            _check_value(node, index)
        if key.tag == _MERGE:
            if merge is not None:
                text = "<< is given twice in a mapping; merge several as <<: [*a, *b]"
                raise problem(key.start_mark, text)
            merge = value
            continue
        name = _name(key)
        if name in own:
            line = own[name].key.start_mark.line + 1
            raise problem(key.start_mark, f"the key {name} is given twice, first in line {line}")
        own[name] = Entry(key, value, None)
    return (_merged(merge) if merge else {}) | own


def _merged(merge: yaml.Node) -> dict[str, Entry]:
    """Returns the entries that `<<` brings: of one mapping, or of several, the first wins."""
    found: dict[str, Entry] = {}
    for source in _sources(merge):
        for name, entry in entries(source).items():
            found.setdefault(name, entry._replace(used=used_at(source) or entry.used))
    return found


def _sources(merge: yaml.Node) -> Iterator[yaml.MappingNode]:
    for each in merge.value if isinstance(merge, yaml.SequenceNode) else [merge]:
        if not isinstance(each, yaml.MappingNode):
            text = "<< merges mappings; write <<: *name, or <<: [*a, *b] for several"
            raise problem(used_at(each) or each.start_mark, text)
        yield each


def _name(key: yaml.Node) -> str:
    name = plain(key) if isinstance(key, yaml.ScalarNode) else None
    if not isinstance(name, str):
        raise problem(key.start_mark, "a key must be text")
    return name


def _check_value(node: yaml.MappingNode, index: int) -> None:
    """Refuses a key without a colon: `{z_dim: 2,4}` has the value 2 and the key 4."""
    key, value = node.value[index]
    if not isinstance(key, yaml.ScalarNode) or not _is_bare(key, value):
        return
    before = node.value[index - 1] if index else None
    if before is None or not isinstance(before[1], yaml.ScalarNode):
        name, colon, rest = key.value.partition(":")
        example = f"{name}: {rest}, with a space" if colon and rest else f"{key.value}: value"
        raise problem(key.start_mark, f"{key.value} has no value; write {example}")
    bare = [key.value for key, value in node.value[index:] if _is_bare(key, value)]
    items = ", ".join([before[1].value, *bare])
    text = f"{key.value} has no value; a list is written {before[0].value}: [{items}]"
    raise problem(key.start_mark, text)


def _is_bare(key: yaml.Node, value: yaml.Node) -> bool:
    """Returns whether a key has no colon: then it ends where its value, which is none, begins."""
    return bool(key.end_mark.index == value.start_mark.index)
