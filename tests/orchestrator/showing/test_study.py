"""Which pictures a sweep gets, of what its runs have."""

from pathlib import Path
from typing import Any

import pytest

from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.showing.report import own_pictures
from mimsweep.orchestrator.showing.study import Study
from mimsweep.orchestrator.tracking.runs import PROFILE
from mimsweep.orchestrator.tracking.writer import Tracking

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

SWEEP = """\
name: small
fixed: {z_dim: 2, dataset: toy4}
grid: {seed: 1..2, mid_dim: [5, 20], model: [mim, vae]}
figures: {x: mid_dim, hue: model, metrics: [mi]}
"""
PLANE = {"rate": 1.5, "distortion": -2.0}


def study(folder: Path, text: str = SWEEP, **numbers: Any) -> Study:
    """A sweep whose runs have an MI and the metrics that are given."""
    (folder / "a.yaml").write_text(text)
    sweep = load_sweep(folder / "a.yaml")
    store = Tracking(f"sqlite:///{folder / 'mlflow.db'}")
    parent = store.start_sweep("small", "", {}, {})
    for run_id in store.create_runs(parent, sweep.runs, {}):
        store.finish(run_id, {"mi": 1.0, "seconds": 1.0, **numbers}, {})
    return Study(sweep, store)


def test_runs_of_an_old_store_have_no_plane(tmp_path: Path) -> None:
    assert list(study(tmp_path).others()) == ["seeds"]


def test_runs_with_a_rate_have_a_plane_in_the_report_too(tmp_path: Path) -> None:
    made = study(tmp_path, **PLANE)
    assert list(made.others()) == ["seeds", "rate_distortion"]
    pictures = {picture.title: picture for picture in own_pictures(made, tmp_path)}
    assert list(pictures) == ["Comparison", "Every run", "Rate and distortion"]
    assert "equal ELBO. mid_dim by model." in pictures["Rate and distortion"].alt


def test_several_fields_tell_lines_apart(tmp_path: Path) -> None:
    text = SWEEP.replace("model: [mim, vae]", "model: [vae], mmd: [0, 10]")
    made = study(tmp_path, text.replace("hue: model", "hue: [model, mmd]"), **PLANE)
    assert made.axes == {"x": "mid_dim", "hue": "method", "metrics": ["mi"]}
    looks = made.curves().looks
    assert {name: look.label for name, look in looks.items()} == {
        "VAE": "VAE",
        "VAE, mmd 10": "VAE, mmd 10",
    }
    assert looks["VAE"].colour == "#D62728"
    assert made.curves().table["_panel"].unique().tolist() == [""]
    assert list(made.others()) == ["seeds", "rate_distortion"]
    pictures = {picture.title: picture for picture in own_pictures(made, tmp_path)}
    assert "equal ELBO. mid_dim by method." in pictures["Rate and distortion"].alt


def test_data_sets_have_pictures_of_their_own(tmp_path: Path) -> None:
    text = SWEEP.replace(", dataset: toy4", "").replace("seed:", "dataset: [toy4, toyMIM], seed:")
    made = study(tmp_path, text, **PLANE)
    stems = ["seeds_toy4", "rate_distortion_toy4", "seeds_toyMIM", "rate_distortion_toyMIM"]
    assert list(made.others()) == stems
    titles = [picture.title for picture in own_pictures(made, tmp_path)]
    assert titles[-2:] == ["Every run of toyMIM", "Rate and distortion of toyMIM"]


def test_runs_with_a_profile_have_their_kl_drawn(tmp_path: Path) -> None:
    made = study(tmp_path, active_units=2.0)
    assert list(made.others()) == ["seeds"]
    for run_id in made.table["run_id"]:
        content = b'{"kl": [0.1, 2.5], "variance": [0.2, 0.9]}'
        made.store.finish(run_id, {}, {PROFILE: content})
    assert list(made.others()) == ["seeds", "kl_profile"]
    picture = own_pictures(made, tmp_path)[-1]
    assert picture.title == "KL per dimension"
    assert "each latent dimension" in picture.alt
