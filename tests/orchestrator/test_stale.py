"""What is said to have changed since runs were trained."""

import json
from pathlib import Path

import numpy as np
import pytest

from mimsweep.models import registry
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.stale import Stale, changed, code_of, find_stale
from mimsweep.orchestrator.tracking.runs import RunState


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """What is registered: a distribution and a data set, of which nothing else is asked."""
    told = {("distribution", "mine"): "d1", ("data set", "ring"): "r1", ("model", "own"): ""}
    monkeypatch.setattr(registry, "CODE", told)
    monkeypatch.setattr(registry, "DENSITIES", {"mine": print})
    monkeypatch.setattr(registry, "DATA", {"ring": registry.Data(2, print)})
    return told


def run(**fields: object) -> RunSpec:
    return RunSpec.model_validate({"dataset": "toy4", "model": "mim", **fields})


def state(run: RunSpec, code: str | None = None, status: str = "FINISHED") -> RunState:
    content = run.key_of_any_content if run.of_file else None
    return RunState(status, "id", None, None, code, content)  # type: ignore[arg-type]


def test_the_code_of_a_run_is_that_of_its_users_parts() -> None:
    assert code_of(run()) == ""
    assert json.loads(code_of(run(p_z="mine"))) == {"distribution mine": "d1"}
    assert json.loads(code_of(run(q_x="mine", dataset="ring"))) == {
        "distribution mine": "d1",
        "data set ring": "r1",
    }


def test_what_has_changed(code: dict[tuple[str, str], str]) -> None:
    both = run(q_x="mine", dataset="ring")
    then = code_of(both)
    assert changed(both, then) == []
    code["distribution", "mine"] = "d2"
    assert changed(both, then) == ["distribution mine"]
    assert changed(both, None) == []
    assert changed(both, '{"data set ring": "r0"}') == ["data set ring"]
    assert changed(both, "edited by hand") == changed(both, "[1, 2]") == []
    code["distribution", "mine"] = ""  # its source is not there any more
    assert changed(both, then) == []


def test_complete_runs_are_counted_by_part(code: dict[tuple[str, str], str]) -> None:
    runs = [run(p_z="mine", seed=seed) for seed in range(4)] + [run()]
    then = code_of(runs[0])
    states = {each.run_key: state(each, then) for each in runs[:3]}
    states |= {runs[3].run_key: state(runs[3], then, "FAILED"), runs[4].run_key: state(runs[4])}
    assert find_stale(runs, states) == Stale({}, [])
    assert find_stale(runs, states).lines == []
    code["distribution", "mine"] = "d2"
    stale = find_stale(runs, states)
    assert stale.parts == {each.run_key: ["distribution mine"] for each in runs[:3]}
    assert stale.counts == {"distribution mine": 3}
    assert stale.lines == [
        "stale: the distribution `mine` has changed since: 3 runs, `run --fresh-stale` trains anew"
    ]


def test_a_file_that_has_changed_is_told_of_runs_that_were_complete(tmp_path: Path) -> None:
    def found(**fields: object) -> RunSpec:
        values = {"dataset": "file:my points.npy", "model": "vae", "batch_size": 16, **fields}
        return RunSpec.model_validate(values, context=tmp_path)

    points = np.random.default_rng(1).normal(size=(100, 3))
    np.save(tmp_path / "my points.npy", points)
    before = [found(seed=seed) for seed in range(3)]
    states = {each.run_key: state(each) for each in before[:2]}
    assert find_stale(before, states) == Stale({}, [])
    np.save(tmp_path / "my points.npy", 2 * points)
    after = [found(seed=seed) for seed in range(3)]
    assert {each.run_key for each in after}.isdisjoint(states)
    stale = find_stale(after, states)
    assert stale.counts == {"file my points.npy": 2}
    assert stale.lines == [
        "stale: the file my points.npy has changed since: 2 runs, to be trained anew"
    ]
    states |= {each.run_key: state(each) for each in after}
    assert find_stale(after, states) == Stale({}, [])
    other = [found(seed=seed, standardise=False) for seed in range(3)]
    assert find_stale(other, states) == Stale({}, [])
