"""What a reader needs is missing, cut off or of another version: it is told, and the rest done."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from mimsweep.orchestrator.tracking.places import move_artifacts
from mimsweep.orchestrator.tracking.uri import resolve_uri
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.odd.ending import SWEEP, slow, started, store_complete_runs
from tests.orchestrator.commands import mimsweep, refused
from tests.orchestrator.stores import SPECS, start

WEIGHTS, PROFILE = "weights.safetensors", "kl_per_dimension.json"
NO_STORE = "there is no tracking store at "
SEARCH = """\
name: toy
fixed: {dataset: toy4, model: vae}
space: {warmup: {int: [1, 3]}}
objective: {metric: nll, direction: minimize, seeds: mean}
seeds: [1]
trials: 2
"""


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a small sweep was trained."""
    folder = tmp_path_factory.mktemp("once")
    (folder / "s.yaml").write_text(SWEEP)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with started("run", "s.yaml", "--workers", "1", "--engine", "inline") as program:
            code, _, err = program.end(120)
    assert code == 0, err
    return folder


@pytest.fixture
def trained(once: Path, here: Path) -> Path:
    """A copy of that folder, whose store knows its artifacts; it is where we work."""
    shutil.copytree(once, here, dirs_exist_ok=True)
    move_artifacts(resolve_uri(None), Path("mlruns"))
    return here


def artifacts(folder: Path, name: str) -> list[Path]:
    found = sorted(folder.glob(f"mlruns/*/*/artifacts/{name}"))
    assert len(found) == 2
    return found


def told(result: Result, *parts: str) -> str:
    """What a command said at its end, that not all was there."""
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    assert "done without what is missing or can't be used:" in result.stderr
    for part in parts:
        assert part in result.stderr, result.stderr
    return result.stderr


def delete(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def other_shapes(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file({name: tensor[..., :1].clone() for name, tensor in load_file(path).items()}, path)


def other_names(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_file({f"old_{name}": tensor for name, tensor in load_file(path).items()}, path)


def of_no_numbers(path: Path) -> None:
    data = path.read_bytes()
    head = 8 + int.from_bytes(data[:8], "little")
    path.write_bytes(data[:head] + b"\xff" * (len(data) - head))


@pytest.mark.parametrize(
    "command", ["results", "figures", "report", "measure"], ids=lambda name: name
)
def test_no_store_is_told_and_nothing_is_made(command: str, here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    said = refused(mimsweep(command, "s.yaml"), 3)
    assert said.startswith(f"{NO_STORE}sqlite:///{here}/mlflow.db: start a sweep with")
    assert os.listdir(here) == ["s.yaml"]


def test_without_a_store_nothing_is_complete_yet_and_no_pages_are_shown(here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    assert "2 runs, 0 complete" in mimsweep("plan", "s.yaml").stdout
    assert refused(mimsweep("ui"), 3).startswith(NO_STORE)
    verify = "claims: [{claim: c, metric: nll, less: {seed: 1}, than: 2}]"
    (here / "s.yaml").write_text(f"{SWEEP}{verify}\n")
    assert refused(mimsweep("verify", "s.yaml"), 3).startswith(NO_STORE)
    assert os.listdir(here) == ["s.yaml"]


@pytest.mark.parametrize("parent", ["nodir", "s.yaml"])
def test_a_table_in_no_folder_is_told(parent: str, trained: Path) -> None:
    said = refused(mimsweep("results", "s.yaml", "--output", f"{parent}/x.csv"))
    assert said == f"--output {parent}/x.csv: there is no folder {parent}; make it first"
    assert not (trained / "nodir").exists()


@pytest.mark.parametrize(
    "spoilt",
    [
        {delete: "is not in the store", cut: "can't be used: "},
        slow({of_no_numbers: "is not all finite numbers", cut: "can't be used: "}),
        slow({other_shapes: "has the shape", other_names: "it has no "}),
    ],
)
def test_runs_whose_weights_cannot_be_used_are_not_measured(
    spoilt: dict[Callable[[Path], None], str], trained: Path
) -> None:
    before = mimsweep("results", "s.yaml").stdout
    for path, spoil in zip(artifacts(trained, WEIGHTS), spoilt, strict=True):
        spoil(path)
    measured = mimsweep("measure", "s.yaml", "--workers", "1")
    assert measured.exit_code == 1
    assert "Traceback" not in measured.output
    for says in spoilt.values():
        assert says in measured.output
    assert mimsweep("results", "s.yaml").stdout == before


@pytest.mark.slow
def test_figures_and_report_do_without_what_is_lost_of_every_run(trained: Path) -> None:
    for path in artifacts(trained, WEIGHTS):
        delete(path)
    for path in artifacts(trained, PROFILE):
        path.write_text('{"kl": ')
    drawn = told(mimsweep("figures", "s.yaml", "--latent"), WEIGHTS, f"its {PROFILE} can't be used")
    assert "columns" not in drawn
    assert list(trained.glob("figures/s/*.png"))
    told(mimsweep("report", "s.yaml"), WEIGHTS, PROFILE)
    assert (trained / "reports/report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_what_is_no_finite_number_is_not_drawn(trained: Path) -> None:
    for path in artifacts(trained, WEIGHTS):
        of_no_numbers(path)
    for path in artifacts(trained, PROFILE):
        path.write_text('{"kl": [1e400, NaN]}')
    told(
        mimsweep("figures", "s.yaml", "--latent"),
        f"its {WEIGHTS} can't be used: ValueError: its ",
        f"its {PROFILE} can't be used: ValueError: its kl is not all finite numbers",
    )


@pytest.mark.slow
def test_runs_without_losses_by_epoch_are_told(trained: Path) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute("DELETE FROM metrics WHERE key IN ('train_loss', 'test_loss')")
    told(mimsweep("figures", "s.yaml"), "its losses by epoch are not there")
    assert list(trained.glob("figures/s/*.png"))


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["train_loss", "test_loss"])
def test_one_loss_is_drawn_where_the_other_is_lost(lost: str, trained: Path) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute("DELETE FROM metrics WHERE key = ?", (lost,))
    drawn = mimsweep("figures", "s.yaml")
    assert drawn.exit_code == 0, drawn.output
    assert (trained / "figures" / "s" / "learning.png").exists()


def test_a_run_of_a_search_whose_fields_were_edited_is_told(here: Path) -> None:
    (here / "toy.yaml").write_text(SEARCH)
    tracking = Tracking(resolve_uri(None))
    run_ids = tracking.create_runs(start(tracking), SPECS, {})
    for run_id in run_ids:
        tracking.finish(run_id, {"nll": 1.0}, {})
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        query = "UPDATE params SET value = 'round' WHERE key = 'act' AND run_uuid = ?"
        database.execute(query, (run_ids[0],))
    found = mimsweep("results", "toy.yaml")
    told(found, f"(MLflow run {run_ids[0]}): its fields in the store are of another version, or")
    assert found.stdout.count("\n") == 2


@pytest.mark.slow
def test_complete_runs_that_are_not_of_the_file_any_more_are_counted(here: Path) -> None:
    (here / "s.yaml").write_text(SWEEP)
    store_complete_runs()
    says = (
        "mimsweep: s: complete runs in the store that are not of this file as it is given now, "
        "and left out: "
    )
    for change, complete, others in (("seed=1", 1, 1), ("epochs=3", 0, 2), ("seed=1..2", 2, 0)):
        for command in ("plan", "status", "results"):
            done = mimsweep(command, "s.yaml", "--set", change)
            assert done.exit_code == 0
            assert (f"{says}{others}\n" in done.stderr) == bool(others), done.stderr
            assert says not in done.stdout  # whose CSV and JSON are for scripts
            if command == "results":
                assert done.stdout.count("\n") == 1 + complete
    figures = mimsweep("figures", "s.yaml", "--set", "seed=1")
    assert f"{says.removeprefix('mimsweep: ')}1" in figures.stdout
