"""JSON schemas of files: they let pass what is read, and refuse what a schema can refuse."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mimsweep.models import registry
from mimsweep.models.parts import Data, Loss, Network
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.choices import did_you_mean
from mimsweep.orchestrator.files.fields import field_names
from mimsweep.orchestrator.files.schema.documents import search_schema, sweep_schema
from mimsweep.orchestrator.files.search import load_either
from mimsweep.orchestrator.files.settings import is_search
from mimsweep.orchestrator.files.shipped import FOLDER, SCHEMAS, shipped
from mimsweep.orchestrator.files.yamlfile import load_yaml
from mimsweep.orchestrator.metrics import TABLE_METRICS
from tests.orchestrator.files import test_search, test_sweep
from tests.orchestrator.files.claims import test_claim

MADE = {"sweep": sweep_schema, "search": search_schema}

HEAD = test_sweep.HEAD
GOOD = {
    "sweep": [
        {"name": "a", "fixed": {"dataset": "toy4", "model": "mim"}},
        {
            "name": "a",
            "description": "d",
            "fixed": {"dataset": "toy4_20", "label": "", "lr": 1},
            "grid": [{"model": ["mim", "vae"], "z_dim": 2}, {"model": "ae", "seed": "1..3"}],
            "figures": {"x": "z_dim", "hue": ["model", "mmd"], "metrics": ["mi"]},
            "claims": [
                {
                    "claim": "c",
                    "metric": "mi_lower",
                    "greater": {"model": "mim"},
                    "than": {"model": "vae"},
                    "than_metric": "mi_upper",
                    "where": "z_dim >= 4 and model = 'vae'",
                },
                {"claim": "d", "metric": "mi", "rises_with": "z_dim", "falls_with": None},
                {"claim": "e", "metric": "mi", "less": {"seed": 1, "inv_h": False}, "than": 0.5},
            ],
            "snapshots": True,
            "x-mine": [1],
        },
    ],
    "search": [
        {
            "name": "b",
            "fixed": {"dataset": "toyMIM", "model": "vae"},
            "seeds": [1, 2],
            "space": {
                "lr": {"float": [0.001, 0.1], "log": True},
                "warmup": {"int": [1, 5], "step": 2},
                "act": {"categorical": ["tanh", "relu"]},
            },
            "objective": [
                {"metric": "mi", "direction": "maximize"},
                {"metric": "nll", "direction": "minimize", "seeds": "worst"},
            ],
            "trials": 3,
            "sampler": "random",
        },
        {
            "name": "c",
            "seeds": "1..2",
            "fixed": {"dataset": "mnist"},
            "space": {
                "model": {"categorical": ["mim", "vae"]},
                "epochs": {"int": [1, 3], "step": None},
            },
            "objective": {"metric": "mi", "direction": "maximize"},
            "trials": 3,
            "pruner": "wilcoxon",
        },
    ],
}
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 2, 7, -1, 10**18, 0.5, 1.5, 1e-3, 2.0, "", "x", "1..3", "0..2"),
    *("3..1", "-2..3", "1..1", "mim", "vae", "cmim", "convhvae_2level", "toy4", "toy4_1"),
    *("Toy-3_7", "pca-fashion-mnist784", "pca-fashion-mnist785-study", "toyTEXT", "omniglot"),
    *("file:a.CSV", "tanh", "anchor", "prior", "gmm-marginal", "marginal", "mi", "nll", "z_dim"),
    *("model", "seed", "z_dim >= 4", "z_dim>=4 and lr<1", "model = vae and", "zdim > 2", "none"),
    *("grid", "median", "hyperband", "gp", "minimize", "mean", [], {}, [1], [1, 2], [2, 1], [1, 1]),
    *(["mim"], ["mim", "vae"], ["a", 1], [0.5, 1], {"seed": 1}, {"model": "mim"}),
    *({"int": [1, 3]}, {"float": [1, 3]}, {"float": [0.1, 0.3], "step": 0.1}, {"categorical": [1]}),
    *({"int": [1, 3], "log": True}, {"metric": "mi", "direction": "minimize"}, [{"seed": 3}]),
]  # fmt: skip
KEYS = [
    *("name", "description", "fixed", "grid", "figures", "published", "claims", "snapshots", "x-a"),
    *(".a", "seeds", "space", "objective", "trials", "parallel", "sampler", "pruner", "unknown"),
    *("where", "than", "than_metric", "greater", "less", "falls_with", "rises_with", "log", "step"),
]  # fmt: skip

NOT_IN_A_SCHEMA = [
    # Of two numbers, or of more than a name
    *("runs backwards", "does not lead from", "is an objective already", "are more than the"),
    *("in the block of line", "no such file", "must say of how many", "can't be compared with"),
    "it must be a finite number",  # JSON has no other
    # Of fields together
    *("is not allowed with model", "is not allowed with p_z"),
    *("p_z_gmm: is required", "true is not allowed with models of images"),
]


@pytest.fixture(scope="module")
def validators() -> dict[str, Draft202012Validator]:
    made = {kind: make() for kind, make in MADE.items()}
    for schema in made.values():
        Draft202012Validator.check_schema(schema)
    return {kind: Draft202012Validator(schema) for kind, schema in made.items()}


def errors(validator: Draft202012Validator, data: object) -> list[str]:
    found = validator.iter_errors(data)
    return [f"{'.'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in found]


def bad_files() -> Iterator[tuple[str, str]]:
    """Yields the files that other tests have refused: of which kind, and their text."""
    tables: list[tuple[Any, str, str]] = [
        (test_sweep.test_bad_sweeps_are_told_in_a_sentence_with_its_position, "sweep", ""),
        (test_claim.test_bad_claims_are_told_with_their_position, "sweep", test_claim.HEAD),
        (test_search.test_what_is_wrong_is_told_with_its_place, "search", ""),
    ]
    for test, kind, head in tables:
        (mark,) = (mark for mark in test.pytestmark if mark.name == "parametrize")
        for text, _ in mark.args[1]:
            yield kind, head + text


@pytest.mark.parametrize("kind", list(MADE))
def test_the_shipped_schema_is_the_one_that_is_made(kind: str) -> None:
    """`mimsweep schema > sweeps/sweep.schema.json` (and `--search`) makes it again."""
    assert json.loads((FOLDER / SCHEMAS[kind]).read_text()) == MADE[kind]()


@pytest.mark.parametrize("file", list(shipped()), ids=lambda file: file.name)
def test_shipped_files_name_their_schema_and_validate(
    file: Any, validators: dict[str, Draft202012Validator]
) -> None:
    path = FOLDER / f"{file.name}.yaml"
    modeline = f"# yaml-language-server: $schema={SCHEMAS[file.kind]}"
    assert path.read_text().splitlines()[0] == modeline
    data = load_yaml(path).data
    assert errors(validators[file.kind], data) == []
    other = {"sweep": "search", "search": "sweep"}[file.kind]
    assert errors(validators[other], data)


def test_what_a_schema_can_refuse_it_refuses(
    tmp_path: Path, validators: dict[str, Draft202012Validator]
) -> None:
    passed, refused = [], 0
    for kind, text in bad_files():
        path = tmp_path / "a.yaml"
        path.write_text(text)
        try:
            data = load_yaml(path).data
        except SpecError:
            continue  # no YAML that we read
        with pytest.raises(SpecError) as sentence:
            load_either(path, ())
        if errors(validators[kind], data):
            refused += 1
        elif not any(part in str(sentence.value) for part in NOT_IN_A_SCHEMA):
            passed.append((text, str(sentence.value)))
    assert passed == []
    assert refused > 80


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("fixed: {dataset: toy4, model: mim}", ": 'name' is a required property"),
        (HEAD + "grids: {}", ": 'grids' does not match"),
        (HEAD + "grid: {seedz: 1}", "grid: Additional properties"),
        (HEAD + "grid: {z_dim: [2, 0]}", "grid.z_dim.1: 0 is less than the minimum"),
        ("name: a\nfixed: {dataset: toy4, model: mmi}", "fixed.model: 'mmi' is not one of"),
        ("name: a\nfixed: {dataset: toy4, model: mim, z_dim: 0}", "fixed.z_dim: 0 is less than"),
        ("name: a\nfixed: {dataset: tpy4, model: mim}", "fixed.dataset: 'tpy4' is not valid"),
        ("name: a\nfixed: {dataset: toy4, model: mim, inv_h: no}", "fixed.inv_h: 'no' is not of"),
        (HEAD + "grid: {model: vae}", "grid: False schema does not allow 'vae'"),
        ("name: a\nfixed: {dataset: toy4}", ": 'grid' is a required property"),
        (HEAD + "claims: [{claim: c, metric: mii, falls_with: z_dim}]", "claims: "),
    ],
)
def test_a_mistake_is_marked_where_it_is(
    text: str, place: str, tmp_path: Path, validators: dict[str, Draft202012Validator]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    found = errors(validators["sweep"], load_yaml(path).data)
    assert len(found) == 1, found
    assert found[0].startswith(place)


def mutated(document: dict[str, Any], source: random.Random) -> dict[str, Any]:
    """A document with some of its values replaced, keys left out, and keys added."""
    made = copy.deepcopy(document)
    for _ in range(source.choice((1, 1, 2, 3))):
        inner = [made, *inside(made)]
        part = source.choice(inner)
        kind = source.choice(("replace", "replace", "remove", "add"))
        if isinstance(part, list):
            if kind == "remove" and part:
                part.pop(source.randrange(len(part)))
            else:
                part.append(copy.deepcopy(source.choice(VALUES)))
        elif kind == "add" or not part:
            part[source.choice((*KEYS, *field_names()))] = copy.deepcopy(source.choice(VALUES))
        else:
            key = source.choice(list(part))
            if kind == "remove":
                del part[key]
            else:
                part[key] = copy.deepcopy(source.choice(VALUES))
    return made


def inside(value: Any) -> Iterator[Any]:
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield part
            yield from inside(part)


def accepted(document: dict[str, Any], folder: Path) -> bool:
    path = folder / "a.yaml"
    path.write_text(json.dumps(document))
    try:
        load_either(path, ())
    except SpecError:
        return False
    return True


@pytest.mark.parametrize("kind", list(GOOD))
def test_the_documents_that_are_mutated_are_good(
    kind: str, tmp_path: Path, validators: dict[str, Draft202012Validator]
) -> None:
    source = random.Random(1)
    many = [mutated(source.choice(GOOD[kind]), source) for _ in range(300)]
    assert sum(accepted(document, tmp_path) for document in many) > 20
    for document in GOOD[kind]:
        assert accepted(document, tmp_path)
        assert errors(validators[kind], document) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(kind=st.sampled_from(list(GOOD)), which=st.integers(0, 1), source=st.randoms())
def test_what_is_read_the_schema_lets_pass(
    kind: str,
    which: int,
    source: random.Random,
    tmp_path: Path,
    validators: dict[str, Draft202012Validator],
) -> None:
    document = mutated(GOOD[kind][which], source)
    if accepted(document, tmp_path):
        of = "search" if is_search(document) else "sweep"
        assert errors(validators[of], document) == []


def test_parts_of_a_users_own_are_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loss = Loss(print, fields={"alpha": 1.0, "kernel": "rbf", "title": True}, at="mine.py:3")
    monkeypatch.setitem(registry.LOSSES, "wae", loss)
    monkeypatch.setitem(registry.LOSSES, "other", Loss(print, fields={"alpha": 2}, at="mine.py:4"))
    monkeypatch.setitem(registry.NETWORKS, "conv", Network(print, {"width": 3}, "mine.py:5"))
    monkeypatch.setitem(registry.DATA, "ring", Data(2, print))
    validator = Draft202012Validator(sweep_schema())
    fixed = {"dataset": "ring", "model": "wae", "encoder": "conv", "width": 7, "title": False}
    document: dict[str, Any] = {
        "name": "a", "fixed": fixed, "grid": {"alpha": [0.5, 2], "kernel": "imq"},
        "figures": {"x": "alpha", "hue": "kernel", "metrics": ["mi"]},
        "claims": [{"claim": "c", "metric": "mi", "rises_with": "alpha", "where": "width = 7"}],
    }  # fmt: skip
    assert accepted(document, tmp_path)
    assert errors(validator, document) == []
    for field, value in {"dataset": "rings", "width": 1.5, "title": 1, "model": "waee"}.items():
        wrong = {**document, "fixed": {**fixed, field: value}}
        assert not accepted(wrong, tmp_path)
        assert errors(validator, wrong)


def test_every_key_is_described_and_enums_are_those_of_the_checks() -> None:
    schema = sweep_schema()
    fixed = schema["properties"]["fixed"]["properties"]
    assert [*fixed] == field_names()
    assert all(part["description"] for part in fixed.values())
    assert all(part["description"] for part in schema["properties"].values())
    assert schema["$defs"]["Claim"]["properties"]["metric"]["enum"] == [*TABLE_METRICS]
    assert did_you_mean("mmi", fixed["model"]["enum"])
