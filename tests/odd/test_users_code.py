"""Users' code that raises, exits, prints or changes torch as it trains, in real workers."""

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
    "scalar": "return own(*arguments)[0, None]",
    "detached": "return own(*arguments).detach()",
    "nan": "return own(*arguments) * float('nan')",
}
"""What each does, but not before it has been tried."""
HEAD = """
import threading
import time
from collections import Counter

torch.set_default_dtype(torch.float64)
torch.set_num_threads(2)
print("imported")
threading.Thread(target=time.sleep, args=(0.1,)).start()
calls = Counter()


def own(model, x, noise, beta):
    return -model.decode(model.encode(x).sample(noise.z)).log_prob(x)


def good(*arguments):
    print("heard", flush=False)
    torch.manual_seed(1)
    return own(*arguments)


register.loss("good", good)
"""
SENTENCES = {
    "raises": "RuntimeError: ",
    "exits": "SystemExit: 7",
    "scalar": "its loss returned shape (1,); it must be (64,), (B,), a number for each item",
    "detached": "its loss depends on no weights, or was detached from them: nothing is learned",
    "nan": "the training loss turned nan in epoch 2",
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
        module += f"\n\ndef bad(*arguments):\n    calls[{name!r}] += 1\n"
        module += f"    if calls[{name!r}] > 8:\n        {line}  # {name}\n"
        module += "    return own(*arguments)\n"
        module += f"\n\nregister.loss({name!r}, bad)\n"
    models = ", ".join([*LOSSES, "good", "vae"])
    sweep = "name: s\nfixed: {dataset: mine, mid_dim: 4, epochs: 3, warmup: 1, batch_size: 64}\n"
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
            assert any(f"mine.py:{number}" in told for number in (line, line - 3))
    log = (here / ".mimsweep" / "logs" / "s" / "worker-0.log").read_text()
    assert "imported" in log
    assert "heard" in log
    listed = program(here, "results", "s.yaml")
    rows = listed.stdout.splitlines()
    assert len(rows) == 1 + 2, listed.stdout  # no line of theirs among ours
    status = json.loads(program(here, "status", "s.yaml", "--json").stdout)
    assert (status["finished"], status["failed"]) == (2, len(SENTENCES))
