"""Fields that a user's parts declare: who has them, their values, where sweeps may name them."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mimsweep.models import registry
from mimsweep.models.parts import MOST_CHARACTERS, Loss, problem_of
from mimsweep.orchestrator.engines.training import cohort_of
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.search import load_search
from mimsweep.orchestrator.files.spec import RunSpec, explain
from mimsweep.orchestrator.files.sweep import Sweep, load_sweep
from mimsweep.orchestrator.planning import agreement, plan

FIELDS = {"alpha": 1.0, "steps": 3, "hard": False, "kernel": "rbf"}


@pytest.fixture(autouse=True)
def losses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, fields in {"wae": FIELDS, "other": {"alfa": 1}, "plain": {}}.items():
        monkeypatch.setitem(registry.LOSSES, name, Loss(print, fields=fields, at="mine.py:3"))


def wae(**fields: Any) -> RunSpec:
    return RunSpec(dataset="toy4", model="wae", **fields)


def refusal(model: str = "wae", **fields: Any) -> str:
    with pytest.raises(ValidationError) as invalid:
        RunSpec(dataset="toy4", model=model, **fields)
    error = invalid.value.errors()[0]
    return f"{error['loc'][0] if error['loc'] else error['ctx']['field']}: {explain(error)}"


def load(folder: Path, text: str, *overrides: str) -> Sweep:
    (folder / "a.yaml").write_text(f"name: a\n{text}\n")
    return load_sweep(folder / "a.yaml", overrides)


def test_a_run_has_the_fields_of_its_parts_and_no_others() -> None:
    assert wae().declared == FIELDS
    assert list(wae(kernel="imq").declared) == list(FIELDS)
    assert wae(kernel="imq").declared == {**FIELDS, "kernel": "imq"}
    assert wae().own_fields().keys() >= FIELDS.keys()
    assert not RunSpec(dataset="toy4", model="vae").declared


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"alpha": "much"}, "alpha: 'much' is not allowed; it must be a number"),
        ({"alpha": float("inf")}, "alpha: inf is not allowed; it must be a finite number"),
        ({"alpha": True}, "alpha: true is not allowed; it must be a number"),
        ({"steps": 2.0}, "steps: 2.0 is not allowed; it must be an integer"),
        ({"steps": 10**18}, "steps: 1000000000000000000 is not allowed; it must be at most "),
        ({"hard": 1}, "hard: 1 is not allowed; it must be true or false"),
        ({"kernel": 1}, "kernel: 1 is not allowed; it must be text"),
        ({"alfa": 1}, "alfa: alfa is no field of model wae; did you mean alpha?"),
        ({"model": "vae", "steps": 1}, "steps: steps is no field of model vae; allowed with: "),
        ({"model": "vae", "nothing": 1}, "nothing: nothing is no field of model vae"),
    ],
)
def test_a_wrong_value_or_a_field_of_another_part_is_refused(
    fields: dict[str, Any], sentence: str
) -> None:
    assert refusal(**fields).startswith(sentence)


@pytest.mark.parametrize("name", ["lr", "patience", "mi", "train_loss", "status", "declared"])
def test_a_part_that_declares_a_name_of_ours_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.LOSSES, "bad", Loss(print, fields={name: 1}, at="mine.py:9"))
    expected = f"model: bad declares the field {name}, a name of ours; rename it, in mine.py:9"
    assert refusal("bad") == expected


def test_the_largest_defaults_are_values() -> None:
    for largest in (10**18 - 1, "x" * MOST_CHARACTERS):
        assert problem_of({"field": largest}) == ""
        field = "steps" if isinstance(largest, int) else "kernel"
        assert wae(**{field: largest}).declared[field] == largest
    for over in (10**18, "x" * (MOST_CHARACTERS + 1)):
        assert problem_of({"field": over})


def test_key_and_name_have_all_declared_fields_and_are_pinned() -> None:
    """Stored runs are found by the key; a user may change a default."""
    assert wae(alpha=1).run_key == wae().run_key == "5798271d581bf0cf"
    assert wae().run_name == "wae-toy4-z2-m50-s1-alpha1.0-steps3-no_hard-kernel_rbf"
    changes: list[dict[str, Any]] = [{"alpha": 2}, {"steps": 1}, {"hard": True}, {"kernel": "imq"}]
    assert len({wae(**change).run_key for change in [{}, *changes]}) == 5
    assert len({wae(**change).run_name for change in [{}, *changes]}) == 5


def test_they_survive_pickling_and_json() -> None:
    run = wae(alpha=2, kernel="imq")
    for copy in (pickle.loads(pickle.dumps(run)), RunSpec(**json.loads(run.model_dump_json()))):
        assert copy == run
        assert copy.run_key == run.run_key
        assert copy.declared == run.declared
    assert run != wae(alpha=3, kernel="imq")


def test_runs_of_one_cohort_agree_in_them() -> None:
    runs = [wae(alpha=alpha, seed=seed) for alpha in (1, 2) for seed in (1, 2)]
    assert len({agreement(run) for run in runs}) == 2
    cohorts = plan("a", [*runs, RunSpec(dataset="toy4", model="plain")], [], None).cohorts
    assert [cohort.size for cohort in cohorts] == [2, 2, 1]
    assert [cohort.spec.get("alpha") for cohort in cohorts] == [1, 2, None]
    assert "alpha 2.0" in cohorts[1].label
    assert cohort_of(runs[2:]).declared == {**FIELDS, "alpha": 2}


def test_a_sweep_varies_them(tmp_path: Path) -> None:
    text = "fixed: {dataset: toy4, steps: 5}\ngrid: {model: [wae], alpha: [0.5, 2]}"
    assert load(tmp_path, text).runs == [wae(alpha=0.5, steps=5), wae(alpha=2, steps=5)]
    assert load(tmp_path, text, "alpha=7").runs == [wae(alpha=7, steps=5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "fixed: {dataset: toy4, model: wae, alpah: 1}",
            "2:36: fixed.alpah: no such field; did you mean alpha?",
        ),
        (
            "fixed: {dataset: toy4}\ngrid: {model: [wae, vae], alpha: [1]}",
            "3:35: grid.alpha: alpha is no field of model vae; allowed with: model wae",
        ),
        (
            "fixed: {dataset: toy4, model: wae}\ngrid: {alpha: [1, high]}",
            "3:19: grid.alpha: 'high' is not allowed; it must be a number",
        ),
        (
            "fixed: {dataset: toy4, model: wae}\nfigures: {x: alpah, hue: model, metrics: [mi]}",
            "3:14: figures.x: 'alpah' is not a field; did you mean alpha?",
        ),
        (
            "fixed: {dataset: toy4, model: wae}\n"
            "claims: [{claim: c, metric: mi, falls_with: kernel}]",
            "3:10: claims: kernel is no number, so nothing falls or rises with it",
        ),
        (
            "fixed: {dataset: toy4, model: wae}\n"
            "claims: [{claim: c, metric: mi, falls_with: z_dim, where: hard = 1}]",
            "claims.where: 1 can't be compared with hard, which is true or false",
        ),
    ],
)
def test_what_is_wrong_in_a_sweep_is_told_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(SpecError) as error:
        load(tmp_path, text)
    assert message in str(error.value)
    with pytest.raises(SpecError, match="--set alpah=1: no such field; did you mean alpha"):
        load(tmp_path, "fixed: {dataset: toy4, model: wae}", "alpah=1")


def test_claims_and_figures_name_them(tmp_path: Path) -> None:
    sweep = load(
        tmp_path,
        "fixed: {dataset: toy4, model: wae}\ngrid: {alpha: [1, 2]}\n"
        "figures: {x: alpha, hue: kernel, metrics: [mi]}\n"
        "claims: [{claim: c, metric: mi, rises_with: alpha, where: kernel = rbf and alpha > 0}]",
    )
    (claim,) = sweep.claims
    assert claim.fields == {"alpha", "kernel"}


SEARCH = """\
name: a
fixed: {dataset: toy4, model: wae}
seeds: 1..2
space: {alpha: {float: [0.5, 2.0]}, steps: {int: [%s, 4]}}
objective: {metric: mi, direction: maximize}
trials: 3
"""


def test_a_search_has_them_in_its_space_and_starts_at_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SEARCH % 1)
    search = load_search(path)
    assert search.default == {"alpha": 1.0, "steps": 3}
    assert [run.declared["alpha"] for run in search.runs({"alpha": 0.7, "steps": 1})] == [0.7] * 2
    path.write_text(SEARCH % 4)
    assert load_search(path).default is None
    path.write_text((SEARCH % 1).replace("wae", "vae"))
    with pytest.raises(SpecError, match="alpha is no field of model vae"):
        load_search(path)
