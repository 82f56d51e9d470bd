"""A small sweep, trained once from Python, in whose folder tests work."""

from pathlib import Path

import pytest

import mimsweep as ms

SWEEP = """\
name: s
fixed: {dataset: toy4, mid_dim: 10, epochs: 5, warmup: 2}
grid: {seed: 1..2, model: [mim, vae]}
figures: {x: seed, hue: model, metrics: [nll]}
claims:
  - {claim: VAE stays low, metric: mi, less: {model: vae}, than: 200}
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file and its store."""
    folder = tmp_path_factory.mktemp("face")
    (folder / "s.yaml").write_text(SWEEP)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_TRACKING_URI", "MIMSWEEP_IMPORT"):
            patch.delenv(name, raising=False)
        ms.load("s.yaml").run(engine="inline")
    return folder


@pytest.fixture
def sweep(trained: Path, monkeypatch: pytest.MonkeyPatch) -> ms.Sweep:
    """The sweep, in its folder."""
    monkeypatch.chdir(trained)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return ms.load("s.yaml")
