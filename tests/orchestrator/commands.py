"""The command line in this process, and a small sweep for it."""

from pathlib import Path

from click.testing import CliRunner, Result

from mimsweep.orchestrator.cli.main import main
from mimsweep.orchestrator.files.spec import RunSpec

GOOD = """\
name: toy
fixed: {dataset: toy4}
grid:
  seed: 1..3
  model: [mim, vae]
"""
RUNS = [
    RunSpec(dataset="toy4", seed=seed, model=model)
    for seed in (1, 2, 3)
    for model in ("mim", "vae")
]


def mimsweep(*arguments: str | Path, **environment: str) -> Result:
    given = [str(each) for each in arguments]
    return CliRunner().invoke(main, given, prog_name="mimsweep", env=environment)


def refused(result: Result, exit_code: int = 2) -> str:
    """The sentence with which a command ended, which is all it printed."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("mimsweep: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr.removeprefix("mimsweep: ").strip()
