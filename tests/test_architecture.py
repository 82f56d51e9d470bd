"""The arrows of import between the parts, read from the AST of every module."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
MODELS_MAY = {
    "torch", "torchvision", "numpy", "scipy", "sklearn", "numba", "triton", "PIL", "filelock",
    "pyarrow", "safetensors",
}  # fmt: skip
ENGINES = "mimsweep.orchestrator.engines"
IN_WORKERS = {f"{ENGINES}.{name}" for name in ("worker", "training", "checkpoint", "measuring")}
MAX_LINES = 300
MAX_MODULES = 12

ROOMS = {
    "mimsweep.models": ["data", "densities", "nets", "losses", "steps", "measures", "training"],
    "mimsweep.dashboards": ["drawing", "statistics", "figures", "search", "tables", "report"],
    "mimsweep.orchestrator": [
        "files", "engines", "tracking", "running", "search", "showing", "cli",
    ],
}  # fmt: skip
"""The rooms of each package; each may import those before it."""


@dataclass(frozen=True)
class Import:
    """An import of a module, by its full name; `at_load` if it happens as the importer loads."""

    line: int
    target: str
    at_load: bool

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


def is_type_checking(node: ast.AST) -> bool:
    names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    attributes = {name.attr for name in ast.walk(node) if isinstance(name, ast.Attribute)}
    return "TYPE_CHECKING" in names | attributes


def imports_of(node: ast.AST, at_load: bool = True) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(child.lineno, alias.name, at_load) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: an import path is a folder path"
            assert child.module is not None
            # `from package import module` imports both; what is no module is dropped later.
            yield Import(child.lineno, child.module, at_load)
            for alias in child.names:
                yield Import(child.lineno, f"{child.module}.{alias.name}", at_load)
        elif isinstance(child, ast.If) and is_type_checking(child.test):
            yield from imports_of(ast.Module(child.body, []), at_load=False)
            yield from imports_of(ast.Module(child.orelse, []), at_load)
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(child, at_load and not function)


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FOLDERS = [SOURCE / "mimsweep" / name for name in ("models", "orchestrator", "dashboards")]
FILES = sorted(
    [*(SOURCE / "mimsweep").glob("*.py"), *(file for at in FOLDERS for file in at.rglob("*.py"))]
)
TREES = {module_name(file): ast.parse(file.read_text(), str(file)) for file in FILES}
IMPORTS = {name: list(imports_of(tree)) for name, tree in TREES.items()}


def importers(top: str, at_load: bool = False) -> set[str]:
    """The modules that import `top` or a part of it; with `at_load`, as they load."""
    return {
        name
        for name, imports in IMPORTS.items()
        if any(found.top == top and (found.at_load or not at_load) for found in imports)
    }


def of(package: str) -> dict[str, list[Import]]:
    return {
        name: imports for name, imports in IMPORTS.items() if f"{name}.".startswith(f"{package}.")
    }


def tops(imports: list[Import]) -> set[str]:
    return {found.top for found in imports}


def test_the_reader_of_imports_sees_all_kinds() -> None:
    text = """
import a.b, c
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import d
else:
    import e
try:
    from f import g
except ImportError:
    pass
class A:
    import h
    def method(self):
        import i
"""
    found = {(each.target, each.at_load) for each in imports_of(ast.parse(text))}
    late, early = {"d", "i"}, {"a.b", "c", "typing", "typing.TYPE_CHECKING", "e", "f", "f.g", "h"}
    assert found == {(name, False) for name in late} | {(name, True) for name in early}


def room_of(module: str) -> tuple[str, int] | None:
    """The package of a module, and the place of its room there; None if it's in no room."""
    for package, rooms in ROOMS.items():
        if module.startswith(f"{package}."):
            room = module.removeprefix(f"{package}.").partition(".")[0]
            return (package, rooms.index(room)) if room in rooms else None
    return None


def test_all_parts_are_seen() -> None:
    for name in ("models.training.cohort", "orchestrator.engines.local", "dashboards.report.page"):
        assert f"mimsweep.{name}" in TREES


def test_every_folder_is_a_room() -> None:
    for package, rooms in ROOMS.items():
        folder = SOURCE / package.replace(".", "/")
        assert sorted(path.parent.name for path in folder.glob("*/__init__.py")) == sorted(rooms)


def test_rooms_import_only_those_before_them() -> None:
    for name, imports in IMPORTS.items():
        here = room_of(name)
        for found in imports:
            there = room_of(found.target)
            if here and there and here[0] == there[0]:
                assert there[1] <= here[1], f"{name}:{found.line} imports {found.target}"


def test_models_import_only_what_they_compute_with() -> None:
    for name, imports in of("mimsweep.models").items():
        unknown = tops(imports) - MODELS_MAY - {"mimsweep"} - sys.stdlib_module_names
        assert not unknown, f"{name} imports {unknown}"
        assert "logging" not in tops(imports), name
        for found in imports:
            other = found.top == "mimsweep" and not found.target.startswith("mimsweep.models")
            assert not other, f"{name}:{found.line} imports {found.target}"


def test_dashboards_know_neither_orchestrator_nor_store_nor_models() -> None:
    for name, imports in of("mimsweep.dashboards").items():
        unwanted = tops(imports) & {"mlflow", "torch", "click", "optuna"}
        unwanted |= {
            each.target
            for each in imports
            if each.target.startswith(("mimsweep.orchestrator", "mimsweep.models"))
        }
        assert not unwanted, f"{name} imports {unwanted}"


@pytest.mark.parametrize(
    ("library", "room"),
    [
        ("mlflow", "tracking"),
        ("click", "cli"),
        ("optuna", "search"),
        ("ray", "engines"),
        ("submitit", "engines"),
    ],
)
def test_one_room_imports_each_large_library(library: str, room: str) -> None:
    found = importers(library)
    assert found
    assert all(name.startswith(f"mimsweep.orchestrator.{room}.") for name in found), found


def test_only_the_writer_and_its_inputs_import_mlflow() -> None:
    tracking = "mimsweep.orchestrator.tracking"
    assert importers("mlflow") == {f"{tracking}.writer", f"{tracking}.inputs"}
    inputs = f"{tracking}.inputs"
    users = {name for name in IMPORTS if any(each.target == inputs for each in IMPORTS[name])}
    assert users == {f"{tracking}.writer"}  # which sets what mlflow reads as it is imported


def test_errors_import_nothing() -> None:
    assert IMPORTS["mimsweep.orchestrator.errors"] == []


def test_only_workers_load_torch_and_models_with_the_orchestrator() -> None:
    heavy = importers("torch", at_load=True) | {
        name
        for name, imports in IMPORTS.items()
        if any(each.at_load and each.target.startswith("mimsweep.models") for each in imports)
    }
    assert {name for name in heavy if name.startswith("mimsweep.orchestrator")} <= IN_WORKERS
    # They bring torch along: they are run, or imported inside a function.
    loaders = {
        name
        for name, imports in IMPORTS.items()
        if any(each.target in IN_WORKERS and each.at_load for each in imports)
    }
    assert loaders <= IN_WORKERS


def test_files_know_no_store_and_no_engine() -> None:
    for name, imports in of("mimsweep.orchestrator.files").items():
        unwanted = tops(imports) & {"mlflow", "pandas", "rich"}
        assert not unwanted, f"{name} imports {unwanted}"


def test_no_cycles() -> None:
    """Also not by imports inside functions, or for annotations alone."""
    graph = {
        name: {each.target for each in imports if each.target in TREES} - {name}
        for name, imports in IMPORTS.items()
    }
    # Raises CycleError, which names the modules of a cycle.
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(TREES)


@pytest.mark.parametrize(
    "init", [file for file in FILES if file.name == "__init__.py"], ids=module_name
)
def test_a_room_says_in_one_sentence_what_it_is_for(init: Path) -> None:
    if init.parent.name != "mimsweep":
        (only,) = TREES[module_name(init)].body
        assert isinstance(only, ast.Expr)
    modules = [path for path in init.parent.glob("*.py") if path != init]
    assert len(modules) <= MAX_MODULES


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_a_module_says_what_it_is_for_and_is_short(file: Path) -> None:
    assert ast.get_docstring(TREES[module_name(file)]), f"{file}: no docstring"
    assert len(file.read_text().splitlines()) <= MAX_LINES


def test_help_loads_nothing_heavy() -> None:
    script = """
import sys
from mimsweep.orchestrator.cli.main import main
for command in ([], ["run"], ["figures"]):
    main([*command, "--help"], standalone_mode=False)
heavy = {"torch", "mlflow", "pandas", "numpy", "pydantic", "matplotlib", "rich", "yaml"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "Usage:" in done.stdout
