"""Forms of MIM − H beside the published numbers, which none is known to give.

    python benchmarks/entropy_forms.py [--folder build/entropy] [--forms present one stop_p]
        [--seeds 10] [--widths 5 20 50 100 200 300 400 500] [--epochs 200]

Imported, it registers each form as a loss of a user's, `mim_h_<form>`. Run, it writes a sweep of
them, as `sweeps/entropy.yaml` but for the loss, has `mimsweep run` complete it in a store in the
folder, and prints means ± standard deviations over the seeds. "present" is `model: mim` with
`inv_h`, compiled; all others train by eager steps. What is complete in the folder stays.

With p = p(x|z) p(z), q = q(z|x) q(x) and S = −½ (log p + β log q) all forms are S + f·R, where R
is by default log(½p + ½q), and log q(x) := log p(x|z) but for S on encoder samples, where q(x) is
the marginal and so log q = log p.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mimsweep import register
from mimsweep.models.densities.mixture import log_mixture_of_two
from mimsweep.models.densities.normal import standard_normal_log_prob
from mimsweep.models.layout import Weights
from mimsweep.models.losses.base import Loss, Noise, Objective

ROOT = Path(__file__).resolve().parent.parent
MODULE = "benchmarks.entropy_forms"
WIDTHS = (5, 20, 50, 100, 200, 300, 400, 500)
METRICS = ("mi", "nll", "rmse", "knn5")
PUBLISHED = {
    "nll": {20: "2.6", 200: "5.2", 500: "77 ± 43"},
    "rmse": {20: "1.21", 200: "1.09", 500: "1.38"},
    "mi": dict.fromkeys(WIDTHS, "0"),
    "knn5": dict.fromkeys(WIDTHS, "0.20"),
}
"""As experiments.md tells it; of NLL and RMSE three widths are known."""


def of_beta(beta: Tensor) -> Tensor:
    """Returns f = β."""
    return beta


def one(beta: Tensor) -> Tensor:
    """Returns f = 1, as in the released code."""
    return torch.ones_like(beta)


def late(beta: Tensor) -> Tensor:
    """Returns f = 1 once β = 1, before that 0."""
    return (beta >= 1).to(beta.dtype)


def mixture(p: Tensor, q: Tensor, own: Tensor) -> Tensor:
    """Returns R = log(½p + ½q)."""
    return log_mixture_of_two(p, q)


def above_10(p: Tensor, q: Tensor, own: Tensor) -> Tensor:
    """Returns R, not below −10."""
    return log_mixture_of_two(p, q).clamp(min=-10)


def below_0(p: Tensor, q: Tensor, own: Tensor) -> Tensor:
    """Returns R, not above 0."""
    return log_mixture_of_two(p, q).clamp(max=0)


def truncated(p: Tensor, q: Tensor, own: Tensor) -> Tensor:
    """Returns R with 10⁻⁵ of a uniform density in the mixture: not below log(½·10⁻⁵) = −12.2."""
    kept = log_mixture_of_two(p, q) + math.log1p(-1e-5)
    return torch.logaddexp(kept, torch.full_like(kept, math.log(0.5e-5)))


def own_joint(p: Tensor, q: Tensor, own: Tensor) -> Tensor:
    """Returns log q on encoder samples, log p on decoder samples: −H of what is sampled."""
    return own


def half_own_joint(p: Tensor, q: Tensor, own: Tensor) -> Tensor:
    """Returns half of that."""
    return 0.5 * own


@dataclass(frozen=True)
class Form:
    """One form of MIM − H.

    Attributes:
        factor: β to f.
        prior: (log p, log q, that of the two whose samples they are) to R, all (R, B).
        beta_in_s: whether S has its β; else β = 1 there.
        beta_in_r: whether log q in R is multiplied by β.
        marginal: whether log q(x) in R is the marginal on encoder samples, so that q = p there.
        fresh: whether on decoder samples log q(x) is the marginal at a fresh z', in S and R.
        fresh_in_r: whether it is so in R alone.
        encoder: whether R is there on encoder samples.
        decoder: whether it is there on decoder samples.
        stop: where no gradient flows: "p", "q" through that joint in R; "x" through x of decoder
            samples, "x_in_r" in R alone.
        weight: of the loss of the two directions.
        shared: whether x ~ p(x|z) has the noise of z ~ q(z|x).
    """

    factor: Callable[[Tensor], Tensor] = of_beta
    prior: Callable[[Tensor, Tensor, Tensor], Tensor] = mixture
    beta_in_s: bool = True
    beta_in_r: bool = False
    marginal: bool = False
    fresh: bool = False
    fresh_in_r: bool = False
    encoder: bool = True
    decoder: bool = True
    stop: str = ""
    weight: tuple[float, float] = (1.0, 1.0)
    shared: bool = False

    def __call__(
        self, objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor
    ) -> Loss:
        """Returns the loss; arguments as for `models.losses.vae.vae`."""
        encoder = self.weight[0] * self._on_encoder(objective, weights, x, noise, beta)
        if noise.anchor is None:
            return Loss(encoder)
        return Loss(encoder, self.weight[1] * self._on_decoder(objective, weights, noise, beta))

    def _on_encoder(
        self, objective: Objective, weights: Weights, x: Tensor, noise: Noise, beta: Tensor
    ) -> Tensor:
        model = objective.model
        q_z_given_x = model.encode(weights, x)
        z = q_z_given_x.sample(noise.z)
        log_p_x_given_z = model.decode(weights, z).log_prob(x)
        log_p = log_p_x_given_z + standard_normal_log_prob(z)
        log_q = q_z_given_x.log_prob_of_sample(noise.z) + log_p_x_given_z
        loss = self._s(log_p, log_p, beta)
        if self.encoder:
            r = self._r(log_p, log_p if self.marginal else log_q, beta, encoder=True)
            loss = loss + self.factor(beta) * r
        return loss

    def _on_decoder(
        self, objective: Objective, weights: Weights, noise: Noise, beta: Tensor
    ) -> Tensor:
        model, z = objective.model, noise.anchor
        assert z is not None
        assert noise.x is not None
        p_x_given_z = model.decode(weights, z)
        x = p_x_given_z.sample(noise.z if self.shared else noise.x)
        x = x.detach() if self.stop == "x" else x
        log_p, log_q, log_q_fresh = self._joints(objective, weights, z, x, noise)
        loss = self._s(log_p, log_q_fresh if self.fresh else log_q, beta)
        if self.decoder:
            if self.stop == "x_in_r":
                log_p, log_q, _ = self._joints(objective, weights, z, x.detach(), noise)
            log_q = log_q_fresh if self.fresh or self.fresh_in_r else log_q
            loss = loss + self.factor(beta) * self._r(log_p, log_q, beta, encoder=False)
        return loss

    def _joints(
        self, objective: Objective, weights: Weights, z: Tensor, x: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns log p and log q, with log p(x|z) and with the marginal as log q(x)."""
        model = objective.model
        log_p_x_given_z = model.decode(weights, z).log_prob(x)
        log_p = log_p_x_given_z + standard_normal_log_prob(z)
        log_q_z_given_x = model.encode(weights, x).log_prob(z)
        log_q = log_q_z_given_x + log_p_x_given_z
        if noise.z_marginal is None:
            return log_p, log_q, log_q
        fresh = log_q_z_given_x + model.log_q_x(weights, x, noise.z_marginal)
        return log_p, log_q, fresh

    def _s(self, log_p: Tensor, log_q: Tensor, beta: Tensor) -> Tensor:
        return -0.5 * (log_p + (beta if self.beta_in_s else 1.0) * log_q)

    def _r(self, log_p: Tensor, log_q: Tensor, beta: Tensor, *, encoder: bool) -> Tensor:
        log_p = log_p.detach() if self.stop == "p" else log_p
        log_q = log_q.detach() if self.stop == "q" else log_q
        log_q = beta * log_q if self.beta_in_r else log_q
        return self.prior(log_p, log_q, log_q if encoder else log_p)


FORMS = {
    "one": Form(factor=one),
    "one_marginal": Form(factor=one, marginal=True),
    "marginal": Form(marginal=True),
    "late": Form(factor=late),
    "late_marginal": Form(factor=late, marginal=True),
    "beta_in_r": Form(beta_in_r=True),
    "no_beta_in_s": Form(beta_in_s=False),
    "no_beta": Form(factor=one, beta_in_s=False),
    "no_beta_marginal": Form(factor=one, beta_in_s=False, marginal=True),
    "fresh": Form(fresh=True),
    "fresh_in_r": Form(fresh_in_r=True),
    "fresh_marginal": Form(fresh=True, marginal=True),
    "late_fresh_marginal": Form(factor=late, fresh=True, marginal=True),
    "encoder_only": Form(decoder=False),
    "decoder_only": Form(encoder=False),
    "stop_p": Form(stop="p"),
    "stop_q": Form(stop="q"),
    "stop_x": Form(stop="x"),
    "stop_x_in_r": Form(stop="x_in_r"),
    "one_above_10": Form(factor=one, prior=above_10),
    "below_0": Form(prior=below_0),
    "one_truncated": Form(factor=one, prior=truncated),
    "own": Form(prior=own_joint),
    "own_marginal": Form(prior=own_joint, marginal=True),
    "late_own_marginal": Form(factor=late, prior=own_joint, marginal=True),
    "half_own": Form(prior=half_own_joint),
    "half_own_marginal": Form(prior=half_own_joint, marginal=True),
    "sums": Form(weight=(128.0, 128.0)),
    "half_decoder": Form(weight=(1.0, 0.5)),
    "half_encoder": Form(weight=(0.5, 1.0)),
    "quarter_encoder": Form(weight=(0.25, 1.0)),
    "eighth_encoder": Form(weight=(0.125, 1.0)),
    "quarter_encoder_beta_in_r": Form(beta_in_r=True, weight=(0.25, 1.0)),
    "shared": Form(shared=True),
}
RATES = {"rate_half": 5e-4, "rate_double": 2e-3}
"""The present form at other learning rates. The order of the step of the rate and the epoch, which
no loss can set, changes the rate by less, but that the first epoch may have none."""

for name, form in FORMS.items():
    register.loss(f"mim_h_{name}", form, decoder_samples=True)


def sweep(forms: list[str], seeds: int, widths: list[int], epochs: int) -> str:
    """Returns the sweep of some forms as a file."""
    fixed = {"dataset": "toy4", "z_dim": 2, "min_logvar": 6, "warmup": 3, "epochs": epochs}
    every = {"seed": f"1..{seeds}", "mid_dim": widths}
    fresh = [f for f in forms if f in FORMS and (FORMS[f].fresh or FORMS[f].fresh_in_r)]
    plain = [f for f in forms if f in FORMS and f not in fresh]
    rates = [RATES[f] for f in forms if f in RATES]
    grid: list[dict[str, Any]] = []
    if plain:
        grid.append({**every, "model": [f"mim_h_{f}" for f in plain]})
    if fresh:
        models = [f"mim_h_{f}" for f in fresh]
        grid.append({**every, "model": models, "q_x_samples": ["marginal"]})
    if "present" in forms:
        grid.append({**every, "model": ["mim"], "inv_h": [True]})
    if rates:
        grid.append({**every, "model": ["mim"], "inv_h": [True], "lr": rates})
    return json.dumps({"name": "entropy_forms", "fixed": fixed, "grid": grid})  # JSON is YAML


def mimsweep(folder: Path, *arguments: str) -> None:
    """Runs `mimsweep` with the code beside this file and its forms, in a folder."""
    code = "from mimsweep.orchestrator.cli.main import main; main()"
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    command = [sys.executable, "-P", "-c", code, "--import", MODULE, *arguments]
    command += ["--tracking-uri", f"sqlite:///{folder}/mlflow.db"]
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run(command, cwd=folder, env=environment, stdout=sys.stderr, check=False)


def labelled(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the results with a column `form`."""
    rates = {rate: name for name, rate in RATES.items()}
    lr = results["lr"] if "lr" in results else pd.Series(1e-3, results.index)
    form = results["model"].str.removeprefix("mim_h_")
    return results.assign(form=form.where(form != "mim", lr.map(rates).fillna("present")))


def cell(values: pd.Series) -> str:
    """Returns mean ± standard deviation, and n where it isn't ten."""
    if not len(values):
        return ""
    mean, spread = values.mean(), values.std() if len(values) > 1 else 0.0
    # Adding 0 makes a −0.00 of what is rounded to it a 0.00.
    rounded = f"{round(mean, 2) + 0.0:.2f} ± {spread:.2f}"
    text = f"{mean:.2g} ± {spread:.1g}" if abs(mean) >= 1000 else rounded
    return text if len(values) == 10 else f"{text} ({len(values)})"


def report(results: pd.DataFrame, forms: list[str], widths: list[int]) -> str:
    """Returns a table per metric, a line per form, and the published numbers on top."""
    from machine import table

    frame = labelled(results)
    parts = []
    for metric in METRICS:
        known = PUBLISHED[metric]
        rows = [["published", *(known.get(width, "?") for width in widths)]]
        for form in forms:
            of_form = frame[frame["form"] == form]
            values = [of_form.loc[of_form["mid_dim"] == width, metric] for width in widths]
            rows.append([f"`{form}`", *(cell(v) for v in values)])
        parts.append(table([metric, *map(str, widths)], rows))
    return "\n\n".join(parts)


def main() -> None:
    """Runs the command."""
    from machine import machine

    names = ["present", *RATES, *FORMS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "entropy")
    parser.add_argument("--forms", nargs="+", default=names, choices=names, metavar="FORM")
    parser.add_argument("--seeds", type=int, default=10, help="seeds 1 to this")
    parser.add_argument("--widths", nargs="+", type=int, default=list(WIDTHS))
    parser.add_argument("--epochs", type=int, default=200, help="at most")
    options = parser.parse_args()
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "entropy_forms.yaml"
    file.write_text(sweep(options.forms, options.seeds, options.widths, options.epochs))
    before, start = machine(), time.monotonic()
    mimsweep(folder, "run", str(file), "--device", "cpu")
    seconds = time.monotonic() - start
    output = folder / "entropy_forms.csv"
    mimsweep(folder, "results", str(file), "--output", str(output))
    tables = report(pd.read_csv(output), options.forms, options.widths)
    print(f"{before} `mimsweep run` took {seconds:,.0f} s.\n\n{tables}")


if __name__ == "__main__":
    main()
