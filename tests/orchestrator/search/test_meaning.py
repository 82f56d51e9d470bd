"""What a study's trials depend on, beside what its search file says."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mimsweep.models import registry
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.files.space import Dimension
from mimsweep.orchestrator.search.meaning import meaning_of
from mimsweep.orchestrator.search.study import Study
from tests.orchestrator.search.test_study import FIXED, search


def test_what_has_nothing_of_a_users_means_what_it_meant() -> None:
    assert meaning_of(search()).keys() == {"version", "fixed", "seeds", "space", "objectives"}


def on_files(folder: Path, *names: str) -> Search:
    fixed = {"model": "vae", "batch_size": 16}
    space = {"dataset": Dimension("categorical", tuple(f"file:{name}" for name in names))}
    return dataclasses.replace(search(fixed=fixed, space=space), folder=folder)


def test_data_files_are_told_by_their_contents(tmp_path: Path) -> None:
    points = np.random.default_rng(1).normal(size=(100, 3))
    for number, name in enumerate("ab"):
        np.save(tmp_path / f"{name}.npy", points + number)
    both = meaning_of(on_files(tmp_path, "a.npy", "b.npy"))
    assert len(both["content of data files"]) == 2
    one = on_files(tmp_path, "a.npy")
    storage = str(tmp_path / "study.log")
    Study(one, storage).close()
    Study(one, storage).close()
    np.save(tmp_path / "a.npy", 2 * points)
    with pytest.raises(SpecError, match="was made with another content of data files: its trials"):
        Study(one, storage)


def test_a_study_of_other_code_is_refused_but_not_one_that_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "DENSITIES", {"mine": print})
    storage, ours = str(tmp_path / "study.log"), search(fixed={**FIXED, "p_z": "mine"})
    for code in ({}, {("distribution", "mine"): "1"}):
        monkeypatch.setattr(registry, "CODE", code)
        Study(ours, storage).close()
    monkeypatch.setattr(registry, "CODE", {("distribution", "mine"): "2"})
    with pytest.raises(SpecError, match="was made with another code: its trials"):
        Study(ours, storage)
