"""Fingerprints of users' code: what changes them, and what does not."""

from pathlib import Path

import pytest

from mimsweep.models.fingerprints import fingerprint

MODULE = '''"""What it is for."""
import helper
from parts import inner
from parts.deep import value


def loss(x):
    """Says what it does."""
    # why
    return x + helper.two() + inner.three + value


class Ring:
    "A ring."

    dims = 2
'''
FILES = {
    "mine.py": MODULE,
    "helper.py": "import parts.other\n\n\ndef two():\n    return 2\n",
    "other.py": "unused = 1\n",
    "parts/__init__.py": "",
    "parts/inner.py": "from . import beside\nthree = 3\n",
    "parts/beside.py": "from .deep.deeper import four\n",
    "parts/other.py": "import mine\n",
    "parts/deep/__init__.py": "from ..unseen import none  # is not there\nvalue = 5\n",
    "parts/deep/deeper.py": "four = 4\n",
    "parts/unused.py": "unused = 1\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def of(folder: Path, module: str = "mine") -> str:
    return fingerprint(module, str(folder / f"{module.replace('.', '/')}.py"))


SAME = [
    ("mine.py", "    # why\n", ""),
    ("mine.py", '"""What it is for."""\n', ""),
    ("mine.py", "Says what it does.", "Says something else."),
    ("mine.py", '    "A ring."\n\n', ""),
    ("mine.py", "x + helper.two() +", "(x\n            + helper.two()) +"),
    ("helper.py", "return 2\n", "return 2  # two\n\n\n"),
    ("mine.py", "def loss(x):", "def loss(x):  # type: ignore"),
    ("other.py", "unused = 1", "unused = 2"),
    ("parts/unused.py", "unused = 1", "unused = 2"),
]
OTHERS = [
    ("mine.py", "return x +", "return x -"),
    ("mine.py", "dims = 2", "dims = 2.0"),
    ("mine.py", "dims = 2", "dims = '2'"),
    ("mine.py", "import helper\n", "import helper\nimport os\n"),
    ("helper.py", "return 2", "return 3"),
    ("parts/__init__.py", "", "import sys\n"),
    ("parts/inner.py", "three = 3", "three = 30"),
    ("parts/beside.py", "four", "four as other"),
    ("parts/other.py", "import mine", "import mine as ours"),
    ("parts/deep/__init__.py", "value = 5", "value = 6"),
    ("parts/deep/deeper.py", "four = 4", "four = None"),
]


@pytest.mark.parametrize(("name", "old", "new"), SAME)
def test_what_says_the_same_has_the_same(folder: Path, name: str, old: str, new: str) -> None:
    assert old in FILES[name]
    before = of(folder)
    (folder / name).write_text(FILES[name].replace(old, new))
    assert of(folder) == before


@pytest.mark.parametrize(("name", "old", "new"), OTHERS)
def test_what_says_something_else_has_another(folder: Path, name: str, old: str, new: str) -> None:
    before = of(folder)
    (folder / name).write_text(FILES[name].replace(old, new, 1))
    assert of(folder) != before


def test_it_is_pinned(folder: Path) -> None:
    # Runs are told as stale where it changes, with Python's version, say.
    assert of(folder) == "b4521c883c7d5891"


def test_the_folder_does_not_matter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = of(folder)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "deep"
    folder.rename(elsewhere)
    assert of(elsewhere) == before
    assert fingerprint("__main__", str(elsewhere / "mine.py")) == before


def test_a_package_is_found_from_its_top(tmp_path: Path) -> None:
    """With and without `__init__.py`; what is beside it counts, unless all of it is installed."""
    for top in ("plain", "lib/site-packages"):
        package = tmp_path / top / "ideas"
        package.mkdir(parents=True)
        (package / "mine.py").write_text("import beside\nfrom ideas.more import x\n")
        (package / "more.py").write_text("x = 1\n")
        beside = package.parent / "beside.py"
        beside.write_text("y = 1\n")
        before = of(package.parent, "ideas.mine")
        (package / "more.py").write_text("x = 2\n")
        assert before != of(package.parent, "ideas.mine")
        before = of(package.parent, "ideas.mine")
        beside.write_text("y = 2\n")
        assert (before == of(package.parent, "ideas.mine")) == (top != "plain")
        (package / "__init__.py").write_text("z = 1\n")
        assert before != of(package.parent, "ideas.mine")
        assert fingerprint("ideas", str(package / "__init__.py")) != ""


def test_what_has_no_source_has_none(tmp_path: Path) -> None:
    assert fingerprint("mine", str(tmp_path / "mine.py")) == ""
    (tmp_path / "mine.py").write_text("def f(:\n")
    assert of(tmp_path) == ""
