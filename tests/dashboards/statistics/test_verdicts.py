"""Verdicts on a constructed table with known answers."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from mimsweep.dashboards.statistics.claims.claim import Claim
from mimsweep.dashboards.statistics.verdicts import judge, seeds_needed
from mimsweep.dashboards.statistics.wording import cell_text, claim_text
from tests.dashboards.statistics.judged import SEEDS, TRUE, compare, complete, one, planned

EQUAL = complete(mi=lambda model, z, seed: seed + 0.1 * (-1) ** seed * (model == "mim"))
TIED = complete(mi=lambda model, z, seed: seed)


def test_a_true_claim_holds() -> None:
    judgement = one(compare(), TRUE)
    assert (judgement.verdict, judgement.pairs, judgement.missing) == ("holds", 30, 0)
    assert judgement.p_holds == 2.0**-10  # of the weakest cell: no correction within a claim
    (cell, *_) = judgement.cells
    assert cell.fields == {"z_dim": 2}
    assert cell.difference == pytest.approx(1)
    assert (cell.low, cell.high) == (pytest.approx(1), pytest.approx(1))
    assert cell.delta == 1


@pytest.mark.parametrize(
    "claim", [compare(-1), compare(group={"model": "vae"}, than={"model": "mim"})]
)
def test_a_false_claim_fails(claim: Claim) -> None:
    judgement = one(claim, TRUE)
    assert judgement.verdict == "fails"
    assert judgement.p_fails == 3 * 2.0**-10
    assert judgement.decisive is not None


@pytest.mark.parametrize("runs", [EQUAL, TIED], ids=["no difference", "ties"])
def test_no_difference_is_undecided_both_ways(runs: pd.DataFrame) -> None:
    for sign in (1, -1):
        judgement = one(compare(sign), runs)
        assert judgement.verdict == "undecided"
        assert judgement.reason == "the seeds don't decide it either way"
    if runs is TIED:
        assert (judgement.p_holds, judgement.p_fails) == (1, 1)


def test_some_ties_do_not_hinder() -> None:
    runs = complete(mi=lambda model, z, seed: (model == "mim") * min(seed, 3))
    assert one(compare(), runs).verdict == "holds"


def test_one_cell_against_it_makes_a_claim_fail() -> None:
    runs = complete(mi=lambda model, z, seed: (model == "mim") * (-1 if z == 8 else 1))
    judgement = one(compare(), runs)
    assert judgement.verdict == "fails"
    assert judgement.decisive is not None
    assert judgement.decisive.fields == {"z_dim": 8}
    assert one(compare(where=[("z_dim", "<", 8)]), runs).verdict == "holds"


@pytest.mark.parametrize("drop", ["mim-4-3", "vae-4-3"])
def test_a_missing_run_is_told_and_leaves_the_claim_undecided(drop: str) -> None:
    judgement = one(compare(), TRUE[TRUE["run_key"] != drop])
    assert (judgement.verdict, judgement.reason) == ("undecided", "1 of 30 pairs are missing")
    assert judgement.pairs == 29


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize(
    "claim",
    [
        compare(),
        compare(group={"model": "vae"}, than=1.0),
        compare(group={}, than=None, along="z_dim", where=[("model", "=", "vae")]),
    ],
    ids=["groups", "number", "trend"],
)
def test_a_value_that_is_not_finite_is_told_apart_from_a_missing_run(
    claim: Claim, value: float
) -> None:
    runs = complete(mi=lambda model, z, seed: value if (model, seed) == ("vae", 2) else seed)
    total = 10 if claim.along else 30
    wrong = total // 10
    judgement = one(claim, runs)
    assert judgement.reason == f"mi is no finite number in {wrong} of {total} pairs"
    assert (judgement.missing, judgement.not_finite) == (0, wrong)
    assert judgement.pairs == total - wrong
    judgement = one(claim, runs[runs["run_key"] != "vae-4-3"])
    assert judgement.reason == (
        f"1 of {total} pairs are missing, and mi is no finite number in {wrong} of {total} pairs"
    )
    assert (judgement.missing, judgement.not_finite) == (1, wrong)


def test_a_missing_run_beside_one_that_is_not_finite_is_missing() -> None:
    runs = complete(mi=lambda model, z, seed: np.inf if (model, seed) == ("vae", 2) else seed)
    judgement = one(compare(), runs[runs["run_key"] != "mim-4-2"])
    assert (judgement.missing, judgement.not_finite) == (1, 2)


def test_no_run_at_all() -> None:
    judgement = one(compare(), TRUE.iloc[:0])
    assert judgement.reason == "30 of 30 pairs are missing"
    assert judgement.decisive is None


def test_a_claim_on_no_run_of_the_sweep() -> None:
    judgement = one(compare(where=[("z_dim", ">", 100)]), TRUE)
    assert (judgement.verdict, judgement.cells) == ("undecided", ())
    assert judgement.reason == "no run of the sweep is what it speaks of"


def test_runs_that_no_claim_asks_for_may_be_missing() -> None:
    few = TRUE[~TRUE["run_key"].str.contains("-2-")]
    assert one(compare(where=[("z_dim", ">=", 4)]), few).verdict == "holds"


def test_a_field_that_follows_from_the_group_is_no_cell() -> None:
    plan = planned()
    plan["warmup"] = plan["model"].map({"mim": 3, "vae": 25})
    (judgement,) = judge([compare()], plan, TRUE)
    assert (judgement.verdict, judgement.pairs) == ("holds", 30)


def test_comparison_with_a_number() -> None:
    less = compare(-1, group={"model": "vae"}, than=2)
    assert one(less, TRUE).verdict == "holds"
    assert one(compare(group={"model": "vae"}, than=2), TRUE).verdict == "fails"


def test_one_metric_is_compared_with_another() -> None:
    """A lower bound of the one above an upper bound of the other."""
    bounds = TRUE.assign(mi_lower=TRUE["mi"] - 0.1, mi_upper=TRUE["mi"] + 0.1)
    certain = compare(metric="mi_lower", than_metric="mi_upper")
    judgement = one(certain, bounds)
    assert judgement.verdict == "holds"
    assert judgement.cells[0].difference == pytest.approx(0.8)
    assert "difference of mi_lower and mi_upper 0.8" in cell_text(judgement)
    assert claim_text(certain) == "mi_lower of model = mim greater than mi_upper of model = vae"
    wide = bounds.assign(mi_upper=TRUE["mi"] + 2)
    assert one(certain, wide).verdict == "fails"


def test_a_metric_that_no_run_has_is_told() -> None:
    certain = compare(metric="mi_lower", than_metric="mi_upper")
    for runs in (TRUE, TRUE.assign(mi_lower=TRUE["mi"], mi_upper=np.nan)):
        judgement = one(certain, runs)
        assert judgement.verdict == "undecided"
        lacking = "mi_upper" if "mi_lower" in runs else "mi_lower"
        assert judgement.reason == f"no run has {lacking}; `mimsweep measure` measures runs anew"


def test_trends() -> None:
    runs = complete(mi=lambda model, z, seed: (z if model == "mim" else -z) + 0.1 * seed)
    where = [("model", "=", "vae")]
    trend: dict[str, Any] = {"group": {}, "than": None, "along": "z_dim"}
    falls = one(compare(-1, **trend, where=where), runs)
    assert (falls.verdict, falls.pairs) == ("holds", 10)
    assert falls.cells[0].delta == -1
    assert falls.cells[0].difference == pytest.approx(-6)
    assert one(compare(1, **trend, where=where), runs).verdict == "fails"
    # Without `where` it speaks of both models, and only one falls.
    both = one(compare(-1, **trend), runs)
    assert (both.verdict, len(both.cells)) == ("fails", 2)
    gap = one(compare(-1, **trend, where=where), runs[runs["run_key"] != "vae-4-3"])
    assert gap.reason == "1 of 10 pairs are missing"


def test_a_trend_speaks_of_cells_where_its_field_has_several_values() -> None:
    """VAE has all sizes, MIM one: nothing is said of MIM, and nothing for or against the claim."""
    plan = planned()
    plan = plan[(plan["model"] == "vae") | (plan["z_dim"] == 4)]
    runs = complete(mi=lambda model, z, seed: z + 0.1 * seed)
    trend: dict[str, Any] = {"group": {}, "than": None, "along": "z_dim"}
    (judgement,) = judge([compare(1, **trend)], plan, runs)
    assert (judgement.verdict, len(judgement.cells)) == ("holds", 1)
    where = [("model", "=", "mim")]
    (judgement,) = judge([compare(1, **trend, where=where)], plan, runs)
    assert judgement.verdict == "undecided"
    assert judgement.reason == (
        "no run of the sweep is, with another value of z_dim, beside one that it speaks of"
    )


def test_a_flat_line_has_no_trend() -> None:
    trend = compare(-1, group={}, than=None, along="z_dim")
    assert one(trend, TIED).verdict == "undecided"


def test_the_more_claims_the_more_it_takes() -> None:
    alone = judge([compare()], planned(), TRUE)
    crowd = judge([compare()] * 60, planned(), TRUE)
    assert [each.verdict for each in alone] == ["holds"]
    assert {each.verdict for each in crowd} == {"undecided"}
    assert crowd[0].p_holds == pytest.approx(60 * 2.0**-10)


def test_too_few_seeds_for_so_many_claims_are_told() -> None:
    crowd = judge([compare()] * 52, planned(), TRUE)
    assert crowd[0].verdict == "undecided"
    assert crowd[0].reason.endswith(": among 52 claims it needs 11 seeds at least")
    fewer = judge([compare()] * 51, planned(), TRUE)
    assert fewer[0].verdict == "holds"
    assert [seeds_needed(0.05 / claims) for claims in (51, 3, 1)] == [10, 6, 5]


def test_the_order_of_runs_changes_nothing() -> None:
    shuffled = TRUE.sample(frac=1, random_state=0)
    assert judge([compare()], planned().sample(frac=1, random_state=1), shuffled) == judge(
        [compare()], planned(), TRUE
    )


ALPHAS = [
    {"run_key": f"{model}-{alpha}-{seed}", "model": model, "alpha": alpha, "seed": seed}
    for model, alphas in (("wae", (0.1, 1.0)), ("vae", (np.nan,)))
    for alpha in alphas
    for seed in SEEDS
]
"""Runs of which some lack a field."""


@pytest.mark.parametrize("sign", [1, -1])
def test_runs_that_lack_a_field_are_compared_with_those_of_each_of_its_values(
    sign: Literal[1, -1],
) -> None:
    plan = pd.DataFrame(ALPHAS)
    runs = plan[["run_key"]].assign(mi=[float(key.startswith("wae")) for key in plan["run_key"]])
    groups = ({"model": "wae"}, {"model": "vae"})
    one, other = groups if sign == 1 else groups[::-1]
    (judgement,) = judge([compare(sign, group=one, than=other)], plan, runs)
    assert [cell.fields for cell in judgement.cells] == [{"alpha": 0.1}, {"alpha": 1.0}]
    assert (judgement.verdict, judgement.pairs) == ("holds", 20)


@pytest.mark.parametrize("op", ["!=", ">", "<="])
def test_a_condition_on_a_field_leaves_out_the_runs_that_lack_it(op: str) -> None:
    plan = pd.DataFrame(ALPHAS)
    runs = plan[["run_key"]].assign(mi=1.0)
    claim = compare(group={"model": "vae"}, than=0.5, where=[("alpha", op, 0.5)])
    (judgement,) = judge([claim], plan, runs)
    assert judgement.cells == ()


def test_an_order_is_of_numbers_where_a_name_has_texts_too() -> None:
    plan = pd.DataFrame(ALPHAS)
    plan["alpha"] = plan["alpha"].astype(object).where(plan["model"] != "vae", "much")
    runs = plan[["run_key"]].assign(mi=1.0)
    claim = compare(group={}, than=0.5, where=[("alpha", ">=", 0.05)])
    (judgement,) = judge([claim], plan, runs)
    assert judgement.pairs == sum(plan["model"] == "wae")


def test_more_seeds_are_not_forecast_for_a_claim_on_certain_ones() -> None:
    few = complete(mi=lambda model, z, seed: (model == "mim") * (-1) ** seed + 0.1 * seed)
    assert one(compare(where=[("seed", ">", 2)]), few).forecast is not None
    assert one(compare(where=[("seed", "<=", 6)]), few).forecast is None
