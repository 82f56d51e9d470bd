"""Complete runs measured anew: the digits of their training, from a store of any age."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.showing.table import results_table
from mimsweep.orchestrator.tracking.runs import PROFILE
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.orchestrator.commands import mimsweep
from tests.stores.unpack import old_store

SWEEP = """
name: few
fixed: {dataset: toy4, mid_dim: 3, epochs: 2, warmup: 1}
grid:
  - {model: [mim, ae]}
  - {model: [vae], q_zx_gmm: [2]}
"""


def results(file: Path) -> pd.DataFrame:
    sweep = load_sweep(file)
    store = Tracking(f"sqlite:///{file.parent / 'mlflow.db'}", create=False)
    return results_table(store.frame(sweep.name), sweep.runs)


@pytest.mark.slow
def test_measured_anew_a_run_has_the_digits_of_its_training(here: Path) -> None:
    file = here / "few.yaml"
    file.write_text(SWEEP)
    trained = mimsweep("run", file, "--engine", "inline")
    assert trained.exit_code == 0, trained.output
    before = results(file)
    done = mimsweep("measure", file, "--workers", "1")
    assert done.exit_code == 0, done.output
    assert done.stdout == "few: 3 of 3 runs measured\n"
    pd.testing.assert_frame_equal(results(file), before, check_exact=True)
    profile = next(here.rglob(PROFILE))
    kept = profile.read_text()
    profile.unlink()
    assert mimsweep("measure", file, "--workers", "1").exit_code == 0
    assert profile.read_text() == kept


@pytest.mark.slow
def test_runs_of_an_old_store_get_what_is_measured_today(here: Path) -> None:
    file = old_store(here)
    was = pd.read_csv(here / "results.csv")
    done = mimsweep("measure", file, "--workers", "1")
    assert done.exit_code == 0, done.output
    now = results(file)
    # Their test items were other draws from the same distribution.
    loose = {"check_dtype": False, "check_column_type": False, "rtol": 0.05, "atol": 0.02}
    pd.testing.assert_frame_equal(now[list(was)], was, **loose)
    learned = ["mi_lower", "mi_upper", "retrieval", "active_units", "rate", "distortion"]
    assert now[learned].notna().all(axis=None)
    assert len(list(here.rglob(PROFILE))) == len(now)


def test_runs_that_lost_their_weights_are_named_and_the_rest_measured(here: Path) -> None:
    file = old_store(here)
    table = results(file)
    lost, cut = table["run_id"][:2]
    (weights,) = here.rglob(f"{lost}/artifacts/weights.safetensors")
    shutil.rmtree(weights.parent)
    (weights,) = here.rglob(f"{cut}/artifacts/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    done = mimsweep("measure", file, "--workers", "1")
    assert done.exit_code == 1
    assert "before: 2 of 5 runs measured" in done.stdout
    first, second = table["run_name"][:2]
    assert f"{first}: its weights.safetensors is not in the store" in done.stderr
    assert f"{second}: its weights.safetensors can't be used: SafetensorError" in done.stderr


def test_nothing_complete_is_nothing_to_measure(here: Path) -> None:
    Tracking("sqlite:///mlflow.db")
    done = mimsweep("measure", "smoke")
    assert (done.exit_code, done.stdout) == (0, "smoke: 0 of 12 runs measured\n")
    assert list(here.iterdir()) == [here / "mlflow.db"]


@pytest.mark.slow
def test_image_models_are_measured_to_the_digit(here: Path, data_dir: Path) -> None:
    file = here / "images.yaml"
    file.write_text(
        "name: images\n"
        "fixed: {dataset: dynamic_mnist, z_dim: 2, epochs: 1, warmup: 1, train_items: 100,"
        " test_items: 100, likelihood_samples: 5}\n"
        "grid: {model: [convhvae_2level, pixelhvae_2level]}\n"
    )
    environment = {"MIMSWEEP_DATA_DIR": str(data_dir)}
    assert mimsweep("run", file, "--engine", "inline", **environment).exit_code == 0
    before = results(file)
    assert mimsweep("measure", file, **environment).exit_code == 0
    pd.testing.assert_frame_equal(results(file), before, check_exact=True)
