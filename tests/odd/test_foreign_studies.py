"""What is there under a search's or a sweep's name was made for something else, by anyone.

Each is a real run of the program, which must tell it in a sentence and write nothing.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from mimsweep.orchestrator.files.search import load_search
from mimsweep.orchestrator.search.storage import open_storage
from mimsweep.orchestrator.search.study import Study
from tests.orchestrator.commands import mimsweep, refused

FILE = """\
name: small
fixed: {dataset: toy4, model: vae, mid_dim: 4, epochs: 1, batch_size: 1024}
seeds: 1
space: {lr: {float: [0.001, 0.01]}}
objective: {metric: nll, direction: minimize}
trials: 2
"""
TWO = FILE.replace(
    "objective: {metric: nll, direction: minimize}",
    "objective: [{metric: nll, direction: minimize}, {metric: mi, direction: maximize}]",
)
SWEEP = "{name: small, fixed: {dataset: toy4, model: vae, mid_dim: 4, epochs: 1}, grid: {seed: 1}}"
LR = {"lr": FloatDistribution(0.001, 0.01)}


@pytest.fixture(params=["journal.log", "sqlite:///study.db"])
def storage(request: pytest.FixtureRequest, here: Path) -> str:
    (here / "small.yaml").write_text(FILE)
    return str(request.param)


def study(storage: str, *directions: str) -> optuna.Study:
    return optuna.create_study(
        storage=open_storage(storage), study_name="small", directions=directions
    )


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith((".db-shm", ".db-wal"))
    }


def search(storage: str, name: str = "small.yaml") -> str:
    """The sentence with which a search is refused, which must have changed no file."""
    here = Path.cwd()
    before = files(here)
    said = refused(mimsweep("search", name, "--storage", storage, "--engine", "inline"))
    assert files(here) == before
    return said


def maximized(storage: str) -> None:
    study(storage, "maximize")


def of_two(storage: str) -> None:
    study(storage, "minimize", "minimize")


def of_another_metric(storage: str) -> None:
    study(storage, "minimize").set_metric_names(["rmse"])


def with_trials(storage: str) -> None:
    add_trial(study(storage, "minimize"))


def add_trial(study: optuna.Study, state: TrialState = TrialState.COMPLETE) -> None:
    value = -50.0 if state == TrialState.COMPLETE else None
    study.add_trial(create_trial(params={"lr": 0.005}, distributions=LR, value=value, state=state))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (maximized, "is to maximize, while the search is to minimize"),
        (of_two, "is to minimize and minimize, while the search is to minimize"),
        (of_another_metric, "is of rmse, not of nll"),
        (with_trials, "has 1 trial that mimsweep did not make"),
    ],
)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_study_that_another_made_for_something_else(
    storage: str, make: Callable[[str], None], why: str
) -> None:
    make(storage)
    said = search(storage)
    assert said.startswith(f"the study small in {storage} {why}: its trials can't be compared")
    assert said.endswith("give the search another name, or another --storage")


def test_a_study_that_another_made_and_left_empty_is_used(here: Path) -> None:
    (here / "small.yaml").write_text(FILE)
    study("journal.log", "minimize").enqueue_trial({"lr": 0.005})
    ended = mimsweep("search", "small.yaml", "--storage", "journal.log", "--engine", "inline")
    assert ended.exit_code == 0, ended.output
    assert "2 trials (2 complete" in ended.stdout
    kept = optuna.load_study(storage=open_storage("journal.log"), study_name="small")
    assert kept.trials[0].params == {"lr": 0.005}


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED])
def test_a_trial_that_another_program_added_is_never_the_best(
    storage: str, here: Path, state: TrialState
) -> None:
    ours = Study(load_search(here / "small.yaml"), storage)
    ours.complete(ours.ask()[0].number, [1.0], {"nll": {"1": 1.0}})
    ours.close()
    add_trial(optuna.load_study(study_name="small", storage=open_storage(storage)), state)
    assert "has 1 trial that mimsweep did not make" in search(storage)


def test_a_point_that_another_asked_for_and_the_space_does_not_have(here: Path) -> None:
    (here / "small.yaml").write_text(FILE.replace("trials: 2", "trials: 4").replace("0.01]", "1]"))
    kept = study("journal.log", "minimize")
    for lr in (1.5, -1.0, 1):
        kept.enqueue_trial({"lr": lr})
    command = ("search", "small.yaml", "--storage", "journal.log", "--engine", "inline")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        ended = mimsweep(*command)
    assert "4 trials (2 complete, 0 pruned, 2 failed)" in ended.stdout
    assert "trial 0 is not made at lr = 1.5: the space doesn't have it" in ended.stderr
    assert "trial 1 is not made at lr = -1: -1.0 is not allowed; it must be" in ended.stderr


def test_a_search_whose_file_was_changed(storage: str, here: Path) -> None:
    (here / "two.yaml").write_text(TWO)
    Study(load_search(here / "two.yaml"), storage).close()
    assert "was made with another objectives: its trials" in search(storage)
    changed = FILE.replace("0.01]", "0.02]").replace("seeds: 1", "seeds: 1..2")
    (here / "small.yaml").write_text(changed)
    assert "was made with another seeds and space and objectives: " in search(storage)


@pytest.mark.parametrize(("command", "text"), [("run", SWEEP), ("search", FILE)])
def test_an_experiment_that_holds_runs_of_another_tool(command: str, text: str, here: Path) -> None:
    (here / "small.yaml").write_text(text)
    client = MlflowClient(f"sqlite:///{here}/mlflow.db")
    experiment = client.create_experiment("small")
    client.create_run(experiment)
    before = files(here)
    for asked in (command, "plan", "status", "results"):
        more = ["--engine", "inline"] if asked == command else []
        said = refused(mimsweep(asked, "small.yaml", *more))
        assert said == (
            "the MLflow experiment small holds runs that mimsweep did not make: give the sweep "
            "another name, or rename the experiment"
        )
    assert files(here) == before
    client.rename_experiment(experiment, "theirs")
    ended = mimsweep(command, "small.yaml", "--engine", "inline")
    assert ended.exit_code == 0, ended.output


def test_the_database_of_another_program(here: Path) -> None:
    (here / "small.yaml").write_text(FILE)
    MlflowClient(f"sqlite:///{here}/mlflow.db").search_experiments()
    said = search("sqlite:///mlflow.db")
    assert said.startswith("the database sqlite:///mlflow.db is another program's (MLflow's?)")
    assert said.endswith("give --storage a database of its own")
