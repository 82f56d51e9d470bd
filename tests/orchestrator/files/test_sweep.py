import time
from pathlib import Path

import pytest

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.choices import MODELS
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.files.sweep import Sweep, load_sweep
from tests.paths import ROOT

ALL_MODELS = ", ".join(MODELS.now)
SWEEPS = ROOT / "sweeps"
HEAD = "name: a\nfixed: {dataset: toy4, model: mim}\n"
UNION = """\
name: a
fixed: {dataset: toy4}
grid:
  - {model: mim, z_dim: [2, 4], seed: 1..2}
  - {model: [vae, mim], z_dim: 6}
"""


def load(folder: Path, text: str, *overrides: str) -> Sweep:
    path = folder / "a.yaml"
    path.write_text(text)
    return load_sweep(path, overrides)


def message(folder: Path, text: str, *overrides: str) -> str:
    """The error of a file, without the folder."""
    with pytest.raises(SpecError) as error:
        load(folder, text, *overrides)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("bottleneck", 200),
        ("bottleneck_fashion", 200),
        ("bottleneck_fashion_study", 200),
        ("expressiveness", 160),
        ("entropy", 160),
        ("animation", 3),
        ("smoke", 12),
        ("priors", 160),
        ("mnist", 24),
        ("images", 240),
        ("images_smoke", 16),
        ("remedies", 600),
    ],
)
def test_shipped_sweeps(name: str, runs: int) -> None:
    sweep = load_sweep(SWEEPS / f"{name}.yaml")
    assert sweep.name == name
    assert sweep.description
    assert sweep.figures is not None
    assert len(sweep.runs) == len({run.run_name for run in sweep.runs}) == runs


def test_shipped_sweeps_are_all_tested_and_state_their_claim() -> None:
    files = [file for file in SWEEPS.glob("*.yaml") if not file.name.startswith("search_")]
    assert len(files) == 12
    assert all(file.read_text().splitlines()[1].startswith("# Claim: ") for file in files)


def test_runs_are_in_file_order_with_the_last_field_fastest(tmp_path: Path) -> None:
    sweep = load(tmp_path, HEAD + "grid:\n  z_dim: [4, 2]\n  seed: 1..3\n  lr: 1e-2\n")
    assert [(run.z_dim, run.seed, run.lr) for run in sweep.runs] == [
        (z, seed, 0.01) for z in (4, 2) for seed in (1, 2, 3)
    ]
    assert sweep.runs[0] == RunSpec(dataset="toy4", model="mim", z_dim=4, lr=0.01)
    assert (sweep.description, sweep.figures) == ("", None)


def test_a_sweep_without_grid_is_one_run(tmp_path: Path) -> None:
    assert load(tmp_path, HEAD).runs == [RunSpec(dataset="toy4", model="mim")]


def test_a_sweep_without_fixed(tmp_path: Path) -> None:
    text = "name: a\ngrid: {dataset: [toy4, toy0], model: [mim, vae]}"
    assert len(load(tmp_path, text).runs) == 4


def test_a_list_of_mappings_is_their_union(tmp_path: Path) -> None:
    runs = load(tmp_path, UNION).runs
    assert [(run.model, run.z_dim, run.seed) for run in runs] == [
        ("mim", 2, 1),
        ("mim", 2, 2),
        ("mim", 4, 1),
        ("mim", 4, 2),
        ("vae", 6, 1),
        ("mim", 6, 1),
    ]


FIGURES = "figures: {x: z_dim, hue: model, metrics: [mi, best_epoch]}\n"


def test_figures(tmp_path: Path) -> None:
    figures = load(tmp_path, HEAD + FIGURES).figures
    assert figures is not None
    assert (figures.x, figures.hue, figures.metrics) == ("z_dim", "model", ["mi", "best_epoch"])
    several = load(tmp_path, HEAD + FIGURES.replace("hue: model", "hue: [model, mmd]")).figures
    assert several is not None
    assert several.hue == ("model", "mmd")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + "grid:\n  seedz: 1..3\n", "4:3: grid.seedz: no such field; did you mean seed?"),
        (HEAD + "grid:\n- {seedz: 1}\n", "4:4: grid.seedz: no such field; did you mean seed?"),
        (HEAD + "grids: {}\n", "3:1: grids: no such field; did you mean grid?"),
        (HEAD + "notes: []\n", "3:1: notes: no such field; allowed: name, description, fixed"),
        ("name: a\nfixed: {zdim: 2}", "2:9: fixed.zdim: no such field; did you mean z_dim?"),
        (HEAD + "grid: {qqq: 1}", "3:8: grid.qqq: no such field; allowed: dataset, model, seed"),
        # Values
        (
            HEAD + "grid:\n  seed: 1..3\n  z_dim: [2, 4, 8,  0]\n",
            "5:21: grid.z_dim: 0 is not allowed; it must be at least 1",
        ),
        (HEAD + "grid: {z_dim: 0..3}", "3:15: grid.z_dim: 0 is not allowed; it must be at least 1"),
        (
            HEAD + "grid:\n  z_dim:\n  - 2\n  - two\n",
            "6:5: grid.z_dim: 'two' is not allowed; it must be an integer",
        ),
        (HEAD + "grid: {lr: ['0.1']}", "3:13: grid.lr: '0.1' is not allowed; it must be a number"),
        (HEAD + "grid: {inv_h: [no]}", "3:16: grid.inv_h: 'no' is not allowed; it must be true"),
        (HEAD + "grid: {seed: 010}", "3:14: grid.seed: '010' is not allowed; it must be an int"),
        (HEAD + "grid: {seed: }", "3:13: grid.seed: nothing is not allowed; it must be an integer"),
        (HEAD + "grid: {seed: {a: 1}}", "3:14: grid.seed: {'a': 1} is not allowed; it must be an"),
        (HEAD + "grid: {seed: 10..1}", "3:14: grid.seed: 10..1 runs backwards; write 1..10"),
        (HEAD + "grid: {seed: []}", "3:14: grid.seed: the list is empty; give at least one value"),
        (HEAD + "grid: {seed: [1, 2, 1]}", "3:21: grid.seed: 1 is in the list twice"),
        (HEAD + "grid: {lr: [1, 1.0]}", "3:16: grid.lr: 1.0 is in the list twice"),
        (
            "name: a\nfixed: {dataset: toy4}\ngrid: {model: [vae, mmi]}",
            f"3:21: grid.model: mmi is not allowed; allowed: {ALL_MODELS}; did you mean mim?",
        ),
        (
            "name: a\nfixed: {dataset: omniglot, model: vae}",
            "2:18: fixed.dataset: omniglot is not allowed with model vae; allowed with: convhvae",
        ),
        (
            HEAD + "grid: {p_z_gmm: [0, 2]}",
            "3:21: grid.p_z_gmm: 2 is not allowed with p_z anchor; allowed with: prior",
        ),
        (
            HEAD + "grid: {p_z: [anchor, gmm-marginal]}",
            "3:7: grid.p_z_gmm: is required, under fixed or grid",
        ),
        (
            "name: a\nfixed: {dataset: toy4, model: ae, inv_h: true}",
            "2:42: fixed.inv_h: true is not allowed with model ae",
        ),
        (
            "name: a\nfixed: {dataset: toy4}\ngrid: {model: [vae, ae], inv_h: [false, true]}",
            "3:41: grid.inv_h: true is not allowed with model ae",
        ),
        # Shape
        (HEAD + "grid: {}", "3:7: grid: is empty; give at least one field, or leave grid out"),
        (HEAD + "grid: []", "3:7: grid: is empty; give at least one field, or leave grid out"),
        (HEAD + "grid:\n", "3:6: grid: is empty; give at least one field, or leave grid out"),
        (HEAD + "grid: [{seed: 1}, {}]", "3:19: grid: is empty; give at least one field"),
        (HEAD + "grid: 5", "3:7: grid: 5 is not allowed; it must be a mapping or a list of mapp"),
        (HEAD + "grid: [5]", "3:8: grid: 5 is not allowed; it must be a mapping or a list of mapp"),
        ("name: a\nfixed: 5", "2:8: fixed: 5 is not allowed; it must be a mapping"),
        ("name: a\nfixed: {seed: [1, 2]}", "2:15: fixed.seed: [1, 2] is not one value; several"),
        ("name: a\nfixed: {seed: 1..2}", "2:15: fixed.seed: '1..2' is not one value; several be"),
        (HEAD + "grid: {model: vae}", "3:8: grid.model: is under fixed too, in line 2"),
        ("fixed: {dataset: toy4, model: mim}", "1:1: name: is required"),
        ("name: a\nfixed: {model: mim}", "1:1: dataset: is required, under fixed or grid"),
        (
            "name: a\nfixed: {dataset: toy4}\ngrid:\n- {model: mim}\n- {seed: 1}",
            "5:3: grid.model: is required, under fixed or grid",
        ),
        ("name: 5\n", "1:7: name: 5 is not allowed; it must be text"),
        ("name: a/b\n", "1:7: name: 'a/b' is not allowed; it must be 1 to 100 letters, digits"),
        ("name: ..\n", "1:7: name: '..' is not allowed; it must be 1 to 100 letters, digits"),
        (f"name: {'a' * 101}\n", "1:7: name: 'aaaa"),
        (
            HEAD + "grid:\n- {seed: 1..3}\n- {seed: [4, 2]}\n",
            "5:3: grid: the run mim-toy4-z2-m50-s2 is in the block of line 4 already",
        ),
        (
            HEAD + "grid: {seed: 1..1000, z_dim: 1..10000}",
            "3:7: grid: 10,000,000 runs are more than the 1,000,000 that a sweep can have",
        ),
        (
            HEAD + "grid: {seed: 1..999999999999999999}",
            "3:7: grid: 999,999,999,999,999,999 runs are more than the 1,000,000",
        ),
        # Figures
        (HEAD + "figures: 5", "3:10: figures: 5 is not allowed; it must be a mapping"),
        (HEAD + "figures: {hue: model, metrics: [mi]}", "3:10: figures.x: is required"),
        (
            HEAD + "figures: {x: zdim, hue: model, metrics: [mi]}",
            "3:14: figures.x: 'zdim' is not a field; did you mean z_dim?",
        ),
        (
            HEAD + "figures: {x: z_dim, hue: [model, free_bit], metrics: [mi]}",
            "3:26: figures.hue: 'free_bit' is not a field; did you mean free_bits?",
        ),
        (
            HEAD + "figures: {x: z_dim, hue: [], metrics: [mi]}",
            "3:26: figures.hue: [] is not allowed; it must be a field, or a list of fields",
        ),
        (
            HEAD + "figures: {x: z_dim, hue: 5, metrics: [mi]}",
            "3:26: figures.hue: 5 is not allowed; it must be a field, or a list of fields",
        ),
        (
            HEAD + "figures: {x: z_dim, hue: model, metrics: [mi, knn_5]}",
            "3:47: figures.metrics: 'knn_5' is not a metric; did you mean knn5?",
        ),
        (
            HEAD + "figures: {x: z_dim, hue: model, metrics: [train_loss, mi]}",
            "3:43: figures.metrics: 'train_loss' is not a metric; ",
        ),
        (
            HEAD + "figures: {x: z_dim, hue: model, metrics: []}",
            "3:42: figures.metrics: [] is not allowed; it must have at least 1 value",
        ),
        (
            HEAD + "figures: {x: z_dim, hue: model, metrics: mi}",
            "3:42: figures.metrics: 'mi' is not allowed; it must be a list",
        ),
        (
            HEAD + "figures: {x: z_dim, hues: model, metrics: [mi]}",
            "3:21: figures.hues: no such field; did you mean hue?",
        ),
        (
            HEAD + "figures: {x: z_dim, hue: model, metrics: [mi], title: a}",
            "3:48: figures.title: no such field; ",
        ),
        (
            "name: a\nfixed: {dataset: omniglot, model: convhvae_2level}\nsnapshots: true",
            "3:12: snapshots: true is not allowed with models of images, which have no ",
        ),
        # YAML
        (HEAD + "grid:\n\tseed: 1", "4:1: a tab is not allowed here; use spaces"),
        (HEAD + "grid: {seed: 1, seed: 2}", "3:17: the key seed is given twice, first in line 3"),
        (HEAD + "grid: {seed: !!python/object:os.x {}}", "3:14: the tag !!python/object:os.x is"),
    ],
)
def test_bad_sweeps_are_told_in_a_sentence_with_its_position(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert message(tmp_path, text).startswith(f"a.yaml:{expected}")


def test_a_missing_file() -> None:
    with pytest.raises(SpecError, match=r"^sweeps/none\.yaml: no such file$"):
        load_sweep(Path("sweeps/none.yaml"))


@pytest.mark.parametrize(
    ("override", "field", "values"),
    [
        ("z_dim=2", "z_dim", [2]),
        ("z_dim=2,10, 20", "z_dim", [2, 10, 20]),
        ("seed=1..3", "seed", [1, 2, 3]),
        ("lr=1e-2", "lr", [0.01]),
        ("lr=1,0.5", "lr", [1.0, 0.5]),
        ("inv_h=true", "inv_h", [True]),
        ("dataset=toy4_20", "dataset", ["toy4_20"]),
        ("model=vae,ae", "model", ["vae", "ae"]),
    ],
)
def test_an_override_replaces_or_adds_a_field(
    tmp_path: Path, override: str, field: str, values: list[object]
) -> None:
    sweep = load(tmp_path, HEAD + "grid: {z_dim: [3, 5]}\n", override)
    assert list(dict.fromkeys(getattr(run, field) for run in sweep.runs)) == values
    assert len(sweep.runs) == len(values) * (1 if field == "z_dim" else 2)


def test_an_override_holds_in_all_of_a_union_and_equal_runs_become_one(tmp_path: Path) -> None:
    runs = load(tmp_path, UNION, "z_dim=2", "seed=1").runs
    assert [(run.model, run.z_dim, run.seed) for run in runs] == [("mim", 2, 1), ("vae", 2, 1)]
    assert all(run.seed in (5, 6) for run in load(tmp_path, UNION, "seed=5..6").runs)


def test_an_override_narrows_a_grid_that_is_too_large(tmp_path: Path) -> None:
    text = HEAD + "grid: {seed: 1..100000000}"
    assert len(load(tmp_path, text, "seed=1..2").runs) == 2


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("z_dimm=2", "no such field; did you mean z_dim?"),
        ("name=b", "no such field; "),
        ("z_dim", "write field=value, for example seed=1..3"),
        ("z_dim=", "write field=value, for example seed=1..3"),
        ("=2", "no such field; allowed: dataset"),
        ("z_dim=0", "0 is not allowed; it must be at least 1"),
        ("z_dim=2,x", "'x' is not allowed; it must be an integer"),
        ("z_dim=2,,3", "nothing is not allowed; it must be an integer"),
        ("z_dim=2,2", "2 is in the list twice"),
        ("seed=3..1", "3..1 runs backwards; write 1..3"),
        ("p_z=vamp", "vamp is not allowed; allowed: anchor, prior, marginal, gmm-marginal"),
        ("model=mmi", f"mmi is not allowed; allowed: {ALL_MODELS}; did you mean mim?"),
    ],
)
def test_bad_overrides(tmp_path: Path, override: str, expected: str) -> None:
    text = HEAD + "grid: {z_dim: [3, 5]}\n"
    assert message(tmp_path, text, override).startswith(f"--set {override}: {expected}")


def test_an_override_given_twice_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path, HEAD, "seed=1", "seed=2") == "--set seed=2: seed is set twice"


def test_ten_thousand_runs_load_fast(tmp_path: Path) -> None:
    start = time.process_time()
    sweep = load(tmp_path, HEAD + "grid: {seed: 1..1000, z_dim: 1..10}")
    keys = {run.run_key for run in sweep.runs}
    assert len(keys) == 10_000
    assert time.process_time() - start < 1.5
