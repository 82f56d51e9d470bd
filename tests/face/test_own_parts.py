"""The model of a run whose data, network, loss and p(z) are a user's."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

MODULE = """
import torch
from torch import nn

from mimsweep import register
from mimsweep.models.densities.learned import Gaussian


def make(inputs, outputs, spec):
    return nn.Sequential(
        nn.Linear(inputs, spec.width), nn.LayerNorm(spec.width), nn.Tanh(),
        nn.Linear(spec.width, outputs),
    )


def elbo(model, x, noise, beta, *, alpha):
    q_z = model.encode(x)
    z = q_z.sample(noise.z)
    cost = q_z.log_prob_of_sample(noise.z) - model.log_p_z(z)
    return alpha * beta * cost - model.decode(z).log_prob(x)


register.network("tiny", make, fields={"width": 6})
register.loss("elbo", elbo, fields={"alpha": 1.0})
register.density("three", lambda name, dims, _, least: Gaussian(name, dims, 3, least), choice=True)
"""
SWEEP = """
name: own
fixed: {dataset: "file:points.csv", label: kind, encoder: tiny, decoder: tiny, epochs: 3}
grid:
  - {model: [elbo], alpha: [0.5], width: [5], p_z: [anchor, three], batch_size: [40], warmup: [1]}
"""
SCRIPT = """
import numpy as np
import own
import mimsweep as ms

sweep = ms.load("own.yaml")
sweep.run(workers=1)
table = sweep.results()
for run, nll in zip(sweep.runs, table["nll"]):
    model, (x, labels) = run.model(), run.data()
    estimate = -model.log_prob(x, 1).astype(float)
    error = 5 * 2**0.5 * estimate.std() / len(x) ** 0.5
    assert abs(estimate.mean() - nll) < error, (estimate.mean(), nll, error)
    assert model.log_prob(x, 100).mean() > -estimate.mean()
    assert x.shape == (80, 3) and set(labels) == {0, 1}, (x.shape, labels)
    assert model.encode(x[:7]).mean.shape == (7, 2) and model.encode(x[0]).mean.shape == (2,)
    assert model.sample(50).shape == (50, 3) and np.isfinite(model.sample(50)).all()
    assert run.fields["width"] == 5 and run.fields["alpha"] == 0.5
print("done", len(table))
"""


def test_a_run_of_a_users_parts_has_a_model(here: Path) -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 3))
    rows = [f"{','.join(map(str, row))},{'up' if row[0] > 0 else 'down'}" for row in points]
    (here / "points.csv").write_text("\n".join(["a,b,c,kind", *rows, ""]))
    for name, text in (("own.py", MODULE), ("own.yaml", SWEEP), ("script.py", SCRIPT)):
        (here / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "done 2\n", done.stderr
