"""What commands refuse: a sentence, an exit code, and nothing written."""

import os
import time
from pathlib import Path

import pytest

from mimsweep.orchestrator.files.choices import MODELS
from tests.orchestrator.commands import mimsweep, refused

pytestmark = [
    pytest.mark.usefixtures("here"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]

ALL_MODELS = ", ".join(MODELS.now)
DEAD_SERVER = "http://127.0.0.1:9"

BAD = {
    "unknown field": ("grid: {seedz: 1..2}", ":3:8: grid.seedz: no such field; did you mean seed?"),
    "wrong type": ("grid: {seed: [1, two]}", ":3:18: grid.seed: 'two' is not allowed; it must be"),
    "empty grid": ("grid: {}", ":3:7: grid: is empty"),
    "empty list": ("grid: {seed: []}", ":3:14: grid.seed: the list is empty"),
    "duplicate key": ("grid: {seed: 1, seed: 2}", ":3:17: the key seed is given twice"),
    "duplicate run": (
        "grid:\n  - {seed: 1..3}\n  - {seed: 3..4}",
        ":5:5: grid: the run mim-toy4-z2-m50-s3 is in the block of line 4 already",
    ),
    "tab": ("grid:\n\tseed: 1", ":4:1: a tab is not allowed here; use spaces"),
    "z_dim 0": ("grid: {z_dim: [2, 0]}", ":3:19: grid.z_dim: 0 is not allowed; it must be at"),
    "backwards": ("grid: {seed: 10..1}", ":3:14: grid.seed: 10..1 runs backwards; write 1..10"),
    "object": (
        "grid: {seed: !!python/object/apply:os.system ['touch pwned']}",
        ":3:14: the tag !!python/object/apply:os.system is not allowed",
    ),
    "list under fixed": ("fixed: {seed: [1, 2]}", ":3:1: the key fixed is given twice"),
    "unknown section": ("grids: {seed: 1}", ":3:1: grids: no such field; did you mean grid?"),
    "unknown metric": (
        "figures: {x: z_dim, hue: model, metrics: [mii]}",
        ":3:43: figures.metrics: 'mii' is not a metric; did you mean mi?",
    ),
    "too many runs": ("grid: {seed: 1..9999999}", ":3:7: grid: 9,999,999 runs are more than"),
}
BAD_MODEL = "name: a\nfixed: {dataset: toy4}\ngrid: {model: [mim, vea]}\n"
COMMANDS = [
    ["validate"],
    ["plan"],
    ["plan", "--json"],
    ["run"],
    ["status"],
    ["results"],
    ["figures"],
    ["report"],
]


@pytest.mark.parametrize("arguments", [["rum"], ["run"], ["run", "a.yaml", "--workers", "0"]])
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], here: Path) -> None:
    assert mimsweep(*arguments).exit_code == 2
    assert os.listdir(here) == []


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_file_is_told_with_its_place_and_nothing_is_written(case: str, here: Path) -> None:
    text, sentence = BAD[case]
    path = here / "a.yaml"
    path.write_text(f"name: a\nfixed: {{dataset: toy4, model: mim}}\n{text}\n")
    for command in COMMANDS:
        assert refused(mimsweep(*command, "a.yaml")).startswith(f"a.yaml{sentence}")
    assert os.listdir(here) == ["a.yaml"]


def test_an_unknown_model_is_told_with_a_near_one(here: Path) -> None:
    (here / "a.yaml").write_text(BAD_MODEL)
    for command in COMMANDS:
        sentence = refused(mimsweep(*command, "a.yaml"))
        assert sentence == (
            f"a.yaml:3:21: grid.model: vea is not allowed; allowed: {ALL_MODELS}; did you mean vae?"
        )
    assert os.listdir(here) == ["a.yaml"]


def test_a_missing_file(here: Path) -> None:
    for command in COMMANDS:
        assert refused(mimsweep(*command, "a.yaml")) == "a.yaml: no such file"
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("seedz=1", "no such field; did you mean seed?"),
        ("seed", "write field=value"),
        ("seed=", "write field=value"),
        ("z_dim=0", "0 is not allowed; it must be at least 1"),
        ("seed=3..1", "3..1 runs backwards; write 1..3"),
        ("seed=1,1", "1 is in the list twice"),
        ("model=vea", f"vea is not allowed; allowed: {ALL_MODELS}; did you mean vae?"),
        ("lr=fast", "'fast' is not allowed; it must be a number"),
    ],
)
def test_a_wrong_override(override: str, sentence: str, sweep: Path, here: Path) -> None:
    for command in COMMANDS:
        told = refused(mimsweep(*command, "toy.yaml", "--set", override))
        assert told.startswith(f"--set {override}: {sentence}")
    assert os.listdir(here) == ["toy.yaml"]


@pytest.mark.parametrize("size", ["0", "-1", "2.5", "all", ""])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_wrong_cohort_size(command: str, size: str, sweep: Path, here: Path) -> None:
    sentence = refused(mimsweep(command, sweep, "--cohort-size", size))
    assert sentence == f"--cohort-size {size}: it must be a whole number from 1, or auto"
    assert os.listdir(here) == ["toy.yaml"]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_no_gpu(command: str, sweep: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    sentence = refused(mimsweep(command, sweep, "--device", "cuda"))
    assert sentence.startswith("--device cuda: no GPU is visible")
    assert os.listdir(here) == ["toy.yaml"]


@pytest.mark.parametrize("command", ["plan", "run", "status", "results", "figures", "report"])
def test_a_store_out_of_reach_is_exit_code_3_at_once(command: str, sweep: Path, here: Path) -> None:
    start = time.monotonic()
    sentence = refused(mimsweep(command, sweep, "--tracking-uri", DEAD_SERVER), exit_code=3)
    assert time.monotonic() - start < 15
    assert sentence.startswith(f"the tracking store {DEAD_SERVER} failed: ")
    assert os.listdir(here) == ["toy.yaml"]


@pytest.mark.slow
def test_missing_image_files_are_told_before_anything_starts(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, DEAD_SERVER)  # there may be a network
    monkeypatch.setenv("MIMSWEEP_DATA_DIR", str(tmp_path / "data"))
    text = "name: a\nfixed: {dataset: pca-fashion-mnist20, model: mim}\n"
    (here / "a.yaml").write_text(text)
    start = time.monotonic()
    result = mimsweep("run", "a.yaml")
    assert time.monotonic() - start < 30
    assert result.exit_code == 2, result.output
    assert result.stderr.splitlines()[-1].startswith("mimsweep: Fashion-MNIST can't be downloaded")
    assert "MIMSWEEP_DATA_DIR" in result.stderr
    assert os.listdir(here) == ["a.yaml"]
