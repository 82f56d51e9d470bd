import json
import pickle
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import orchestrator.spec
from orchestrator.metrics import EPOCH_METRICS, FINAL_METRICS, RUN_METRICS
from orchestrator.spec import VARIES_IN_COHORT, RunSpec, data_dim, explain, shown

DESIGN_DEFAULTS = {
    "seed": 1,
    "z_dim": 2,
    "mid_dim": 50,
    "layers": 2,
    "act": "tanh",
    "inv_h": False,
    "min_logvar": 6,
    "warmup": 3,
    "epochs": 200,
    "batch_size": 128,
    "lr": 1e-3,
    "p_z": "anchor",
    "q_x": "marginal",
    "q_x_samples": "conditional",
    "p_z_gmm": 0,
    "q_x_gmm": 0,
    "q_zx_gmm": 0,
    "p_xz_gmm": 0,
    "learn_p_z": False,
}


def spec(**fields: Any) -> RunSpec:
    return RunSpec(**{"dataset": "toy4", "model": "mim", **fields})


def sentence(**fields: Any) -> str:
    with pytest.raises(ValidationError) as invalid:
        spec(**fields)
    (error,) = invalid.value.errors()
    return explain(error)


def test_fields_and_defaults_are_those_of_the_design() -> None:
    fields = spec().model_dump()
    assert list(fields.items()) == [("dataset", "toy4"), ("model", "mim"), *DESIGN_DEFAULTS.items()]
    assert set(VARIES_IN_COHORT) < set(fields)


@pytest.mark.parametrize(
    ("dataset", "dim"),
    [
        ("toy4", 2),
        ("toy0", 2),
        ("toy-3", 2),
        ("toy4_20", 20),
        ("toy-3_7", 7),
        ("toy1000_2", 2),
        ("pca-fashion-mnist1", 1),
        ("pca-fashion-mnist784", 784),
    ],
)
def test_data_sets_and_their_dimensions(dataset: str, dim: int) -> None:
    assert spec(dataset=dataset).dataset == dataset
    assert data_dim(dataset) == dim


@pytest.mark.parametrize(
    "dataset",
    [
        "mnist",
        "fashion-mnist",
        "dynamic_mnist",
        "dynamic_fashion_mnist",
        "omniglot",
        "Toy4",
        "Toy4_20",
        "ToyMIM",
    ],
)
def test_data_sets_of_later_are_refused_by_name(dataset: str) -> None:
    assert sentence(dataset=dataset).startswith(f"{dataset} is not available yet; allowed: toy<K>")


@pytest.mark.parametrize(
    ("dataset", "problem"),
    [
        ("toy4_1", "its dimension must be at least 2, not 1"),
        ("toy4_0", "its dimension must be at least 2, not 0"),
        ("pca-fashion-mnist0", "its dimension must be 1 to 784, not 0"),
        ("pca-fashion-mnist785", "its dimension must be 1 to 784, not 785"),
        ("pca-fashion-mnist", "allowed: toy<K>"),
        ("toy", "allowed: toy<K>"),
        ("toy04", "allowed: toy<K>"),
        ("toy-0", "allowed: toy<K>"),
        ("toy4_020", "allowed: toy<K>"),
        ("toy4\n", "allowed: toy<K>"),
        ("toy٤", "allowed: toy<K>"),
        ("../toy4", "allowed: toy<K>"),
        ("", "allowed: toy<K>"),
    ],
)
def test_bad_data_sets(dataset: str, problem: str) -> None:
    assert f"{dataset} is not allowed; {problem}" in sentence(dataset=dataset)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("z_dim", 0, "0 is not allowed; it must be at least 1"),
        ("mid_dim", 0, "0 is not allowed; it must be at least 1"),
        ("layers", 0, "0 is not allowed; it must be at least 1"),
        ("warmup", 0, "0 is not allowed; it must be at least 1"),
        ("epochs", 0, "0 is not allowed; it must be at least 1"),
        ("batch_size", 0, "0 is not allowed; it must be at least 1"),
        ("batch_size", 10_001, "10001 is not allowed; it must be at most 10000"),
        ("seed", -1, "-1 is not allowed; it must be at least 0"),
        ("min_logvar", 19, "19 is not allowed; it must be at most 18"),
        ("z_dim", "2", "'2' is not allowed; it must be an integer"),
        ("z_dim", True, "true is not allowed; it must be an integer"),
        ("z_dim", 2.0, "2.0 is not allowed; it must be an integer"),
        ("z_dim", None, "nothing is not allowed; it must be an integer"),
        ("z_dim", [2], "[2] is not allowed; it must be an integer"),
        ("lr", 0, "0 is not allowed; it must be greater than 0"),
        ("lr", "1e-3", "'1e-3' is not allowed; it must be a number"),
        ("lr", True, "true is not allowed; it must be a number"),
        ("lr", float("inf"), "inf is not allowed; it must be a finite number"),
        ("inv_h", 1, "1 is not allowed; it must be true or false"),
        ("inv_h", "yes", "'yes' is not allowed; it must be true or false"),
        ("model", 3, "3 is not allowed; it must be text"),
        (
            "model",
            "mmi",
            "mmi is not allowed; allowed: mim, amim, vae, ae; did you mean mim?",
        ),
        ("model", "gan", "gan is not allowed; allowed: mim, amim, vae, ae"),
        ("act", "tan", "tan is not allowed; allowed: tanh, swish, relu; did you mean tanh?"),
        (
            "model",
            "convhvae_2level-smim",
            "convhvae_2level-smim is not available yet; allowed: mim, amim, vae, ae",
        ),
        ("p_z", "prior", "prior is not available yet; allowed: anchor"),
        ("p_z", "gmm-marginal", "gmm-marginal is not available yet; allowed: anchor"),
        ("q_x", "anchor", "anchor is not available yet; allowed: marginal"),
        ("p_z_gmm", 5, "5 is not available yet; allowed: 0"),
        ("q_x_gmm", 1, "1 is not available yet; allowed: 0"),
        ("q_zx_gmm", 1, "1 is not available yet; allowed: 0"),
        ("p_xz_gmm", -1, "-1 is not allowed; it must be at least 0"),
        ("learn_p_z", True, "true is not available yet; allowed: false"),
    ],
)
def test_bad_values_are_told_with_what_is_allowed(field: str, value: object, expected: str) -> None:
    assert sentence(**{field: value}) == expected


def test_ae_has_no_entropy_variant() -> None:
    assert sentence(model="ae", inv_h=True).startswith("true is not allowed with model ae")
    for model in ("mim", "amim", "vae"):
        assert spec(model=model, inv_h=True).inv_h


def test_long_values_are_shortened_in_errors() -> None:
    assert len(shown("x" * 1000)) == 60


def test_spec_is_frozen_closed_and_survives_pickling() -> None:
    with pytest.raises(ValidationError):
        spec().seed = 2
    with pytest.raises(ValidationError):
        spec(seeds=1)
    assert pickle.loads(pickle.dumps(spec())) == spec()


def test_run_key_is_pinned() -> None:
    # Stored runs are found by this: if it changes, they are all trained again.
    assert spec().run_key == "2f4f82c0638055c8"
    assert re.fullmatch("[0-9a-f]{16}", spec(dataset="toy4_20").run_key)


def test_run_key_depends_on_every_field_and_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = ("seed", "z_dim", "mid_dim", "layers", "min_logvar", "warmup", "epochs", "batch_size")
    changes: list[dict[str, Any]] = [
        {"dataset": "toy5"},
        {"model": "vae"},
        {"inv_h": True},
        {"act": "relu"},
        {"lr": 2e-3},
        {"q_x_samples": "marginal"},
        *({field: 7} for field in counts),
    ]
    changed = [spec(**change) for change in changes]
    before = spec().run_key
    assert len({run.run_key for run in [spec(), *changed]}) == len(changed) + 1
    monkeypatch.setattr(orchestrator.spec, "SPEC_VERSION", 2)
    assert spec().run_key != before


def test_run_key_is_the_same_after_a_round_trip_and_for_an_integer_rate() -> None:
    run = spec(lr=1)
    assert isinstance(run.lr, float)
    assert RunSpec(**json.loads(run.model_dump_json())).run_key == run.run_key
    assert run.run_key == spec(lr=1.0).run_key
    assert run.model_copy(update={"seed": 5}).run_key == spec(lr=1.0, seed=5).run_key


def test_run_names() -> None:
    assert spec(dataset="toy4_20").run_name == "mim-toy4_20-z2-m50-s1"
    assert spec(inv_h=True, warmup=5).run_name == "mim-toy4-z2-m50-s1-inv_h-warmup5"
    assert (
        spec(act="relu", lr=1e-4, layers=1).run_name
        == "mim-toy4-z2-m50-s1-layers1-act_relu-lr0.0001"
    )


FIELDS = st.fixed_dictionaries(
    {"model": st.sampled_from(["mim", "amim", "vae"])},
    optional={
        "dataset": st.sampled_from(["toy4", "toy-4", "toy4_20"]),
        "seed": st.integers(0, 12),
        "z_dim": st.integers(1, 12),
        "layers": st.integers(1, 3),
        "act": st.sampled_from(["tanh", "relu"]),
        "inv_h": st.booleans(),
        "lr": st.sampled_from([1e-3, 1e-5, 0.1]),
        "q_x_samples": st.sampled_from(["conditional", "marginal"]),
    },
)


@given(FIELDS, FIELDS)
def test_equal_specs_have_equal_keys_and_names_and_different_ones_not(a: Any, b: Any) -> None:
    one, other = spec(**a), spec(**b)
    assert (one == other) == (one.run_key == other.run_key) == (one.run_name == other.run_name)


def test_metric_names() -> None:
    names = [*FINAL_METRICS, *EPOCH_METRICS, *RUN_METRICS]
    assert len(set(names)) == len(names) == 19 + 4 + 4


def test_planning_needs_no_heavy_import() -> None:
    code = (
        "import sys, orchestrator.plan, orchestrator.sweep\n"
        "print({'torch', 'mlflow', 'click', 'pandas', 'numpy'} & set(sys.modules))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert printed.stdout == "set()\n"
