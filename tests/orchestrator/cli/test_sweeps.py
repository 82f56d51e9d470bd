"""`mimsweep sweeps`, from the command line."""

import json
from pathlib import Path

from tests.orchestrator.commands import mimsweep, refused


def test_sweeps_are_listed_with_their_descriptions(here: Path) -> None:
    lines = mimsweep("sweeps").stdout.splitlines()
    assert any(line.startswith("bottleneck ") and "MIM against VAE" in line for line in lines)
    listed = json.loads(mimsweep("sweeps", "--json").stdout)
    assert [each["name"] for each in listed] == [line.split()[0] for line in lines]
    assert {each["kind"] for each in listed} == {"sweep", "search"}


def test_a_sweep_is_copied_once(here: Path) -> None:
    assert mimsweep("sweeps", "copy", "expressiveness").stdout.splitlines() == [
        "expressiveness.yaml",
        "published/expressiveness.csv",
        "sweep.schema.json",
    ]
    assert "there already" in refused(mimsweep("sweeps", "copy", "expressiveness"))
    assert "160 runs" in mimsweep("validate", "expressiveness.yaml").stdout


def test_commands_take_names_and_write_nothing_of_unknown_ones(here: Path) -> None:
    assert "smoke, 12 runs" in mimsweep("validate", "smoke").stdout
    assert "smoke: 12 runs, 0 complete" in mimsweep("plan", "smoke").stdout
    assert "did you mean smoke?" in refused(mimsweep("run", "smoek"))
    assert list(here.iterdir()) == []
