"""Cohorts of several shapes at once: on a CPU one after the other, to the same bits as alone."""

from dataclasses import replace

import pytest

from mimsweep.models.training.abreast import Abreast
from mimsweep.models.training.cohort import Training
from mimsweep.models.training.runs import Event
from tests.models.cohorts import COHORT, RUNS, assert_same, events_by_run, few

NARROW = replace(COHORT, mid_dim=5, runs=(RUNS[0], RUNS[2]))
VAE = replace(COHORT, model="vae", runs=(replace(RUNS[1], key="vae"), replace(RUNS[4], key="long")))
SHAPES = (NARROW, VAE)


def abreast() -> Abreast:
    return Abreast([Training(cohort, few(cohort)) for cohort in SHAPES])


def trained(training: Abreast) -> dict[str, list[Event]]:
    events: dict[str, list[Event]] = {}
    while training.live:
        for event in training.epoch():
            events.setdefault(event.key, []).append(event)
    return events


def test_each_run_is_as_in_its_own_cohort() -> None:
    together = trained(abreast())
    alone = {key: own for cohort in SHAPES for key, own in events_by_run(cohort).items()}
    assert together.keys() == alone.keys()
    for key, events in alone.items():
        assert_same(events, together[key])


def test_runs_leave_and_go_on_elsewhere() -> None:
    whole, first, second = trained(abreast()), abreast(), abreast()
    told = [event for _ in range(2) for event in first.epoch()]
    first.drop(["vae"])
    assert first.live == ["plain", "long"]
    for state in first.states():
        for row, key in enumerate(state.keys):
            tensors = {name: tensor[row] for name, tensor in state.tensors.items()}
            second.restore(key, state.progress[row], tensors)
    second.drop(["vae", "leaves first"])
    rest = trained(second)
    for key in ("plain", "long"):
        assert_same([e for e in told if e.key == key] + rest[key], whole[key])


def test_states_are_one_of_each_shape() -> None:
    training = abreast()
    assert [state.keys for state in training.states()] == [
        ["plain", "leaves first"],
        ["vae", "long"],
    ]
    widths = {state.tensors["weights"].shape[1] for state in training.states()}
    assert len(widths) == 2
    assert training.weights("long")["encoder.0.weight"].shape == (9, 2)
    training.drop(["plain", "leaves first"])
    assert [state.keys for state in training.states()] == [["vae", "long"]]


def test_an_epoch_that_was_begun_is_ended_by_the_next_call() -> None:
    begun, plain = (Training(NARROW, few(NARROW)) for _ in range(2))
    begun.begin()
    assert [repr(event) for event in begun.epoch()][:1] == [repr(next(plain.epoch()))]
    with pytest.raises(StopIteration):
        next(iter(Abreast([]).epoch()))
