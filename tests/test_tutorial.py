"""A user's whole path from an empty folder, as docs/tutorial.md has it, with the wheel alone."""

import csv
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.wheel import environment

PAGE = ROOT / "docs" / "tutorial.md"
FILES = [ROOT / "docs" / "tutorial" / name for name in ("digits.py", "own.py", "digits.yaml")]
INSTALLING = "pip install"
"""How the one command begins that the fixture runs in the page's place."""

DONE = "exit code of the command above:"


def blocks(language: str) -> list[str]:
    """The page's blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def words(text: str) -> list[str]:
    """The lines of a text, with # for each number: they differ from processor to processor."""
    return [re.sub(r"−?\d[\d,.]*", "#", line) for line in text.splitlines()]


def test_it_takes_less_than_60_lines() -> None:
    lines = [line for file in FILES for line in file.read_text().splitlines() if line.strip()]
    assert len(lines) < 60
    assert f"in {len(lines)} lines of yours" in PAGE.read_text()


def test_the_page_shows_the_files_as_they_are() -> None:
    assert [*blocks("python"), *blocks("yaml")] == [file.read_text() for file in FILES]


def test_the_pages_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE.read_text())
    assert links
    assert [x for x in links if "://" not in x and not (PAGE.parent / x).exists()] == []


@pytest.mark.slow
def test_its_commands_print_what_the_page_says(installed: Path, tmp_path: Path) -> None:
    for file in FILES:
        shutil.copy(file, tmp_path)
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert commands.pop(0).startswith(INSTALLING)
    expected = [int((re.findall(r"# exit code (\d+)$", line) or [0])[0]) for line in commands]
    script = "\n".join(f"{line}\necho {DONE} $?" for line in commands)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment(installed),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    assert [int(code) for code in re.findall(rf"{DONE} (\d+)", done.stdout)] == expected, (
        done.stdout
    )
    printed = iter(words(done.stdout))
    for line in words("".join(blocks("text"))):
        assert line in printed, f"not printed, or not in this order: {line}\n{done.stdout}"

    with (tmp_path / "results.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert sorted((int(row["seed"]), float(row["reward"])) for row in rows) == [
        (seed, reward) for seed in range(1, 7) for reward in (0, 0.3, 0.6, 0.9)
    ]
    figures = {file.stem for file in (tmp_path / "figures" / "digits").glob("*.png")}
    assert figures >= {"combined", "mi", "knn5", "nll", "learning", "rate_distortion"}
    report = (tmp_path / "reports" / "report.html").read_text()
    assert "Digits are better told from it" in report
