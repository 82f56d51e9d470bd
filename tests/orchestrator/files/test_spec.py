import hashlib
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

from mimsweep.models import registry
from mimsweep.models.parts import Network
from mimsweep.orchestrator.files import spec as spec_module
from mimsweep.orchestrator.files.choices import (
    IMAGE_MODELS,
    IMAGE_SETS,
    data_dim,
    is_binary,
    is_known,
)
from mimsweep.orchestrator.files.fields import (
    FILE_FIELDS,
    FOUND_FIELDS,
    IMAGE_FIELDS,
    METHODS_FIELDS,
    OTHERS_FIELDS,
)
from mimsweep.orchestrator.files.spec import VARIES_IN_COHORT, RunSpec, explain, shown
from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.metrics import EPOCH_METRICS, FINAL_METRICS, IMAGE_METRICS, RUN_METRICS
from tests.paths import ROOT

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
    "prior": "standard",
    "pseudo_inputs": 500,
    "use_training_data_init": True,
    "patience": 50,
    "likelihood_samples": 5000,
    "train_items": 0,
    "test_items": 0,
    "beta_end": 1.0,
    "cycles": 1,
    "free_bits": 0.0,
    "bn_gamma": 0.0,
    "mmd": 0.0,
    "importance_samples": 1,
    "temperature": 0.1,
    "test_fraction": 0.2,
    "standardise": True,
    "label": "",
    "bits": False,
    "content": "",
    "encoder": "mlp",
    "decoder": "mlp",
}
IMAGES: dict[str, Any] = {"dataset": "dynamic_mnist", "model": "convhvae_2level", "z_dim": 40}
ALL_IMAGE_MODELS = ", ".join(IMAGE_MODELS)
ALL_MODELS = f"mim, amim, vae, ae, cmim, {ALL_IMAGE_MODELS}"
OWN = "; those of your own are added by --import MODULE"


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
        ("mnist", 784),
        ("fashion-mnist", 784),
        ("toyMIM", 2),
        ("Toy4", 2),
        ("Toy-3_7", 7),
        ("ToyVAE", 2),
    ],
)
def test_data_sets_and_their_dimensions(dataset: str, dim: int) -> None:
    assert spec(dataset=dataset).dataset == dataset
    assert data_dim(dataset) == dim


def test_image_sets_are_bits_of_unknown_density() -> None:
    for dataset in IMAGE_SETS:
        assert spec(**IMAGES | {"dataset": dataset}).dataset == dataset
        assert data_dim(dataset) == 784
        assert is_binary(dataset)
        assert not is_known(dataset)


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
        ("omniglots", "allowed: toy<K>"),
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
            f"mmi is not allowed; allowed: {ALL_MODELS}; did you mean mim?",
        ),
        ("model", "gan", f"gan is not allowed; allowed: {ALL_MODELS}{OWN}"),
        ("act", "tan", "tan is not allowed; allowed: tanh, swish, relu; did you mean tanh?"),
        (
            "prior",
            "vamp",
            "vamp is not allowed; allowed: standard, vampprior; did you mean vampprior?",
        ),
        ("pseudo_inputs", 0, "0 is not allowed; it must be at least 1"),
        ("patience", 0, "0 is not allowed; it must be at least 1"),
        ("likelihood_samples", 0, "0 is not allowed; it must be at least 1"),
        ("train_items", -1, "-1 is not allowed; it must be at least 0"),
        ("test_items", True, "true is not allowed; it must be an integer"),
        (
            "p_z",
            "priors",
            "priors is not allowed; allowed: anchor, prior, marginal, gmm-marginal; "
            "did you mean prior?",
        ),
        (
            "q_x",
            "vamp",
            f"vamp is not allowed; allowed: marginal, anchor, prior, gmm-marginal{OWN}",
        ),
        ("p_xz_gmm", -1, "-1 is not allowed; it must be at least 0"),
        ("p_z_gmm", 10_001, "10001 is not allowed; it must be at most 10000"),
        ("learn_p_z", 1, "1 is not allowed; it must be true or false"),
        ("beta_end", -1.0, "-1.0 is not allowed; it must be at least 0.0"),
        ("beta_end", float("nan"), "nan is not allowed; it must be a finite number"),
        ("cycles", 0, "0 is not allowed; it must be at least 1"),
        ("free_bits", "2", "'2' is not allowed; it must be a number"),
        ("bn_gamma", True, "true is not allowed; it must be a number"),
        ("mmd", -0.5, "-0.5 is not allowed; it must be at least 0.0"),
        ("mmd", 1e30, "1e+30 is not allowed; it must be at most 1000000.0"),
        ("importance_samples", 0, "0 is not allowed; it must be at least 1"),
        ("importance_samples", 5.0, "5.0 is not allowed; it must be an integer"),
        ("temperature", 0, "0 is not allowed; it must be greater than 0"),
    ],
)
def test_bad_values_are_told_with_what_is_allowed(field: str, value: object, expected: str) -> None:
    assert sentence(**{field: value}) == expected


def test_ae_has_no_entropy_variant() -> None:
    assert sentence(model="ae", inv_h=True).startswith("true is not allowed with model ae")
    for model in ("mim", "amim", "vae"):
        assert spec(model=model, inv_h=True).inv_h


FITTING = "allowed with: prior, gmm-marginal"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"p_z": "marginal", "model": "vae"}, "marginal is not allowed with model vae, which "),
        ({"p_z": "marginal", "model": "amim"}, "marginal is not allowed with model amim, which "),
        ({"q_x": "anchor", "dataset": "pca-fashion-mnist20"}, "anchor is not allowed with dataset"),
        ({"q_x": "anchor", "dataset": "mnist"}, "anchor is not allowed with dataset mnist, whose "),
        ({"p_z_gmm": 5}, f"5 is not allowed with p_z anchor; {FITTING}"),
        ({"p_z_gmm": 5, "p_z": "marginal"}, f"5 is not allowed with p_z marginal; {FITTING}"),
        ({"q_x_gmm": 5}, f"5 is not allowed with q_x marginal; {FITTING}"),
        ({"q_x_gmm": 5, "q_x": "anchor"}, f"5 is not allowed with q_x anchor; {FITTING}"),
        ({"p_z": "gmm-marginal"}, "0 is not allowed with p_z gmm-marginal; it must be at least 1"),
        ({"q_x": "gmm-marginal"}, "0 is not allowed with q_x gmm-marginal; it must be at least 1"),
        ({"learn_p_z": True}, f"true is not allowed with p_z anchor; {FITTING}"),
        ({"learn_p_z": True, "p_z": "marginal"}, "true is not allowed with p_z marginal; "),
        ({"q_x_samples": "marginal", "q_x": "prior"}, "marginal is not allowed with q_x prior, "),
        ({"dataset": "mnist", "p_xz_gmm": 2}, "2 is not allowed with dataset mnist, whose decoder"),
        ({"dataset": "mnist", "q_x": "prior", "q_x_gmm": 2}, "2 is not allowed with q_x prior and"),
        ({"dataset": "mnist", "min_logvar": 0}, "0 is not allowed with dataset mnist, whose "),
    ],
    ids=str,
)
def test_what_does_not_go_together(fields: dict[str, Any], expected: str) -> None:
    assert sentence(**fields).startswith(expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"p_z": "marginal"},
        {"p_z": "prior", "learn_p_z": True},
        {"p_z": "prior", "p_z_gmm": 5, "learn_p_z": True},
        {"p_z": "gmm-marginal", "p_z_gmm": 5},
        *({"q_x": "anchor", "dataset": name} for name in ("toy4", "toyMIM", "Toy4_20")),
        {"q_x": "prior", "q_x_gmm": 3},
        {"q_x": "gmm-marginal", "q_x_gmm": 3, "dataset": "mnist"},
        {"q_zx_gmm": 2, "p_xz_gmm": 3},
        {"model": "ae", "p_z": "prior"},
        {"model": "vae", "q_x": "prior"},
    ],
    ids=str,
)
def test_what_goes_together(fields: dict[str, Any]) -> None:
    assert spec(**fields).model_dump(include=set(fields)) == fields


VAE: dict[str, Any] = {"model": "vae"}
CMIM: dict[str, Any] = {"model": "cmim"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (VAE | {"free_bits": 0.5, "p_z": "prior"}, "0.5 is not allowed with p_z prior; allowed w"),
        (VAE | {"free_bits": 0.5, "q_zx_gmm": 2}, "0.5 is not allowed with q_zx_gmm 2; allowed wi"),
        (VAE | {"free_bits": 0.5, "inv_h": True}, "0.5 is not allowed with inv_h true; allowed wi"),
        (
            VAE | {"free_bits": 0.5, "importance_samples": 5},
            "0.5 is not allowed with importance_samples 5; allowed with: 1",
        ),
        (VAE | {"bn_gamma": 0.5, "q_zx_gmm": 2}, "0.5 is not allowed with q_zx_gmm 2; allowed wit"),
        (VAE | {"mmd": 5, "p_z": "gmm-marginal", "p_z_gmm": 2}, "5.0 is not allowed with p_z gmm-"),
        (VAE | {"mmd": 5, "importance_samples": 5}, "5.0 is not allowed with importance_samples 5"),
        (VAE | {"mmd": 5, "inv_h": True}, "5.0 is not allowed with inv_h true; allowed with: fals"),
        (
            VAE | {"importance_samples": 5, "beta_end": 2},
            "5 is not allowed with beta_end 2.0; allowed with: 1.0",
        ),
        (VAE | {"importance_samples": 5, "inv_h": True}, "5 is not allowed with inv_h true; allow"),
        (
            VAE | {"beta_end": 0, "cycles": 2},
            "2 is not allowed with beta_end 0.0, which leaves out the divergence; allowed: 1",
        ),
        (VAE | {"beta_end": 0, "free_bits": 1}, "1.0 is not allowed with beta_end 0.0, which leav"),
        (
            VAE | {"batch_size": 1, "mmd": 1},
            "1 is not allowed with mmd 1.0; it must be at least 2",
        ),
        (VAE | {"batch_size": 1, "bn_gamma": 1}, "1 is not allowed with bn_gamma 1.0; it must be"),
        (CMIM | {"batch_size": 1}, "1 is not allowed with model cmim; it must be at least 2"),
        (
            CMIM | {"q_x": "prior"},
            "prior is not allowed with model cmim, whose q(x) is p(x|z); allowed: marginal",
        ),
        (CMIM | {"q_x_samples": "marginal"}, "marginal is not allowed with model cmim, whose q(x)"),
        (CMIM | {"p_z": "prior", "learn_p_z": True}, "true is not allowed with model cmim, which"),
        (
            VAE | {"cycles": 3, "warmup": 1},
            "1 is not allowed with cycles 3, in which β is at its end from the first epoch; it "
            "must be at least 2",
        ),
        (
            VAE | {"cycles": 3, "warmup": 2, "epochs": 9},
            "9 is not allowed with cycles 3 of warmup 2, after which β stays from epoch 10; it "
            "must be at least 10",
        ),
        (CMIM | {"inv_h": True}, "true is not allowed with model cmim; allowed with: mim, amim, v"),
        (CMIM | {"p_z": "marginal"}, "marginal is not allowed with model cmim, which doesn't samp"),
    ],
    ids=str,
)
def test_which_settings_of_methods_mean_nothing_together(
    fields: dict[str, Any], expected: str
) -> None:
    assert sentence(**fields).startswith(expected)


@pytest.mark.parametrize(
    "fields",
    [
        VAE | {"beta_end": 0.5, "mmd": 10.0, "cycles": 3, "bn_gamma": 0.5, "free_bits": 0.1},
        VAE | {"beta_end": 0.0, "mmd": 10.0},
        VAE | {"cycles": 3, "warmup": 2, "epochs": 10},
        VAE | {"importance_samples": 5, "p_z": "prior", "q_zx_gmm": 2},
        VAE | {"beta_end": 4.0, "inv_h": True, "p_z": "prior"},
        VAE | {"bn_gamma": 0.5, "dataset": "mnist"},
        CMIM | {"temperature": 1.0, "p_z": "prior", "q_zx_gmm": 2},
    ],
    ids=str,
)
def test_which_settings_of_methods_go_together(fields: dict[str, Any]) -> None:
    assert spec(**fields).model_dump(include=set(fields)) == fields


METHODS_VALUES: dict[str, Any] = {
    "beta_end": 2.0, "cycles": 2, "free_bits": 0.5, "bn_gamma": 0.5, "mmd": 2.0,
    "importance_samples": 2, "temperature": 2.0,
}  # fmt: skip


@pytest.mark.parametrize("field", METHODS_VALUES)
def test_settings_of_methods_are_of_one_model_alone(field: str) -> None:
    value = METHODS_VALUES[field]
    (owner,) = (model for model, own in METHODS_FIELDS.items() if field in own)
    for model in ("mim", "amim", "ae", "vae", "cmim"):
        if model == owner:
            one, other = spec(model=model), spec(model=model, **{field: value})
            assert one.run_key != other.run_key
            assert other.run_name == f"{one.run_name}-{field}{value}"
            assert other.own_fields()[field] == value
            continue
        assert sentence(model=model, **{field: value}) == (
            f"{value} is not allowed with model {model}, which has no {field}; "
            f"allowed: {DESIGN_DEFAULTS[field]}"
        )
        assert field not in spec(model=model).own_fields()
    assert "which has no" in sentence(**IMAGES, **{field: value})


def test_batch_norm_of_means_is_folded_into_an_encoder_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(registry.NETWORKS, "mine", Network(print))
    theirs = VAE | {"encoder": "mine"}
    assert sentence(**theirs, bn_gamma=0.5) == (
        "0.5 is not allowed with encoder mine; allowed with: mlp"
    )
    assert spec(**theirs, free_bits=0.5).run_key != spec(**theirs).run_key


NOT_DEFAULT: dict[str, Any] = {
    "mid_dim": 20, "layers": 1, "act": "relu", "inv_h": True, "min_logvar": 3, "p_z": "prior",
    "q_x": "prior", "q_x_samples": "marginal", "p_z_gmm": 2, "q_x_gmm": 2, "q_zx_gmm": 2,
    "p_xz_gmm": 2, "learn_p_z": True, "prior": "vampprior", "pseudo_inputs": 10,
    "use_training_data_init": False, "patience": 3, "likelihood_samples": 10, "train_items": 200,
    "test_items": 100, "encoder": "mine", "decoder": "mine",
}  # fmt: skip


@pytest.mark.parametrize("field", OTHERS_FIELDS)
def test_image_models_do_not_have_the_fields_of_the_others(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.NETWORKS, "mine", Network(print))
    default = shown(RunSpec.model_fields[field].default).strip("'")
    value = shown(NOT_DEFAULT[field]).strip("'")
    assert sentence(**IMAGES, **{field: NOT_DEFAULT[field]}) == (
        f"{value} is not allowed with model convhvae_2level, which has no {field}; "
        f"allowed: {default}"
    )


@pytest.mark.parametrize("field", IMAGE_FIELDS)
def test_the_others_do_not_have_the_fields_of_image_models(field: str) -> None:
    assert "is not allowed with model mim, which has no" in sentence(**{field: NOT_DEFAULT[field]})
    extra = {"prior": "vampprior"} if field != "prior" else {}
    assert spec(**IMAGES, **extra, **{field: NOT_DEFAULT[field]})


def test_every_field_belongs_to_all_models_or_to_some() -> None:
    for_all = {"dataset", "model", "z_dim", "batch_size", *VARIES_IN_COHORT}
    own = (IMAGE_FIELDS, OTHERS_FIELDS, FILE_FIELDS, FOUND_FIELDS, *METHODS_FIELDS.values())
    of_some = [*for_all, *(name for names in own for name in names)]
    assert sorted(of_some) == sorted(RunSpec.model_fields)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("test_fraction", 0.3, "allowed: 0.2"),
        ("standardise", False, "allowed: true"),
        ("label", "kind", "leave it out"),
        ("bits", True, "allowed: false"),
    ],
)
def test_other_data_do_not_have_the_fields_of_data_files(
    field: str, value: object, allowed: str
) -> None:
    given = str(value).lower() if isinstance(value, bool) else value
    assert sentence(**{field: value}) == (
        f"{given} is not allowed with dataset toy4, which is no file; {allowed}"
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"dataset": "omniglot", "model": "mim"},
            f"omniglot is not allowed with model mim; allowed with: {ALL_IMAGE_MODELS}",
        ),
        (
            IMAGES | {"dataset": "mnist"},
            "mnist is not allowed with model convhvae_2level; "
            "allowed: dynamic_mnist, dynamic_fashion_mnist, omniglot",
        ),
        (
            IMAGES | {"model": "pixelhvae_2level-smim"},
            "pixelhvae_2level-smim is not available: a sample of its decoder is 784 passes; "
            "allowed: convhvae_2level-smim, pixelhvae_2level-amim",
        ),
        (
            IMAGES | {"pseudo_inputs": 10},
            "10 is not allowed with prior standard; allowed with: vampprior",
        ),
        (
            IMAGES | {"use_training_data_init": False},
            "false is not allowed with prior standard; allowed with: vampprior",
        ),
        (
            IMAGES | {"train_items": 1},
            "1 is not allowed; it must be 0, which is all, or at least 100",
        ),
        (
            IMAGES | {"test_items": 99},
            "99 is not allowed; it must be 0, which is all, or at least 100",
        ),
    ],
    ids=str,
)
def test_what_does_not_go_with_images(fields: dict[str, Any], expected: str) -> None:
    assert sentence(**fields) == expected


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
    assert spec().run_key == "a490837070ca00e1"
    assert re.fullmatch("[0-9a-f]{16}", spec(dataset="toy4_20").run_key)


# Of each sweep as it was before the fields of image models: a hash of its runs' keys and names.
BEFORE_IMAGES = {
    "animation": "9fff3b80157df9d7",
    "bottleneck": "ec894ae05d0a601f",
    "bottleneck_fashion": "c7d139effb6d1a8e",
    "entropy": "dbf78628f682c11e",
    "expressiveness": "1ab0bf78a10c8a40",
    "mnist": "dbbd865dabc796ab",
    "priors": "5fee5664b10a12b9",
    "smoke": "dda86e9f2b2a236c",
}


@pytest.mark.parametrize("name", BEFORE_IMAGES)
def test_fields_of_image_models_change_no_key_or_name_of_other_runs(name: str) -> None:
    had = ["seed=1..5"] if name in ("mnist", "priors") else []  # since then they have more
    runs = load_sweep(ROOT / "sweeps" / f"{name}.yaml", had).runs
    text = "".join(run.older_keys[0] + run.run_name for run in runs)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == BEFORE_IMAGES[name]


@pytest.mark.parametrize("field", IMAGE_FIELDS)
def test_run_key_and_name_of_images_depend_on_their_fields(field: str) -> None:
    base = IMAGES if field == "prior" else IMAGES | {"prior": "vampprior"}
    one, other = spec(**base), spec(**base, **{field: NOT_DEFAULT[field]})
    assert one.run_key != other.run_key
    assert one.run_name != other.run_name


def test_run_key_depends_on_every_field_and_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = ("seed", "z_dim", "mid_dim", "layers", "min_logvar", "warmup", "epochs", "batch_size")
    changes: list[dict[str, Any]] = [
        {"dataset": "toy5"},
        {"model": "vae"},
        {"inv_h": True},
        {"act": "relu"},
        {"lr": 2e-3},
        {"q_x_samples": "marginal"},
        {"p_z": "prior"},
        {"p_z": "prior", "p_z_gmm": 1},
        {"p_z": "prior", "learn_p_z": True},
        {"q_x": "prior"},
        {"q_x": "prior", "q_x_gmm": 1},
        {"q_zx_gmm": 1},
        {"p_xz_gmm": 1},
        *({field: 7} for field in counts),
    ]
    changed = [spec(**change) for change in changes]
    before = spec().run_key
    assert len({run.run_key for run in [spec(), *changed]}) == len(changed) + 1
    monkeypatch.setattr(spec_module, "SPEC_VERSION", 99)
    assert spec().run_key != before


def test_fields_that_came_later_change_no_key_while_they_have_their_defaults() -> None:
    assert spec(model="vae").run_key == "5659ad49c4b136bb"
    assert spec(model="ae").run_key == "38d78e0ba1d2ab2a"
    fashion = spec(dataset="pca-fashion-mnist20", model="amim", z_dim=6)
    assert fashion.run_key == "399668b6833d844c"


def test_keys_by_older_versions_are_known() -> None:
    """Stored runs are called by them; models of images mean what they have always meant."""
    assert spec().older_keys == ["2f4f82c0638055c8"]
    assert spec(**IMAGES).older_keys == []
    assert spec(**IMAGES).run_key == "7b968142c7aa568c"


def test_run_key_is_the_same_after_a_round_trip_and_for_an_integer_rate() -> None:
    run = spec(lr=1)
    assert isinstance(run.lr, float)
    assert RunSpec(**json.loads(run.model_dump_json())).run_key == run.run_key
    assert run.run_key == spec(lr=1.0).run_key
    assert run.model_copy(update={"seed": 5}).run_key == spec(lr=1.0, seed=5).run_key


def test_the_key_of_a_run_on_a_file_is_of_its_content_alone() -> None:
    def key(**fields: Any) -> str:
        return spec(**{"dataset": "file:a.csv", "content": "0123456789abcdef"} | fields).run_key

    assert key() == "403466793111e4ea"
    assert key(dataset="file:/elsewhere/b.csv") == key()
    others = [
        {"content": "fedcba9876543210"},
        {"label": "kind"},
        {"test_fraction": 0.3},
        {"standardise": False},
        {"bits": True},
        {"dataset": "toy4", "content": ""},
    ]
    assert len({key(), *(key(**fields) for fields in others)}) == len(others) + 1
    one, other = (spec(dataset="file:a.csv", content=each) for each in "ab")
    assert one.key_of_any_content == other.key_of_any_content != one.run_key
    assert one.run_name == "mim-file:a.csv-z2-m50-s1"


def test_run_names() -> None:
    assert spec(dataset="toy4_20").run_name == "mim-toy4_20-z2-m50-s1"
    assert spec(inv_h=True, warmup=5).run_name == "mim-toy4-z2-m50-s1-inv_h-warmup5"
    assert spec(**IMAGES).run_name == "convhvae_2level-dynamic_mnist-z40-s1"
    vamp = spec(**IMAGES, prior="vampprior", pseudo_inputs=10, use_training_data_init=False)
    assert vamp.run_name == (
        "convhvae_2level-dynamic_mnist-z40-s1-prior_vampprior-pseudo_inputs10"
        "-no_use_training_data_init"
    )
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
    names = [*FINAL_METRICS, *IMAGE_METRICS, *EPOCH_METRICS, *RUN_METRICS]
    assert len(set(names)) == len(names) == 27 + 4 + 4 + 4


def test_planning_needs_no_heavy_import() -> None:
    code = (
        "import sys, mimsweep.orchestrator.planning, mimsweep.orchestrator.files.sweep\n"
        "print({'torch', 'mlflow', 'click', 'pandas', 'numpy'} & set(sys.modules))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert printed.stdout == "set()\n"
