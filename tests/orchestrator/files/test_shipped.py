"""Shipped sweeps: found by name, listed, copied whole or not at all."""

from pathlib import Path

import pytest

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.search import Search, load_either, load_search
from mimsweep.orchestrator.files.shipped import FOLDER, copy, found, shipped
from mimsweep.orchestrator.files.sweep import load_sweep
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def empty(here: Path) -> Path:
    return here


def test_all_files_of_the_folder_are_shipped_and_can_be_loaded() -> None:
    there = list(shipped())
    assert [each.name for each in there] == sorted(p.stem for p in (ROOT / "sweeps").glob("*.yaml"))
    for each in there:
        loaded = load_either(Path(each.name), ())
        assert (each.kind == "search") == isinstance(loaded, Search)
        assert each.description == loaded.description


def test_a_name_is_the_shipped_sweep() -> None:
    assert len(load_sweep(Path("bottleneck")).runs) == 200
    assert load_search(Path("search_warmup")).name == "warmup"
    assert len(load_sweep(Path("bottleneck"), ["seed=1..2"]).runs) == 40
    published = load_sweep(Path("bottleneck"), ()).published
    assert published is not None
    assert published.is_file()


def test_a_file_that_exists_wins_and_a_folder_of_that_name_does_not(empty: Path) -> None:
    (empty / "smoke").mkdir()
    assert found(Path("smoke")) == FOLDER / "smoke.yaml"
    (empty / "smoke").rmdir()
    (empty / "smoke").write_text("name: mine\nfixed: {dataset: toy4, model: vae}\n")
    assert load_sweep(Path("smoke")).name == "mine"
    assert found(empty) == empty  # a path is what it says, and refused by who reads it


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("botleneck", "no such file, and no shipped sweep of that name; did you mean bottleneck?"),
        (
            "qqqq",
            "no such file, and no shipped sweep of that name; `mimsweep sweeps` lists those that "
            "there are",
        ),
        ("bottleneck.yaml", "no such file; did you mean bottleneck?, which is shipped"),
        ("sub/qqqq.yaml", "no such file"),
    ],
)
def test_an_unknown_name_gets_the_nearest(given: str, sentence: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_sweep(Path(given))
    assert str(refused.value) == f"{given}: {sentence}"


def test_a_copy_has_the_table_that_it_names_and_is_the_same_sweep(empty: Path) -> None:
    copies = copy("bottleneck", Path())
    schema = Path("sweep.schema.json")
    assert copies == [Path("bottleneck.yaml"), Path("published/bottleneck.csv"), schema]
    mine, theirs = load_sweep(copies[0]), load_sweep(Path("bottleneck"))
    assert mine.runs == theirs.runs
    assert mine.published == copies[1]
    assert sorted(p for p in empty.rglob("*") if p.is_file()) == [empty / p for p in copies]
    schema.write_text("of my own parts")
    assert copy("smoke", Path()) == [Path("smoke.yaml")]
    assert schema.read_text() == "of my own parts"
    assert copy("search_warmup", Path())[1:] == [Path("search.schema.json")]


def test_nothing_is_copied_over_a_file_of_the_users(empty: Path) -> None:
    (empty / "published").mkdir()
    (empty / "published" / "bottleneck.csv").write_text("mine")
    with pytest.raises(SpecError, match=r"published/bottleneck\.csv is there already; nothing"):
        copy("bottleneck", Path())
    assert not (empty / "bottleneck.yaml").exists()
    with pytest.raises(SpecError, match="did you mean smoke"):
        copy("smok", Path())
    with pytest.raises(SpecError, match="no shipped sweep"):
        copy("../sweeps/smoke", Path())
