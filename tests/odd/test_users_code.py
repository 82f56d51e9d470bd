"""Users' code that raises, exits, prints or changes torch: a real sweep, in real workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.odd.users import DATA, line_of, write
from tests.paths import ROOT

LOSSES = {
    "raises": "torch.zeros(2) @ torch.zeros(3)",
    "exits": "raise SystemExit(7)",
    "recurs": "return bad(*arguments)",
    "scalar": "return Loss(own(*arguments).mean())",
    "transposed": "return Loss(own(*arguments).T)",
    "whole": "return Loss(own(*arguments).long())",
    "detached": "return Loss(own(*arguments).detach())",
    "bare": "return own(*arguments)",
    "random": "return Loss(own(*arguments) + torch.rand(()))",
    "nan": "return Loss(own(*arguments) * float('nan'))",
    "good": "print('heard', flush=False); torch.manual_seed(1); return Loss(own(*arguments))",
}
HEAD = """
import threading
import time

torch.set_default_dtype(torch.float64)
torch.set_num_threads(2)
print("imported")
threading.Thread(target=time.sleep, args=(0.1,)).start()

from mimsweep.models.losses.base import Loss


def own(objective, weights, x, noise, beta):
    model = objective.model
    q_z = model.encode(weights, x)
    return -model.decode(weights, q_z.sample(noise.z)).log_prob(x)
"""
SENTENCES = {
    "raises": "RuntimeError: ",
    "exits": "SystemExit: 7",
    "recurs": "RecursionError: maximum recursion depth exceeded",
    "scalar": "its loss returned shape (); it must be (1, 64), (R, B): a number for each item",
    "transposed": "its loss returned shape (64, 1); it must be (1, 64), (R, B)",
    "whole": "its loss returned a tensor of torch.int64; it must be a tensor of float32",
    "detached": "its loss depends on no weights, or was detached from them: nothing is learned",
    "bare": "its loss returned Tensor; it must return mimsweep.models.losses.base.Loss",
    "random": "its loss came to other values for the same minibatch when it was called again",
    "nan": "the training loss turned nan in epoch 1",
}


def program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from mimsweep.orchestrator.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path]),
            "MIMSWEEP_IMPORT": "mine",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_each_is_told_with_its_place_and_the_good_ones_are_complete(here: Path) -> None:
    module = DATA + HEAD
    for name, line in LOSSES.items():
        module += f"\n\ndef bad(*arguments):\n    {line}  # {name}\n\n\n"
        module += f"register.loss({name!r}, bad)\n"
    module = module.replace("return bad(", "return _recurs(").replace(
        "register.loss('recurs', bad)", "_recurs = bad\nregister.loss('recurs', bad)"
    )
    models = ", ".join([*LOSSES, "vae"])
    sweep = "name: s\nfixed: {dataset: mine, mid_dim: 4, epochs: 2, warmup: 1, batch_size: 64}\n"
    write(here, module, f"{sweep}grid: {{model: [{models}]}}\n")
    done = program(here, "run", "s.yaml", "--workers", "1", "--retries", "0")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for name, sentence in SENTENCES.items():
        (told,) = [s for s in done.stderr.splitlines() if s.startswith(f"{name}-mine-")]
        assert " failed: " in told
        assert sentence in told
        line = line_of(module, f"# {name}")
        if name != "nan":
            assert f"mine.py:{line}" in told or f"mine.py:{line - 1}" in told
    log = (here / ".mimsweep" / "logs" / "s" / "worker-0.log").read_text()
    assert "imported" in log
    assert "heard" in log
    listed = program(here, "results", "s.yaml")
    rows = listed.stdout.splitlines()
    assert len(rows) == 1 + 2, listed.stdout  # no line of theirs among ours
    status = json.loads(program(here, "status", "s.yaml", "--json").stdout)
    assert (status["finished"], status["failed"]) == (2, len(SENTENCES))
