"""What the documents say there is, is there; what there is for users, the documents say."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mimsweep.orchestrator.cli import main as cli
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.metrics import EPOCH_METRICS, TABLE_METRICS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
MAKEFILE = ROOT / "Makefile"

# Classes of one character keep this file from naming what it looks for.
REGISTRIES = re.compile(
    r"py[p]i\.org|pythonhoste[d]\.org|download\.pytorc[h]\.org|conda\.anacond[a]\.org"
    r"|npmj[s]\.(?:com|org)|registry\.\w+\.(?:io|com|org)|ghc[r]\.io|docke[r]\.io|qua[y]\.io|gc[r]\.io"
    r"|nvc[r]\.io|--(?:extra-)?index-ur[l]|--trusted-hos[t]|proxy\.golan[g]\.org"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:hom[e]|wor[k]|roo[t]|User[s]|mn[t])/\w")


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli.main)
    for name in cli.main.list_commands(context):
        command = cli.main.get_command(context, name)
        assert command is not None
        yield name, command


def targets_in(text: str) -> set[str]:
    """The targets of `make` that a document names, in code."""
    code = re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL)
    return {name for part in code for name in re.findall(r"\bmake ([a-z][a-z-]*)", part)}


def phony() -> list[str]:
    (line,) = re.findall(r"^\.PHONY:(.*)$", MAKEFILE.read_text(), re.MULTILINE)
    return line.split()


def text_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:8000]]


def test_the_readme_names_every_command_and_option() -> None:
    text = README.read_text()
    named = set(re.findall(r"--[a-z][a-z-]*", text))
    missing = []
    for name, command in commands():
        if f"mimsweep {name}" not in text:
            missing.append(f"mimsweep {name}")
        options = [option for parameter in command.params for option in parameter.opts]
        missing += [
            f"{option} of mimsweep {name}"
            for option in options
            if option.startswith("--") and option not in named
        ]
    assert not missing


def test_every_metric_is_defined() -> None:
    text = (ROOT / "docs" / "measures.md").read_text()
    assert not [name for name in (*TABLE_METRICS, *EPOCH_METRICS) if f"`{name}`" not in text]


def test_the_table_of_commands_lists_the_options_of_each() -> None:
    rows = re.findall(r"^\| `mimsweep (\w+)[^|]*\|[^|]*\|([^|]*)\|", README.read_text(), re.M)
    table = {name: set(re.findall(r"--[a-z-]+", cell)) for name, cell in rows}
    assert table == {
        name: {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
        for name, command in commands()
    }


def test_the_readme_names_every_field_and_metric() -> None:
    text = README.read_text()
    names = [*RunSpec.model_fields, *EPOCH_METRICS, "mi", "nll", "rmse", "knn5"]
    assert [name for name in names if f"`{name}`" not in text] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_targets_of_make_exist(document: str) -> None:
    assert targets_in((ROOT / document).read_text()) - set(phony()) == set()


def test_make_help_lists_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(re.findall(r"^  make ([a-z-]+) ", done.stdout, re.M)) == sorted(phony())
    rules = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE.read_text(), re.M))
    assert rules == set(phony())


def test_files_of_the_makefile_exist() -> None:
    names = re.findall(r"\b(?:sweeps|benchmarks)/[\w.]+", MAKEFILE.read_text())
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"])
def test_links_and_paths_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    in_code = re.findall(r"`((?:models|orchestrator|dashboards|tests)/[\w./]*)`", text)
    paths = {*links, *in_code}
    assert paths
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_the_architecture_names_every_room_and_module_outside_of_one() -> None:
    text = ARCHITECTURE.read_text()
    packages = [ROOT / name for name in ("models", "orchestrator", "dashboards")]
    rooms = [file.parent for package in packages for file in package.glob("*/__init__.py")]
    modules = [
        file for package in packages for file in package.glob("*.py") if file.stem != "__init__"
    ]
    named = [f"{room.relative_to(ROOT)}/" for room in rooms]
    named += [str(module.relative_to(ROOT)) for module in modules]
    assert sorted(name for name in named if f"`{name}`" not in text) == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_no_file_names_a_registry_host_or_a_path_of_a_machine() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {match[0]}"
        for file in text_files()
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1)
        for pattern in (REGISTRIES, MACHINE_PATHS)
        if (match := pattern.search(line))
    ]
    assert found == []
