"""Image models in the engines: real images, a hundred of them."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load

from mimsweep.models.jit import processor
from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Drop,
    EpochEnded,
    Event,
    Join,
    Place,
    RunFinished,
)
from mimsweep.orchestrator.engines.training import image_cohort_of, train
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.metrics import (
    EPOCH_METRICS,
    FINAL_METRICS,
    IMAGE_METRICS,
    RUN_METRICS,
)
from mimsweep.orchestrator.trying import check_data

TINY: dict[str, Any] = {
    "dataset": "dynamic_mnist", "model": "convhvae_2level", "z_dim": 4, "epochs": 2, "warmup": 2,
    "batch_size": 50, "likelihood_samples": 2, "train_items": 100, "test_items": 100,
}  # fmt: skip


def spec(**fields: Any) -> RunSpec:
    return RunSpec(**{**TINY, **fields})


def place(folder: Path, data_dir: Path) -> Place:
    return Place("cpu", data_dir, folder / "checkpoints", checkpoint_seconds=0)


def training(runs: list[RunSpec], where: Place, *commands: list[Drop | Join]) -> Iterator[Event]:
    """The events of a cohort; each epoch's end takes the next commands."""
    given = iter(commands)
    return train(1, runs, where, lambda: next(given, []))


def numbers(events: list[Event], run: RunSpec) -> list[object]:
    return [
        (e.metrics | {"seconds": 0}, getattr(e, "weights", None))
        for e in events
        if isinstance(e, EpochEnded | RunFinished) and e.run_key == run.run_key
    ]


def test_a_cohort_is_what_the_runs_say() -> None:
    runs = [spec(seed=seed, lr=seed / 10, prior="vampprior", pseudo_inputs=7) for seed in (1, 2)]
    cohort = image_cohort_of(runs)
    assert [(run.key, run.seed, run.lr) for run in cohort.runs] == [
        (run.run_key, run.seed, run.lr) for run in runs
    ]
    for name in ("dataset", "model", "z_dim", "prior", "pseudo_inputs", "likelihood_samples"):
        assert getattr(cohort, name) == getattr(runs[0], name)


def test_missing_images_are_told_in_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    broken.parent.mkdir(parents=True)
    broken.touch()
    with pytest.raises(SpecError, match="MNIST"):
        check_data([spec(), RunSpec(dataset="toy4", model="vae")], tmp_path)
    (event,) = training([spec()], place(tmp_path, tmp_path))
    assert isinstance(event, CohortLost)
    assert "MNIST" in event.reason


@pytest.mark.slow
def test_a_run_of_omniglot_has_its_epochs_metrics_and_weights(
    tmp_path: Path, data_dir: Path
) -> None:
    run = spec(dataset="omniglot", prior="vampprior", pseudo_inputs=3)
    *epochs, finished, ended = training([run], place(tmp_path, data_dir))
    assert ended == CohortEnded(1)
    assert all(isinstance(e, EpochEnded) and e.metrics.keys() == {*EPOCH_METRICS} for e in epochs)
    assert [getattr(e, "epoch", None) for e in epochs] == [1, 2]
    assert isinstance(finished, RunFinished)
    assert finished.processor == processor("cpu")
    metrics = finished.metrics
    shared = {*FINAL_METRICS[: FINAL_METRICS.index("nll") + 1], "knn1", "knn3", "knn5", "knn10"}
    assert metrics.keys() == {*shared, *IMAGE_METRICS, *RUN_METRICS}
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["elbo"] <= metrics["log_likelihood"] == -metrics["nll"]
    assert metrics["from_chardata"] == (data_dir / "chardata.mat").exists()
    weights = load(finished.weights)
    assert weights["pseudo_inputs"].shape == (3, 784)
    assert list((tmp_path / "checkpoints").glob("*.safetensors")) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", ["convhvae_2level-smim", "pixelhvae_2level-amim"])
def test_a_resumed_run_comes_to_what_an_uninterrupted_one_does(
    tmp_path: Path, data_dir: Path, model: str
) -> None:
    run = spec(model=model, epochs=3, prior="vampprior", pseudo_inputs=5)
    whole = list(training([run], place(tmp_path / "whole", data_dir)))
    where = place(tmp_path / "cut", data_dir)
    cut = training([run], where)
    first, second = next(cut), next(cut)  # the checkpoint of the first epoch is written
    assert isinstance(first, EpochEnded)
    assert isinstance(second, EpochEnded)
    cut.close()
    assert len(list(where.checkpoint_dir.glob("*.safetensors"))) == 1
    resumed = list(training([run], where))
    assert numbers(resumed, run) == numbers(whole, run)
    assert len(numbers(whole, run)) == 4
    assert "from_chardata" not in numbers(whole, run)[-1][0]  # type: ignore[index]


@pytest.mark.slow
def test_runs_join_and_leave_a_cohort_and_come_to_the_same(tmp_path: Path, data_dir: Path) -> None:
    one, other, late = (spec(seed=seed) for seed in (1, 2, 3))
    alone = list(training([late], place(tmp_path / "alone", data_dir)))
    where = place(tmp_path / "together", data_dir)
    commands = [[Drop(frozenset({other.run_key})), Join((late,))]]
    together = list(training([one, other], where, *commands))
    assert numbers(together, late) == numbers(alone, late)
    ended = [e.run_key for e in together if isinstance(e, RunFinished)]
    assert ended == [one.run_key, late.run_key]
