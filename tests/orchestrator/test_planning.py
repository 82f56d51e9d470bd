import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimsweep.orchestrator.costs import cohort_limit
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.spec import VARIES_IN_COHORT, RunSpec
from mimsweep.orchestrator.planning import PlannedCohort, plan


def spec(**fields: Any) -> RunSpec:
    return RunSpec(**{"dataset": "toy4", "model": "mim", **fields})


RUNS = st.lists(
    st.builds(
        RunSpec,
        dataset=st.sampled_from(["toy4", "toy4_20", "pca-fashion-mnist20"]),
        model=st.sampled_from(["mim", "vae"]),
        seed=st.integers(1, 9),
        z_dim=st.sampled_from([2, 20]),
        mid_dim=st.sampled_from([5, 500]),
        layers=st.integers(1, 3),
        epochs=st.integers(1, 3),
        warmup=st.integers(1, 2),
    ),
    unique=True,
    max_size=40,
)


@given(
    RUNS,
    st.data(),
    st.none() | st.integers(1, 12),
    st.sampled_from(["cpu", "cuda"]),
    st.integers(1, 4),
)
def test_every_run_to_do_is_in_one_cohort_of_its_kind(
    runs: list[RunSpec], data: st.DataObject, limit: int | None, device: str, slots: int
) -> None:
    done = data.draw(st.sets(st.sampled_from(runs))) if runs else set()
    keys = {run.run_key for run in done} | {"0123456789abcdef"}
    planned = plan("a", runs, keys, limit, device, slots)

    assert planned.runs == tuple(runs)
    assert planned.complete == tuple(run for run in runs if run in done)
    placed = [run for cohort in planned.cohorts for run in cohort.runs]
    assert len(placed) == len(set(placed))
    assert set(placed) == set(runs) - done
    for cohort in planned.cohorts if limit or device == "cpu" else ():
        assert 1 <= cohort.size <= (limit or cohort_limit(cohort.runs[0], device))
        shared = set(cohort.runs[0].own_fields()) - set(VARIES_IN_COHORT)
        assert shared <= set(cohort.spec)
        assert all({**dict(run), **cohort.spec} == dict(run) for run in cohort.runs)
    costs = [cohort.cost for cohort in planned.cohorts]
    assert costs == sorted(costs, reverse=True)
    assert plan("a", list(runs), sorted(keys), limit, device, slots) == planned


def test_json_is_that_of_the_design() -> None:
    runs = [spec(seed=seed, z_dim=z) for z in (2, 4) for seed in (3, 1, 2)]
    planned = plan("bottleneck", runs, [runs[0].run_key], cohort_size=2)
    shared = {
        field: value for field, value in spec(z_dim=4).own_fields().items() if field != "seed"
    }
    assert json.loads(json.dumps(planned.to_json())) == {
        "sweep": "bottleneck",
        "runs": 6,
        "complete": 1,
        "to_run": 5,
        "cohorts": [
            {"size": 2, "spec": {**shared, "z_dim": 4}, "seeds": [1, 2]},
            {"size": 2, "spec": {**shared, "z_dim": 2}, "seeds": [1, 2]},
            {"size": 1, "spec": {**shared, "z_dim": 4}, "seeds": [3]},
        ],
    }


def test_what_varies_in_a_cohort_is_no_part_of_its_spec() -> None:
    varied = [spec(lr=0.1), spec(seed=2, warmup=5), spec(epochs=9)]
    (cohort,) = plan("a", varied, [], None).cohorts
    assert cohort.seeds == [1, 2, 1]
    assert not set(VARIES_IN_COHORT) & set(cohort.spec)


@pytest.mark.parametrize("field", sorted(set(RunSpec.model_fields) - set(VARIES_IN_COHORT)))
def test_all_other_fields_separate_cohorts(field: str) -> None:
    # A copy is not validated: some fields have but one value yet.
    other = spec().model_copy(update={field: "toy5" if field == "dataset" else 7})
    assert len(plan("a", [spec(), other], [], None).cohorts) == 2


@pytest.mark.parametrize(
    ("runs", "limit", "sizes"),
    [(10, 10, [10]), (10, 4, [4, 3, 3]), (11, 10, [6, 5]), (3, 1, [1, 1, 1]), (2, 99, [2])],
)
def test_a_large_group_is_split_evenly(runs: int, limit: int, sizes: list[int]) -> None:
    planned = plan("a", [spec(seed=seed) for seed in range(runs)], [], limit)
    assert sorted((cohort.size for cohort in planned.cohorts), reverse=True) == sizes


def test_longest_first_and_ties_in_the_order_of_the_sweep() -> None:
    runs = [
        spec(model="vae", z_dim=2),
        spec(model="ae", z_dim=2),
        spec(model="vae", mid_dim=500),
        spec(model="mim", mid_dim=500),
        spec(model="mim", dataset="pca-fashion-mnist20", mid_dim=500),
        spec(model="ae", mid_dim=500, layers=3),
        spec(model="vae", epochs=400),
    ]
    order = [cohort.runs[0] for cohort in plan("a", runs, [], 1).cohorts]
    assert [runs.index(run) for run in order] == [5, 4, 3, 2, 6, 0, 1]


def test_cohorts_are_halved_so_that_no_slot_idles_long() -> None:
    runs = [spec(seed=seed, mid_dim=m) for m in (5, 20, 500) for seed in range(10)]
    alone, two = (plan("a", runs, [], None, "cpu", slots).cohorts for slots in (1, 2))
    assert sorted(cohort.size for cohort in alone) == [2] * 5 + [10, 10]
    total = sum(cohort.cost for cohort in alone)
    assert max(cohort.cost for cohort in two) <= total / 8
    assert sorted(cohort.size for cohort in two) == [1] * 10 + [10, 10]
    assert [run for c in two for run in c.runs if run.mid_dim == 5] == runs[:10]
    assert plan("a", runs, [], 10, "cpu", 2) == plan("a", runs, [], 10)  # as was asked for


def test_on_a_gpu_all_shapes_train_side_by_side() -> None:
    runs = [spec(seed=seed, mid_dim=m) for m in (5, 20, 500) for seed in range(10)]
    (cohort,) = plan("a", runs, [], None, "cuda").cohorts
    assert sorted(cohort.runs, key=runs.index) == runs
    assert cohort.label == "mim toy4 z2 m500 and 2 other shapes ×30"
    assert {"mid_dim", "seed"}.isdisjoint(cohort.spec)
    assert cohort.cost == sum(c.cost for c in plan("a", runs, [], 10, "cuda").cohorts)
    two = plan("a", runs, [], None, "cuda", 2).cohorts
    assert [sorted({run.mid_dim for run in c.runs}) for c in two] == [[5, 500], [20]]
    assert len(plan("a", runs, [], 10, "cuda").cohorts) == 3  # as was asked for


def test_a_gpu_has_so_many_runs_at_once() -> None:
    runs = [spec(seed=seed, mid_dim=m) for m in (5, 20, 50) for seed in range(800)]
    cohorts = plan("a", runs, [], None, "cuda").cohorts
    assert sorted(cohort.size for cohort in cohorts) == [800] * 3


def test_ten_runs_of_a_kind_are_shared_out() -> None:
    runs = [spec(seed=seed) for seed in range(10)]
    assert sorted(c.size for c in plan("a", runs, [], None, "cpu", 2).cohorts) == [2, 2, 3, 3]
    short = [spec(seed=seed, epochs=5) for seed in range(10)]
    assert len(plan("a", short, [], None, "cpu", 2).cohorts) == 1
    eager = [spec(seed=seed, q_x_samples="marginal") for seed in range(10)]
    assert len(plan("a", eager, [], None, "cpu", 2).cohorts) == 1  # dear in small stacks
    (one,) = plan("a", runs[:1], [], None, "cpu", 2).cohorts
    assert one.runs == tuple(runs[:1])


def test_a_cohort_costs_less_than_its_runs_apart() -> None:
    cohort = PlannedCohort(tuple(spec(seed=seed) for seed in range(10)))
    apart = [PlannedCohort((run,)).cost for run in cohort.runs]
    assert max(apart) < cohort.cost < sum(apart)


def test_halves() -> None:
    cohort = PlannedCohort(tuple(spec(seed=seed) for seed in range(5)))
    first, second = cohort.halves()
    assert (first.seeds, second.seeds) == ([0, 1], [2, 3, 4])
    with pytest.raises(ValueError, match="no halves"):
        PlannedCohort(cohort.runs[:1]).halves()


IMAGES: dict[str, Any] = {"dataset": "omniglot", "model": "convhvae_2level", "z_dim": 40}


def test_image_models_train_one_by_one() -> None:
    runs = [spec(**IMAGES, seed=seed) for seed in (1, 2)]
    for device in ("cpu", "cuda"):
        assert cohort_limit(runs[0], device) == 1
        assert [c.seeds for c in plan("a", runs, [], None, device, 2).cohorts] == [[1], [2]]
    (cohort,) = plan("a", runs, [], 2).cohorts  # as was asked for
    assert cohort.spec["patience"] == 50
    assert not {"mid_dim", "p_z"} & set(cohort.spec)


def test_costs_of_image_models() -> None:
    def cost(**fields: Any) -> float:
        return PlannedCohort((spec(**IMAGES | fields),)).cost

    both = [cost(), cost(prior="vampprior")]
    assert both == sorted(both)
    assert cost(prior="vampprior", pseudo_inputs=50) < both[1]
    assert cost(model="convhvae_2level-smim") > cost(model="convhvae_2level-amim") == both[0]
    assert cost(train_items=1000, test_items=100) < both[0] / 20
    assert cost(likelihood_samples=50) < both[0]
    # Forward and backward of a network of 0.23e9 multiplications an image, 200 epochs.
    assert cost(likelihood_samples=1) == pytest.approx(3 * 0.23e9 * 50_000 * 200, rel=0.1)
    toys = PlannedCohort(tuple(spec(seed=seed) for seed in range(60)))
    assert cost() > toys.cost


def test_a_cohort_size_below_one_is_refused() -> None:
    with pytest.raises(SpecError, match="cohort size: 0 is not allowed; it must be at least 1"):
        plan("a", [spec()], [], 0)


def test_nothing_to_do() -> None:
    assert plan("a", [spec()], [spec().run_key], None).cohorts == ()
    assert plan("a", [], [], None).to_json()["to_run"] == 0


def test_ten_thousand_runs_are_planned_fast() -> None:
    runs = [spec(seed=seed, z_dim=z) for seed in range(1000) for z in range(1, 11)]
    start = time.process_time()
    planned = plan("a", runs, {run.run_key for run in runs[:10]}, None)
    planned.to_json()
    assert time.process_time() - start < 1


@given(RUNS, st.integers(1, 4))
def test_the_time_is_that_of_the_work_over_slots_or_of_the_longest(
    runs: list[RunSpec], slots: int
) -> None:
    planned = plan("a", runs, (), None, "cpu", slots)
    one, all_at_once = planned.cpu_seconds(1), planned.cpu_seconds(10_000)
    longest = max((cohort.cost for cohort in planned.cohorts), default=0.0) / 1e10
    assert one == pytest.approx(sum(cohort.cost for cohort in planned.cohorts) / 1e10)
    assert all_at_once == pytest.approx(longest)
    assert all_at_once <= planned.cpu_seconds(slots) <= one
    assert planned.cpu_seconds(slots) >= one / slots * (1 - 1e-9)


def test_silence_is_borne_as_long_as_an_epoch_or_the_likelihoods_may_take() -> None:
    def silence(device: str = "cpu", **fields: Any) -> float:
        return PlannedCohort((spec(**IMAGES | fields),)).longest_silence(device)

    epoch = 3 * 230e6 * 50_000 / 1e10
    assert epoch > 3000
    assert silence(likelihood_samples=1) == pytest.approx(4 * epoch, rel=0.1)
    likelihoods = 10_000 * 5_000 * 180e6 / 1e10
    assert silence() == 4 * likelihoods == 20 * silence("cuda")
    small = silence(train_items=100, test_items=100, likelihood_samples=10)
    assert small == PlannedCohort((spec(),)).longest_silence("cuda") == 1800
    # A stack of many wide runs.
    wide = spec(mid_dim=20_000, layers=4, epochs=1)
    assert PlannedCohort((wide,)).longest_silence("cpu") > 1800


@pytest.mark.parametrize(("device", "slots"), [("cpu", 1), ("cpu", 4), ("cuda", 2)])
def test_an_overview_has_a_seed_of_every_cell_before_all_others(device: str, slots: int) -> None:
    runs = [
        spec(seed=seed, z_dim=z, lr=lr) for seed in (3, 1, 2) for z in (2, 8) for lr in (1e-3, 1e-2)
    ]
    done = [runs[5], runs[8]]  # z 2, lr 1e-2 of seed 1; z 2, lr 1e-3 of seed 2
    keys = [run.run_key for run in done]
    made = plan("s", runs, keys, None, device, slots, "overview")
    order = [run for cohort in made.cohorts for run in cohort.runs]
    assert {(run.seed, run.z_dim, run.lr) for run in order[:2]} == {(3, 8, 1e-3), (3, 8, 1e-2)}
    assert sorted(order, key=runs.index) == [run for run in runs if run not in done]
    early = [cohort for cohort in made.cohorts if {*cohort.runs} & {*order[:2]}]
    assert {run for cohort in early for run in cohort.runs} == {*order[:2]}
    costs = [cohort.cost for cohort in made.cohorts[len(early) :]]
    assert costs == sorted(costs, reverse=True)
    assert made.cohorts != plan("s", runs, keys, None, device, slots).cohorts


def test_an_overview_of_ten_thousand_runs_is_planned_fast() -> None:
    runs = [spec(seed=seed, z_dim=z) for seed in range(1000) for z in range(1, 11)]
    start = time.process_time()
    made = plan("s", runs, (), None, order="overview")
    assert [run.seed for cohort in made.cohorts[:10] for run in cohort.runs] == [0] * 10
    assert time.process_time() - start < 2
