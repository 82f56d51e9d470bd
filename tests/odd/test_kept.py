"""What a command must not remove: files of others, and of runs that are not its own."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mimsweep.orchestrator.engines.forgetting import METADATA
from mimsweep.orchestrator.files.search import load_search
from mimsweep.orchestrator.search import storage
from mimsweep.orchestrator.search.study import Study
from tests.odd.ending import SWEEP, store_complete_runs
from tests.odd.test_foreign_studies import FILE
from tests.orchestrator.commands import mimsweep, refused

TABLE = "# error of reading a mean: nll=0.1\nmetric,model,x,mean,spread\nnll,vae,1,2,\n"


@pytest.fixture
def stored(here: Path) -> Path:
    (here / "s.yaml").write_text(SWEEP)
    store_complete_runs()
    return here


def test_a_table_of_runs_is_not_replaced_by_an_empty_one(stored: Path) -> None:
    assert mimsweep("results", "s.yaml", "--output", "r.csv").exit_code == 0
    before = (stored / "r.csv").read_bytes()
    empty = mimsweep("results", "s.yaml", "--set", "lr=0.5", "--output", "r.csv")
    assert empty.exit_code == 0
    assert "s: no run is complete yet; r.csv is left as it was" in empty.stderr
    assert (stored / "r.csv").read_bytes() == before
    assert mimsweep("results", "s.yaml", "--set", "lr=0.5", "--output", "n.csv").exit_code == 0
    assert len((stored / "n.csv").read_text().splitlines()) == 1


def test_a_table_replaces_neither_its_sweep_nor_the_published_one(stored: Path) -> None:
    (stored / "p.csv").write_text(TABLE)
    (stored / "s.json").write_text(SWEEP + "published: p.csv\n")  # YAML, by a name of JSON's
    for output in ("s.json", "p.csv", f"../{stored.name}/p.csv"):
        before = (stored / output).read_bytes()
        said = refused(mimsweep("results", "s.json", "--output", output))
        assert said == f"--output {output}: that is a file of s; name another"
        assert (stored / output).read_bytes() == before


@pytest.mark.slow
def test_a_search_leaves_the_checkpoints_of_a_sweep_of_its_name(here: Path) -> None:
    space = "space: {warmup: {int: [1, 2]}}"
    text = FILE.replace("space: {lr: {float: [0.001, 0.01]}}", space)
    (here / "small.yaml").write_text(text)
    own = load_search(here / "small.yaml").runs({"warmup": 2})[0].run_key
    folder = here / ".mimsweep" / "checkpoints" / "small"
    folder.mkdir(parents=True)
    runs = [{"key": "a sweep's"}, {"key": own}]
    save_file({"w": np.arange(2)}, folder / "a.safetensors", {METADATA: json.dumps(runs)})
    done = mimsweep("search", "small.yaml", "--device", "cpu", "--workers", "1")
    assert done.exit_code == 0, done.output
    assert [path.name for path in folder.iterdir()] == ["a.safetensors"]
    assert load_file(folder / "a.safetensors")["w"].tolist() == [0]


def test_a_line_that_a_living_search_is_writing_is_not_cut_off(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "small.yaml").write_text(FILE)
    path = here / "study.log"
    Study(load_search(here / "small.yaml"), str(path)).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])  # as another process may see it in the middle of a write
    opening = storage.JournalStorage

    def opened(backend: object) -> object:
        made = opening(backend)  # type: ignore[arg-type]
        path.write_bytes(whole)  # the other process has written its line
        return made

    monkeypatch.setattr(storage, "JournalStorage", opened)
    storage.open_storage(os.fspath(path))
    assert path.read_bytes() == whole


def test_what_is_beside_figures_is_not_stored_with_them(stored: Path) -> None:
    (stored / "s").mkdir()
    (stored / "s" / "mine.txt").write_text("private")
    (stored / "s" / "rate_distortion.png").write_text("of other runs, of last year")
    (stored / "s" / "nll.png").write_text("likewise")
    drawn = mimsweep("figures", "s.yaml", "--output", ".")
    assert drawn.exit_code == 0, drawn.output
    kept = {path.name for path in stored.glob("mlruns/*/*/artifacts/*")}
    assert {"nll.png", "nll.svg", "table.csv"} <= kept
    assert not {"mine.txt", "rate_distortion.png"} & kept
    assert (stored / "s" / "mine.txt").read_text() == "private"
