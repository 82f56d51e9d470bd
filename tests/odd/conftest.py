"""Fixtures of odd surroundings."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mimsweep.models import registry


@pytest.fixture
def users(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, whose `mine.py` (and `other.py`) is imported where a name is looked up."""
    tables = (
        registry.DATA,
        registry.LOSSES,
        registry.NETWORKS,
        registry.DENSITIES,
        registry.CODE,
        registry._origins,
    )
    before = [dict(table) for table in tables]
    monkeypatch.setenv(registry.VARIABLE, "mine")
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it is written again within a second
    registry.load.cache_clear()
    yield here
    for name in ("mine", "other"):
        sys.modules.pop(name, None)
    registry.load.cache_clear()
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)
