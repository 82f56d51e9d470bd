"""A study as a program carries it through: the commands of docs/agents.md, and what they print."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mimsweep.orchestrator.files.sweep import load_sweep
from tests.paths import ROOT
from tests.wheel import environment

PAGE = (ROOT / "docs" / "agents.md").read_text()


def blocks(language: str) -> list[str]:
    """The page's blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def require_like(shown: Any, printed: Any, where: str) -> None:
    """Sees to it that all that is shown is printed: keys, of lists the first item, and types."""
    assert type(shown) is type(printed) or {type(shown), type(printed)} <= {int, float}, where
    if isinstance(shown, dict):
        assert shown.keys() <= printed.keys(), f"{where}: {printed.keys()}"
        for key, value in shown.items():
            require_like(value, printed[key], f"{where}.{key}")
    if isinstance(shown, list) and shown:
        assert printed, where
        require_like(shown[0], printed[0], f"{where}[0]")


def test_the_pages_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_the_pages_sweep_is_good_and_each_command_has_its_json(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(blocks("yaml")[0])
    assert len(load_sweep(tmp_path / "study.yaml").runs) == 12
    assert len(blocks("sh")) == len([json.loads(text) for text in blocks("json")]) == 11


@pytest.mark.slow
def test_its_commands_print_what_the_page_says(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(blocks("yaml")[0])
    for command, text in zip(blocks("sh"), blocks("json"), strict=True):
        done = subprocess.run(
            command.split(),
            cwd=tmp_path,
            env=environment(installed),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        shown, printed = json.loads(text), json.loads(done.stdout)
        require_like(shown, printed, command.strip())
        if isinstance(shown, dict) and "results" not in shown:
            assert shown.keys() >= printed.keys() or "claims" in shown
        if command.split()[1] in ("plan", "run", "status", "cancel"):
            numbers = {key: value for key, value in printed.items() if key != "cohorts"}
            assert numbers == {key: value for key, value in shown.items() if key != "cohorts"}
    pictures = {path.stem for path in (tmp_path / "figures" / "study").glob("*.png")}
    assert {"combined", "rmse", "learning"} <= pictures
    assert "MIM reconstructs better" in (tmp_path / "reports" / "report.html").read_text()


@pytest.mark.slow
def test_a_failed_run_is_told_in_json_and_by_the_exit_code(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(blocks("yaml")[0])
    some = ["--set", "seed=1", "--set", "lr=1e-3,1e30", "--set", "model=vae", "--set", "epochs=3"]
    done = subprocess.run(
        ["mimsweep", "run", "study.yaml", "--json", *some],
        cwd=tmp_path,
        env=environment(installed),
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["finished"], told["failed"]) == (1, 1, 1)
    (failure,) = told["failures"]
    assert "-lr1e+30" in failure["run_name"]
    assert failure["reason"]
    assert len(failure["run_id"]) == 32
