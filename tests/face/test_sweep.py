"""A sweep from Python does what the commands do, in the same words."""

import inspect
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import mimsweep as ms
from mimsweep.orchestrator.cli.main import main
from mimsweep.orchestrator.errors import SpecError, TrackingError
from tests.face.conftest import SWEEP
from tests.orchestrator.commands import mimsweep

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

OF_THE_SWEEP = {"sweep", "sweeps", "overrides", "tracking_uri", "as_json"}
"""Parameters of commands that `load` has, or that say how a command prints."""


@pytest.mark.parametrize(
    "name", ["plan", "run", "status", "results", "figures", "report", "verify"]
)
def test_a_method_has_the_options_of_its_command_and_their_defaults(name: str) -> None:
    parameters = inspect.signature(getattr(ms.Sweep, name)).parameters.values()
    ours = {each.name: each.default for each in parameters if each.name != "self"}
    given = main.commands[name].make_context(name, ["s.yaml"]).params
    theirs = {option: value for option, value in given.items() if option not in OF_THE_SWEEP}
    if name == "results":
        del theirs["output"]  # a DataFrame has methods that write it
    if name == "figures":
        del theirs["watch"]  # until a sweep ends, which a caller can ask `status`
    assert ours == theirs


def test_what_is_told_is_what_the_commands_tell(sweep: ms.Sweep) -> None:
    assert sweep.status() == json.loads(mimsweep("status", "s.yaml", "--json").stdout)
    assert sweep.plan() == json.loads(mimsweep("plan", "s.yaml", "--json").stdout)
    assert sweep.plan()["complete"] == 4
    verified = json.loads(mimsweep("verify", "s.yaml", "--json").stdout)
    assert sweep.verify() == verified
    assert verified["claims"][0]["verdict"] == "undecided"
    table = pd.read_csv(io.StringIO(mimsweep("results", "s.yaml").stdout))
    told = sweep.results().replace("", None)  # an empty text and a missing one look alike in CSV
    pd.testing.assert_frame_equal(told, table, check_dtype=False)


def test_a_sweep_has_its_runs_in_the_order_of_the_results(sweep: ms.Sweep) -> None:
    table = sweep.results()
    assert [run.run_key for run in sweep.runs] == [*table["run_key"]]
    assert [run.run_name for run in sweep.runs] == [*table["run_name"]]
    assert sweep.runs[1].fields["model"] == "vae"
    assert sweep.runs[1].fields.keys() <= set(table.columns)
    assert repr(sweep) == "<Sweep s: 4 runs>"
    assert repr(sweep.runs[1]) == f"<Run {table['run_name'][1]}>"


def test_complete_runs_are_not_trained_again(
    sweep: ms.Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep.run()
    assert capsys.readouterr().err == "s: all 4 runs are complete\n"


@pytest.mark.slow
def test_figures_and_report_are_files(sweep: ms.Sweep, tmp_path: Path) -> None:
    drawn = sweep.figures(tmp_path)
    assert {"combined", "nll", "learning", "durations"} <= drawn.keys()
    assert all(path == tmp_path / "s" / f"{name}.png" for name, path in drawn.items())
    assert all(path.is_file() and path.with_suffix(".svg").is_file() for path in drawn.values())
    page = sweep.report(tmp_path / "new" / "page.html")
    assert "VAE stays low" in page.read_text()


def test_what_is_said_beside_a_result_is_said(
    sweep: ms.Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    less = ms.load("s.yaml", ["seed=1"])
    assert len(less.results()) == 2
    line = "s: complete runs in the store that are not of this file as it is given now"
    assert f"mimsweep: {line}, and left out: 2\n" in capsys.readouterr().err


def test_the_store_is_what_load_or_the_environment_says(
    sweep: ms.Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    assert ms.load("s.yaml", tracking_uri=other).status()["missing"] == 4
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
    assert sweep.status()["missing"] == 4
    here = ms.load("s.yaml", tracking_uri="sqlite:///mlflow.db")
    assert here.status()["finished"] == 4


NO_STORE = "sqlite:///nowhere/mlflow.db"
WRONG: list[tuple[Callable[[], object], list[str], type[Exception]]] = [
    (lambda: ms.load("s.yml"), ["plan", "s.yml"], SpecError),
    (lambda: ms.load("smok"), ["plan", "smok"], SpecError),
    (lambda: ms.load("search_warmup"), ["run", "search_warmup"], SpecError),
    (lambda: ms.load("s.yaml", ["sed=1"]), ["plan", "s.yaml", "--set", "sed=1"], SpecError),
    (lambda: ms.load("bad.yaml"), ["plan", "bad.yaml"], SpecError),
    (
        lambda: ms.load("s.yaml").run(device="cuda"),
        ["run", "s.yaml", "--device", "cuda"],
        SpecError,
    ),
    (
        lambda: ms.load("s.yaml").report("page.txt"),
        ["report", "s.yaml", "--output", "page.txt"],
        SpecError,
    ),
    (
        lambda: ms.load("s.yaml", tracking_uri=NO_STORE).results(),
        ["results", "s.yaml", "--tracking-uri", NO_STORE],
        TrackingError,
    ),
    (
        lambda: ms.load("s.yaml", tracking_uri="http://localhost:1/#/x").status(),
        ["status", "s.yaml", "--tracking-uri", "http://localhost:1/#/x"],
        SpecError,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "command", "kind"), WRONG, ids=[str(c) for _, c, _ in WRONG])
def test_what_is_wrong_is_told_in_the_words_of_the_command(
    call: Callable[[], object],
    command: list[str],
    kind: type[ms.MimsweepError],
    sweep: ms.Sweep,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    Path("bad.yaml").write_text(SWEEP.replace("toy4", "boy4"))
    with pytest.raises(ms.MimsweepError) as told:
        call()
    assert isinstance(told.value, kind)
    result = mimsweep(*command)
    assert f"mimsweep: {told.value}\n" == result.stderr
    assert told.value.exit_code == result.exit_code


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("engine", "lokal", "'lokal' is not allowed; allowed: 'local', 'ray', 'slurm' or 'inline'"),
        ("device", "gpu", "'gpu' is not allowed; allowed: 'auto', 'cpu' or 'cuda'"),
        ("workers", 0, "0 is not allowed; it must be at least 1"),
        ("workers", "2", "'2' is not allowed; it must be an integer"),
        ("cohort_size", 0, "0 is not allowed; it must be at least 1"),
        ("gpus_per_worker", 0.0, "0.0 is not allowed; it must be greater than 0"),
        ("slurm", "partition=gpu", "'partition=gpu' is not allowed; it must be a list of texts"),
        ("max_failures", 0, "0 is not allowed; it must be at least 1"),
        ("timeout", -1.0, "-1.0 is not allowed; it must be greater than 0"),
        ("retries", -1, "-1 is not allowed; it must be at least 0"),
        ("fresh", 1, "1 is not allowed; it must be true or false"),
    ],
)
def test_an_argument_that_is_not_allowed_is_told(
    option: str, value: object, sentence: str, sweep: ms.Sweep
) -> None:
    with pytest.raises(ms.MimsweepError) as told:
        sweep.run(**{option: value})  # type: ignore[arg-type]
    assert str(told.value) == f"{option}: {sentence}"


@pytest.mark.slow
def test_failed_runs_are_an_error_and_the_rest_is_complete(
    here: Path,
) -> None:
    text = SWEEP.replace("seed: 1..2, model: [mim, vae]", "lr: [1.0e-3, 1.0e+30]")
    Path("s.yaml").write_text(text.replace("epochs: 5", "model: vae, epochs: 2"))
    sweep = ms.load("s.yaml")
    with pytest.raises(ms.MimsweepError, match=r"1 runs failed:\n  vae-toy4.*turned") as told:
        sweep.run(engine="inline")
    assert told.value.exit_code == 1
    assert (sweep.status()["finished"], sweep.status()["failed"]) == (1, 1)


def test_a_call_leaves_the_environment_as_it_was(
    sweep: ms.Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    before = dict(os.environ)

    def statuses(self: object, name: str) -> dict[str, object]:
        seen.update(os.environ)
        return {}

    monkeypatch.setattr("mimsweep.orchestrator.tracking.reader.Lister.statuses", statuses)
    sweep.status()
    assert {"MKL_CBWR", "SOURCE_DATE_EPOCH"}.isdisjoint(seen)
    assert dict(os.environ) == before


def test_the_face_is_imported_at_once() -> None:
    script = """
import sys, mimsweep as ms
heavy = {"torch", "mlflow", "pandas", "numpy", "pydantic", "matplotlib", "rich", "yaml", "click"}
print(sorted(heavy & set(sys.modules)), len(sys.modules) < 120, ms.register.loss.__name__)
print(set(ms.__all__) <= set(dir(ms)), [getattr(ms, name).__name__ for name in ms.__all__])
"""
    told = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()
    assert told[0] == "[] True loss"
    assert told[1].startswith("True ['Density', 'MimsweepError',")
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        ms.lode  # noqa: B018


def test_plan_and_status_load_neither_mlflow_nor_torch(here: Path) -> None:
    script = """
import sys, mimsweep as ms
sweep = ms.load("smoke")
print(sweep.plan()["to_run"], sweep.status()["missing"], {"mlflow", "torch"} & set(sys.modules))
"""
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "12 12 set()\n"
