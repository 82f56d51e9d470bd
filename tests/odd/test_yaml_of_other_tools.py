"""Sweep files as users of compose, Hydra and GitLab write them, and files that are no files."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mimsweep.orchestrator.cli.main import main
from mimsweep.orchestrator.files.sweep import load_sweep
from tests.odd.ending import MIMSWEEP
from tests.orchestrator.commands import mimsweep, refused

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

COMPOSE = """\
name: shared
x-tiny: &tiny {dataset: toy4, mid_dim: 4, epochs: 2}
fixed:
  <<: *tiny
  lr: 1e-3
grid:
  - &both
    model: [mim, vae]
    z_dim: &sizes [2, 3]
    seed: 1..2
  - <<: *both
    model: ae
claims:
  - {claim: "yes", metric: mi, greater: {model: mim}, than: {model: vae}}
"""
WRITTEN_OUT = """\
name: shared
fixed: {dataset: toy4, mid_dim: 4, epochs: 2, lr: 1e-3}
grid:
  - {model: [mim, vae], z_dim: [2, 3], seed: 1..2}
  - {model: ae, z_dim: [2, 3], seed: 1..2}
"""
FROM_STDIN = [["validate"], ["plan"], ["run"], ["status"], ["results"], ["figures"], ["report"],
              ["cancel"], ["verify"], ["measure"], ["search"]]  # fmt: skip


pytestmark = pytest.mark.usefixtures("here")


def piped(text: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "-"], prog_name="mimsweep", input=text)


def test_anchors_aliases_and_merges_make_the_runs_that_written_out_they_make(here: Path) -> None:
    (here / "a.yaml").write_text(COMPOSE)
    (here / "b.yaml").write_text(WRITTEN_OUT)
    assert set(load_sweep(Path("a.yaml"), ()).runs) == set(load_sweep(Path("b.yaml"), ()).runs)
    assert mimsweep("validate", "a.yaml").output == "a.yaml: shared, 12 runs\n"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("mid_dim: 4", "mid_dim: 0", "2:40: fixed.mid_dim: 0 is not allowed; it must be at least 1 "
         "(used in line 4)"),
        ("mid_dim: 4", "mid_dmi: 4", "2:31: fixed.mid_dmi: no such field; did you mean mid_dim? "
         "(used in line 4)"),
        ("model: ae", "modle: ae", "12:5: grid.modle: no such field; did you mean model?"),
        ("x-tiny", "tiny", "2:1: tiny: no such field"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_where_it_is_written(
    old: str, new: str, sentence: str, here: Path
) -> None:
    assert old in COMPOSE
    (here / "a.yaml").write_text(COMPOSE.replace(old, new))
    assert refused(mimsweep("validate", "a.yaml")).startswith(f"a.yaml:{sentence}")


def test_a_block_that_is_there_twice_is_told_with_both_places(here: Path) -> None:
    (here / "a.yaml").write_text(COMPOSE.replace("model: ae", "z_dim: *sizes"))
    told = refused(mimsweep("validate", "a.yaml"))
    assert told.startswith("a.yaml:11:5: grid: the run mim-toy4-z2-m4-s1-")
    assert told.endswith("is in the block of line 8 already")


@pytest.mark.parametrize("command", FROM_STDIN, ids=lambda command: command[0])
def test_all_that_takes_a_file_takes_the_standard_input(command: list[str], here: Path) -> None:
    wrong = COMPOSE.replace("mid_dim: 4", "mid_dim: 0")
    if command == ["search"]:
        wrong = "name: a\nspace: {warmup: {int: [5, 1]}}\nseeds: 1\nobjective: 1\ntrials: 1\n"
    assert refused(piped(wrong, *command)).startswith("<stdin>:2:")
    assert refused(piped("", *command)) == "<stdin>: the file is empty"
    assert os.listdir(here) == []


def test_paths_in_the_standard_input_start_in_this_folder(here: Path) -> None:
    text = f"{COMPOSE}published: points.csv\n"
    line = len(text.splitlines())
    assert (
        refused(piped(text, "validate"))
        == f"<stdin>:{line}:12: published: no such file: points.csv"
    )
    (here / "points.csv").write_text(
        "# error of reading a mean: mi=0.1\nmetric,model,x,mean,spread\nmi,mim,2,1,\n"
    )
    assert piped(text, "validate").output == "<stdin>: shared, 12 runs\n"
    assert json.loads(piped(text, "plan", "--json").output)["to_run"] == 12


def test_a_pipe_that_can_be_read_once_is_read_once(here: Path) -> None:
    read, write = os.pipe()
    os.write(write, COMPOSE.encode())
    os.close(write)
    assert "12 runs" in mimsweep("validate", f"/dev/fd/{read}").output
    os.close(read)


@pytest.mark.parametrize("escape", [r"\ud83d", r"\u0000"])
def test_an_escape_of_no_character_is_refused_before_a_store_is_made(
    escape: str, here: Path
) -> None:
    (here / "a.json").write_text(f'{{"name": "a", "description": "b{escape}"}}')
    sentence = f"a.json:1:30: the escape {escape} stands for no character; leave it out"
    assert refused(mimsweep("run", "a.json")) == sentence
    assert os.listdir(here) == ["a.json"]


def test_a_pair_of_escapes_is_the_character_that_json_means(here: Path) -> None:
    document = {
        "name": "a",
        "description": "\U0001f600",
        "fixed": {"dataset": "toy4", "model": "ae"},
    }
    (here / "a.json").write_text(json.dumps(document))
    assert load_sweep(Path("a.json"), ()).description == document["description"]


def test_what_has_no_end_is_no_file() -> None:
    sentence = "/dev/zero: has more than 16,000,000 bytes; it is no sweep or search file"
    assert refused(mimsweep("validate", "/dev/zero")) == sentence


def test_a_closed_standard_input_is_told() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" validate - <&-', MIMSWEEP],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = "mimsweep: <stdin>: is closed; pipe a file into it, or name one\n"
    assert (done.returncode, done.stderr) == (2, told)
