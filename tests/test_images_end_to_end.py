"""A sweep of image models by the installed command: run, results, figures, report."""

from pathlib import Path

import pytest

from mimsweep.orchestrator.metrics import IMAGE_METRICS
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking
from tests.test_end_to_end import Place

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]

SWEEP = """\
name: tiny-images
fixed:
  z_dim: 8
  epochs: 2
  warmup: 1
  batch_size: 50
  likelihood_samples: 2
  train_items: 100
  test_items: 100
grid:
  - {dataset: [dynamic_mnist, omniglot], model: convhvae_2level-smim}
  - {dataset: omniglot, model: pixelhvae_2level-amim, prior: vampprior, pseudo_inputs: 4}
figures: {x: prior, hue: model, metrics: [log_likelihood, nmi]}
"""


def test_a_sweep_of_images(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIMSWEEP_DATA_DIR", str(data_dir))
    place = Place(tmp_path / "images", SWEEP)
    _, err = place.mimsweep("run", "--workers", "2")
    assert "tiny-images: 3/3 runs complete, 0 running, 0 failed" in err

    table = place.results()
    measured = [name for name in IMAGE_METRICS if name != "from_chardata"]
    bounds = ["mi_lower", "mi_upper", "retrieval", "active_units", "rate", "distortion"]
    assert table[[*measured, *bounds, "mi", "nll", "knn5"]].notna().all(axis=None)
    assert list(table["from_chardata"].notna()) == [False, True, True]
    assert table[["rmse", "h_z", "kl_qp"]].isna().all(axis=None)
    assert (table["elbo"].astype(float) <= table["log_likelihood"].astype(float)).all()
    assert set(table["mid_dim"]) == {"50"}

    out, _ = place.mimsweep("figures", "--latent", "--output", "drawn")
    drawn = {file.name for file in (place.folder / "drawn" / "tiny-images").iterdir()}
    stems = {"log_likelihood", "nmi", "combined", "learning", "durations"}
    each = ("seeds", "images", "rate_distortion", "kl_profile")
    stems |= {f"{stem}_{name}" for stem in each for name in ("dynamic_mnist", "omniglot")}
    assert drawn == {f"{s}.{end}" for s in stems for end in ("png", "svg")} | {"table.csv"}
    assert "images_omniglot.png: reconstructions, samples" in out
    parent = Tracking(place.uri, create=False).latest_parent("tiny-images")
    assert parent is not None
    stored = {file.path for file in MlflowClient(place.uri).list_artifacts(parent)}
    assert drawn <= stored

    place.mimsweep("report", "--output", "report.html")
    page = (place.folder / "report.html").read_text()
    for text in ("What was learned of dynamic_mnist", "Every run of omniglot", "convHVAE"):
        assert text in page
    assert "data:image/png;base64" in page
    assert "Omniglot made from" in page
    assert "likelihood_samples" in page
    assert "mid_dim" not in page
