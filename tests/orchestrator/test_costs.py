from typing import Any

from mimsweep.orchestrator.costs import cohort_limit, is_eager, stack_cost
from tests.orchestrator.test_planning import spec


def test_cohort_limit() -> None:
    assert cohort_limit(spec(), "cpu") == 27
    assert cohort_limit(spec(mid_dim=5), "cpu") == 64
    assert cohort_limit(spec(mid_dim=10_000), "cpu") == 1
    assert cohort_limit(spec(), "cuda") == 1024
    assert cohort_limit(spec(mid_dim=5000), "cuda") < 1024


METHODS: list[dict[str, Any]] = [
    {"free_bits": 0.5},
    {"bn_gamma": 0.5},
    {"mmd": 10.0},
    {"importance_samples": 5},
    {"model": "cmim"},
]


def test_what_has_no_compiled_steps_is_dearer() -> None:
    plain = spec(model="vae")
    for method in ({}, {"beta_end": 4.0}, {"cycles": 4}):
        run = spec(**{"model": "vae", **method})
        assert not is_eager(run)
        assert stack_cost([run]) == stack_cost([plain])
    for method in METHODS:
        run = spec(**{"model": "vae", **method})
        assert is_eager(run)
        assert stack_cost([run]) > 2 * stack_cost([plain])


def test_runs_that_agree_cost_what_they_do_together() -> None:
    runs = [spec(seed=seed) for seed in range(10)]
    assert stack_cost(runs[:1]) < stack_cost(runs) < 10 * stack_cost(runs[:1])
    assert stack_cost([spec(mid_dim=500)]) > 4 * stack_cost([spec(mid_dim=50)])
    assert stack_cost([spec(model="vae")]) < stack_cost([spec()])
