"""Losses of users that aren't what a loss is held to: told before anything trains."""

import os
from pathlib import Path

import pytest

from tests.odd.users import DATA, SWEEP, line_of, write
from tests.orchestrator.commands import mimsweep, refused

OWN = """

def own(model, x, noise, beta):
    return -model.decode(model.encode(x).sample(noise.z)).log_prob(x)


def bad(model, x, noise, beta):
    import numpy as np
    loss = own(model, x, noise, beta)
    {line}  # bad


register.loss("bad", bad)
"""

CALLED = [
    ("torch.zeros(2) @ torch.zeros(3)", "RuntimeError: "),
    ("raise SystemExit(7)", "SystemExit: 7"),
    ("return bad(model, x, noise, beta)", "RecursionError: maximum recursion depth exceeded"),
    ("return 1.0", "its loss returned float; it must return a tensor"),
    ("loss.sum()", "its loss returned NoneType; it must return a tensor"),
    ("return loss[:3]", "its loss returned shape (3,); it must be (64,), (B,), a number for each"),
    ("return loss[:, None]", "its loss returned shape (64, 1); it must be (64,), (B,), a number"),
    ("return loss.long()", "its loss returned a tensor of torch.int64; it must be a tensor of"),
    ("return loss.detach()", "its loss depends on no weights, or was detached from them"),
    ("return x.square().sum(-1)", "its loss depends on no weights, or was detached from them"),
    ("return loss + torch.rand(())", "its loss came to other values for the same minibatch"),
    ("return loss + np.random.rand()", "its loss came to other values for the same minibatch"),
    ("return loss * float('nan')", "its loss is nan at its start"),
    ("return loss + float('inf')", "its loss is inf at its start"),
    ("return loss + (0 * loss).sqrt()", "its loss has a gradient that is not finite at its start"),
    ("return loss if loss.mean() > 0 else -loss", "RuntimeError: vmap: It looks like you're"),
    ("return loss * loss.mean().item()", "RuntimeError: vmap: It looks like you're"),
    ("return loss + noise.prior.sum(-1)", "AttributeError: noise has no prior, but anchor, x, z;"),
    ("return loss + model.log_q_x(x)", "ValueError: log_q_x is of a q_x with a density of its own"),
    ("return loss + model.log_p_x(x)", "AttributeError: 'RunModel' object has no attribute"),
]


def write_sweep(folder: Path, module: str) -> None:
    write(folder, module, SWEEP.replace("[vae]", "[bad, vae]"))


def assert_nothing_written(folder: Path) -> None:
    assert {"mine.py", "s.yaml"} >= set(os.listdir(folder)) - {"__pycache__"}


@pytest.mark.parametrize(("line", "sentence"), CALLED)
def test_what_it_comes_to_is_checked_before_the_start(
    users: Path, line: str, sentence: str
) -> None:
    module = DATA + OWN.format(line=line)
    write_sweep(users, module)
    told = refused(mimsweep("run", "s.yaml"))
    assert sentence in told
    at = line_of(module, "# bad")
    assert any(f"mine.py:{number}" in told for number in (at - 6, at - 3, at)), told
    assert_nothing_written(users)


REGISTERED = [
    ("bad, fields={'alpha': None}", "None is not allowed as the default of its field alpha; it"),
    ("bad, fields={'alpha': float('nan')}", "nan is not allowed as the default of its field alpha"),
    ("bad, fields={'a b': 1}", "'a b' is not allowed as the name of a field; it must begin with"),
    ("bad, fields=[1]", "its fields are [1]; they must be a mapping of names to defaults"),
    ("bad, fields={'alpha': 1}", "it is called as f(model, x, noise, beta, *, alpha), but got an"),
    ("lambda model, x: x", "it is called as f(model, x, noise, beta), but too many positional"),
    ("lambda m, x, n, b, c: x", "but missing a required argument: 'c'"),
    ("bad, noise=['z']", "its noise is ['z']; it must be a mapping of names to shapes"),
    ("bad, noise={'p': 'z'}", "'z' is not allowed as the shape of its noise p; it must be a"),
    ("bad, noise={'p': (0, 'q_z')}", "(0, 'q_z') is not allowed as the shape of its noise p"),
    ("bad, noise={'p': (2, 3, 4)}", "(2, 3, 4) is not allowed as the shape of its noise p"),
    ("bad, noise={'p': True}", "True is not allowed as the shape of its noise p"),
    ("bad, noise={'x': 'x_dim'}", "the noise x is that of decoder_samples; give yours another"),
    ("bad, noise={'a-b': 1}", "'a-b' is not allowed as the name of a noise"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REGISTERED)
def test_what_is_registered_is_checked(users: Path, arguments: str, sentence: str) -> None:
    module = DATA + OWN.format(line="return loss").replace('"bad", bad', f'"bad", {arguments}')
    write_sweep(users, module)
    told = refused(mimsweep("validate", "s.yaml"))
    at = line_of(module, "register.loss")
    assert f"mine.py:{at}: the model bad: " in told
    assert sentence in told


def test_a_field_with_a_name_of_ours_is_told_with_both_places(users: Path) -> None:
    module = DATA + OWN.format(line="return loss").replace('", bad)', '", bad, fields={"lr": 1})')
    write_sweep(users, module.replace("noise, beta):", "noise, beta, lr=1):"))
    told = refused(mimsweep("validate", "s.yaml"))
    at = line_of(module, "register.loss")
    expected = f"model: bad declares the field lr, a name of ours; rename it, in mine.py:{at}"
    assert told.startswith("s.yaml:4:16: ")
    assert expected in told


def test_a_search_tries_it_at_all_corners_of_its_space(users: Path) -> None:
    module = DATA + OWN.format(line="return loss / alpha")
    module = module.replace("bad(model, x, noise, beta)", "bad(model, x, noise, beta, alpha)")
    write(
        users,
        module.replace('"bad", bad', '"bad", bad, fields={"alpha": 1.0}'),
        "name: s\nfixed: {dataset: toy4, model: bad, epochs: 2, warmup: 1}\n"
        "space: {alpha: {float: [0, 1]}}\nseeds: [1]\ntrials: 2\n"
        "objective: {metric: nll, direction: minimize}\n",
    )
    told = refused(mimsweep("search", "s.yaml"))
    at = line_of(module, "def bad")
    assert told == f"model bad (mine.py:{at}): its loss is inf at its start, with alpha 0.0"


def test_a_good_one_trains_its_field_is_swept_and_the_price_is_told(users: Path) -> None:
    module = DATA + OWN.format(line="return loss + alpha")
    module = module.replace(
        "def bad(model, x, noise, beta)", "def bad(model, x, noise, beta, alpha)"
    )
    write(
        users,
        module.replace('"bad", bad', '"bad", bad, fields={"alpha": 1.0}'),
        SWEEP.replace("{model: [vae]}", "[{model: [bad], alpha: [0, 2]}, {model: [vae]}]")
        + "figures: {x: alpha, hue: model, metrics: [mi, best_loss]}\n"
        "claims: [{claim: more, metric: best_loss, rises_with: alpha, where: model = bad}]\n",
    )
    line = "s: eager steps: a user's loss (bad), in 2 runs; on a CPU they take 2 to 50 times"
    planned = mimsweep("plan", "s.yaml")
    assert line in planned.stderr
    assert "alpha=0.0" in planned.stdout
    done = mimsweep("run", "s.yaml", "--engine", "inline")
    assert done.exit_code == 0, done.output
    assert line in done.stderr
    results = mimsweep("results", "s.yaml").stdout.splitlines()
    column = results[0].split(",").index("alpha")
    rows = [row.split(",") for row in results[1:]]
    assert [row[column] for row in rows] == ["0.0", "2.0", ""]
    loss = results[0].split(",").index("best_loss")
    assert float(rows[1][loss]) == pytest.approx(float(rows[0][loss]) + 2, rel=1e-5)
    drawn = mimsweep("figures", "s.yaml")
    assert drawn.exit_code == 0, drawn.output
    judged = mimsweep("verify", "s.yaml")
    assert "undecided" in judged.stdout  # one seed decides nothing
    assert "1 pairs in 1 cell" in judged.stdout
    complete = mimsweep("plan", "s.yaml")
    assert "eager" not in complete.stderr
