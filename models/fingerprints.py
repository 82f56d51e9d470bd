"""Fingerprints of users' code: of what it says, whatever its comments, docstrings and layout.

A fingerprint is of the module that registers, and of those that it imports from its own folder or
package, and so on. They are found as files by their names; nothing is imported for it. Of installed
packages only a package's own modules count: the versions of others are another matter.
"""

import ast
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_INSTALLED = {"site-packages", "dist-packages"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_UNSAID = ("kind", "type_comment")


def fingerprint(module: str, file: str) -> str:
    """Returns the fingerprint of a module, 16 hexadecimal digits; "" if its source isn't there.

    Args:
        module: its full name.
        file: its file.
    """
    path = Path(file)
    root, name = _root(module, path)
    said = _said_by(path)
    if said is None:
        return ""
    found: dict[Path, str] = {}
    waiting = [path, *_located(root, name)]
    while waiting:
        path = waiting.pop()
        if path in found or (tree := _said_by(path)) is None:
            continue
        found[path] = repr(_said(tree))
        for imported in _imports(tree, _name(root, path), path.name == "__init__.py"):
            if _is_users(root, imported[0], name[0]):
                waiting += _located(root, imported)
    parts = sorted((str(path.relative_to(root)), text) for path, text in found.items())
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _root(module: str, path: Path) -> tuple[Path, tuple[str, ...]]:
    """Returns the folder that a module is imported from, and its full name there."""
    name = tuple(module.split("."))
    levels = len(name) - (path.name != "__init__.py")
    if levels < len(path.parents):
        root = path.parents[levels]
        if _name(root, path) == name:
            return root, name
    return path.parent, (path.stem,)  # imported by another name: as a script, say


def _name(root: Path, path: Path) -> tuple[str, ...]:
    parts = path.relative_to(root).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def _is_users(root: Path, top: str, own: str) -> bool:
    """Returns whether what is imported by this top-level name counts, if it is there."""
    return top == own or (top != "mimsweep" and not _INSTALLED & {*root.parts})


def _located(root: Path, name: tuple[str, ...]) -> Iterator[Path]:
    """Yields the files that an import of a name executes, as far as they are below a folder."""
    folder = root
    for part in name:
        package, module = folder / part / "__init__.py", folder / f"{part}.py"
        if package.is_file():
            yield package
        elif module.is_file():
            yield module
            return
        folder /= part


def _said_by(path: Path) -> ast.Module | None:
    with suppress(OSError, ValueError, SyntaxError):
        return ast.parse(path.read_bytes())
    return None


def _imports(
    tree: ast.Module, name: tuple[str, ...], is_package: bool
) -> Iterator[tuple[str, ...]]:
    """Yields the full names that a module imports; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            inside = name if is_package else name[:-1]
            base = inside[: len(inside) + 1 - node.level] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield (*module, alias.name)


def _said(node: Any) -> Any:  # noqa: ANN401
    """Returns what a part of a syntax tree says, the same for all versions of Python."""
    if isinstance(node, list):
        return [_said(each) for each in node]
    if not isinstance(node, ast.AST):
        return node
    fields = {
        field: value
        for field, value in ast.iter_fields(node)
        if value is not None and value != [] and field not in _UNSAID
    }
    if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    return type(node).__name__, [(field, _said(value)) for field, value in fields.items()]
