"""What every engine does (see `orchestrator.engines.base`): the same tests for each."""

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load

from mimsweep.models.jit import processor
from mimsweep.orchestrator.engines.base import (
    CohortEnded,
    CohortLost,
    Drop,
    Engine,
    EpochEnded,
    Join,
    RunFailed,
    RunFinished,
)
from mimsweep.orchestrator.metrics import EPOCH_METRICS, FINAL_METRICS, RUN_METRICS
from tests.orchestrator.engines.helpers import (
    ENGINES,
    SLOW,
    WITH_PROCESSES,
    children,
    endless,
    kinds,
    numbers,
    of_run,
    specs,
    train,
    until,
    until_ended,
    until_idle,
)


@pytest.fixture
def before() -> set[psutil.Process]:
    """The processes that are there before an engine, whose first worker starts with it."""
    return children()


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=SLOW.get(name, ())) for name in ENGINES]
)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """An engine of two slots (or the one it has), free before each test that leaves them so."""
    folder = tmp_path_factory.mktemp(request.param)
    broken = folder / "data" / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz"
    broken.parent.mkdir(parents=True)
    broken.touch()
    if request.param == "slurm":
        request.getfixturevalue("cluster")
    made = ENGINES[request.param](folder, 2)
    yield made
    made.close()


@pytest.fixture(params=WITH_PROCESSES)
def one_slot(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made = WITH_PROCESSES[request.param](tmp_path, 1)
    yield made
    made.close()


def test_events_come_in_order_and_the_slot_is_free_after_them(engine: Engine) -> None:
    runs = specs(1, 2)
    slots = engine.idle
    assert slots > 0
    engine.submit(1, runs)
    assert engine.idle == slots - 1
    assert engine.slots == slots
    events = until_ended(engine)
    assert engine.idle == engine.slots == slots
    for run in runs:
        own = of_run(events, run)
        assert kinds(own) == [EpochEnded] * 3 + [RunFinished]
        assert [e.epoch for e in own if isinstance(e, EpochEnded)] == [1, 2, 3]
        assert all(e.metrics.keys() == set(EPOCH_METRICS) for e in own[:3])  # type: ignore[union-attr]
    assert events[-1] == CohortEnded(1)
    assert kinds(events).count(CohortEnded) == 1
    assert engine.events(0) == []
    assert engine.waiting == {}


def test_a_finished_run_has_all_metrics_and_its_weights(engine: Engine) -> None:
    (run,) = specs(3, mid_dim=9, z_dim=3, dataset="toy4_5")
    finished = train(engine, 2, [run])[-2]
    assert isinstance(finished, RunFinished)
    untold = {"nll_untrained", "kl_qp", "kl_pq", "kl_mean"}  # of the default q(x) they say nothing
    assert finished.metrics.keys() == {*FINAL_METRICS, *RUN_METRICS} - untold
    assert {name: len(values) for name, values in finished.profile.items()} == {
        "kl": run.z_dim,
        "variance": run.z_dim,
    }
    assert all(math.isfinite(value) for value in finished.metrics.values())
    assert finished.metrics["epochs_run"] == 3
    assert finished.processor == processor("cpu")
    weights = load(finished.weights)
    assert {name: array.shape for name, array in weights.items()} == {
        "encoder.0.weight": (9, 5), "encoder.0.bias": (9,),
        "encoder.1.weight": (6, 9), "encoder.1.bias": (6,),
        "decoder.0.weight": (9, 3), "decoder.0.bias": (9,),
        "decoder.1.weight": (10, 9), "decoder.1.bias": (10,),
    }  # fmt: skip
    assert {str(array.dtype) for array in weights.values()} == {"float32"}


def test_two_cohorts_train_at_once(engine: Engine) -> None:
    if engine.idle < 2:
        pytest.skip("the engine has one slot")
    (long,), (short,) = endless(), specs(2, epochs=1, model="ae")
    engine.submit(3, [long])
    until(engine, lambda events: len(events) > 0)
    engine.submit(4, [short])
    assert engine.idle == 0
    events = until_ended(engine)
    assert events[-1] == CohortEnded(4)
    assert kinds(of_run(events, short)) == [EpochEnded, RunFinished]
    assert of_run(engine.events(5.0), long)
    engine.command(3, Drop(frozenset([long.run_key])))
    assert until_ended(engine)[-1] == CohortEnded(3)
    assert engine.idle == 2


def test_a_run_that_turns_nan_fails_alone(engine: Engine) -> None:
    good, bad = specs(1), specs(2, lr=1e30)
    events = train(engine, 5, [*bad, *good])
    failed = of_run(events, bad[0])[-1]
    assert isinstance(failed, RunFailed)
    assert "nan in epoch" in failed.reason
    assert numbers(events, good[0]) == numbers(train(engine, 6, good), good[0])
    assert isinstance(events[-1], CohortEnded)


def test_runs_of_several_shapes_train_side_by_side(engine: Engine) -> None:
    runs = [*specs(1, 2), *specs(3, mid_dim=9, epochs=2), *specs(4, model="vae")]
    together = train(engine, 30, [runs[0], runs[2], runs[1], runs[3]])
    assert together[-1] == CohortEnded(30)
    for number, run in enumerate(runs, 31):
        assert numbers(together, run) == numbers(train(engine, number, [run]), run)


def test_a_cohort_gives_what_its_runs_give_alone(engine: Engine) -> None:
    fields = {"model": "mim", "batch_size": 1000}
    runs = [*specs(1, 2, **fields), *specs(3, epochs=5, warmup=2, lr=0.01, **fields)]
    together = train(engine, 7, runs)
    for number, run in enumerate(runs, start=8):
        alone = train(engine, number, [run])
        assert numbers(alone, run) == numbers(together, run)
        assert len(numbers(alone, run)) == run.epochs + 1


def test_a_cohort_that_raises_is_lost_and_the_slot_goes_on(engine: Engine) -> None:
    slots = engine.idle
    (lost,) = train(engine, 20, specs(1, dataset="pca-fashion-mnist20"))
    assert isinstance(lost, CohortLost)
    assert lost.cohort == 20
    assert "is not the file of Fashion-MNIST" in lost.reason
    assert "Traceback" in lost.details
    assert not lost.too_large
    assert engine.idle == slots
    assert kinds(train(engine, 21, specs(1)))[-1] is CohortEnded


def test_waiting_for_events_takes_no_longer_than_said(engine: Engine) -> None:
    start = time.monotonic()
    assert engine.events(0.2) == []
    assert 0.15 < time.monotonic() - start < 2


def test_a_dropped_run_leaves_its_cohort_and_the_others_go_on(engine: Engine) -> None:
    (long,), (short,) = endless(1), specs(2, batch_size=128)
    engine.submit(30, [long, short])
    events = until(engine, lambda events: len(events) > 0)
    engine.command(31, Drop(frozenset([short.run_key])))  # not in training: no harm
    engine.command(30, Drop(frozenset([long.run_key, "of nobody"])))
    events += until_ended(engine)
    assert events[-1] == CohortEnded(30)
    assert kinds(of_run(events, short))[-1] is RunFinished
    assert set(kinds(of_run(events, long))) <= {EpochEnded}
    assert kinds(train(engine, 32, specs(2)))[-1] is CohortEnded


def test_runs_that_join_give_what_they_give_alone(engine: Engine) -> None:
    (long,), joined = endless(1), specs(2, 3, batch_size=128)
    engine.submit(50, [long])
    until(engine, lambda events: len(events) > 0)
    engine.command(50, Join(tuple(joined)))
    keys = {run.run_key for run in joined}
    events = until(engine, lambda es: keys <= {e.run_key for e in es if isinstance(e, RunFinished)})
    engine.command(50, Drop(frozenset([long.run_key])))
    assert until_ended(engine)[-1] == CohortEnded(50)
    for number, run in enumerate(joined, start=51):
        assert numbers(events, run) == numbers(train(engine, number, [run]), run)


def test_a_cancelled_cohort_is_lost_for_the_reason_given(engine: Engine) -> None:
    slots = engine.idle
    engine.submit(40, endless())
    until(engine, lambda events: len(events) > 0)
    engine.cancel(41, "of nobody")
    engine.cancel(40, "it took too long")
    lost = until_ended(engine)[-1]
    assert isinstance(lost, CohortLost)
    assert (lost.cohort, lost.reason) == (40, "it took too long")
    until_idle(engine, slots)


@pytest.mark.slow
def test_a_killed_worker_loses_its_cohort_and_the_slot_works_again(
    before: set[psutil.Process], one_slot: Engine
) -> None:
    one_slot.submit(0, endless())
    until(one_slot, lambda events: len(events) > 2)
    (worker,) = children() - before
    worker.send_signal(signal.SIGKILL)
    lost = until(one_slot, lambda events: any(isinstance(e, CohortLost) for e in events))[-1]
    assert isinstance(lost, CohortLost)
    assert lost.cohort == 0
    assert "SIGKILL" in lost.reason
    assert Path(lost.details.removeprefix("see ")).exists()
    assert one_slot.idle == 1
    assert kinds(train(one_slot, 1, specs(2)))[-1] is CohortEnded


@pytest.mark.slow
def test_a_worker_killed_while_idle_costs_nothing_but_its_start(
    before: set[psutil.Process], one_slot: Engine
) -> None:
    train(one_slot, 0, specs(1))
    (worker,) = children() - before
    worker.send_signal(signal.SIGKILL)
    worker.wait(5)
    assert one_slot.events(1.0) == []
    assert one_slot.idle == 1
    assert kinds(train(one_slot, 1, specs(2)))[-1] is CohortEnded


@pytest.mark.slow
def test_a_worker_that_dies_between_cohorts_unnoticed_loses_the_next(
    before: set[psutil.Process], one_slot: Engine
) -> None:
    train(one_slot, 0, specs(1))
    (worker,) = children() - before
    worker.send_signal(signal.SIGKILL)
    # It is dead, and nobody has asked for events since.
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    one_slot.submit(1, specs(2))
    assert kinds(until_ended(one_slot)) == [CohortLost]
    assert kinds(train(one_slot, 2, specs(2)))[-1] is CohortEnded
