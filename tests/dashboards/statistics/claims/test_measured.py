"""Verdicts on margins, equivalence, ranks and some of the cells, with known answers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mimsweep.dashboards.statistics.claims.claim import Claim, Judgement
from mimsweep.dashboards.statistics.verdicts import judge
from mimsweep.dashboards.statistics.wording import cell_text, claim_text
from tests.dashboards.statistics.judged import TRUE, compare, complete, one, planned


def apart(far: dict[int, float]) -> pd.DataFrame:
    """MIM's MI is so far above VAE's at each latent size, give or take 0.02."""
    return complete(
        mi=lambda model, z, seed: (
            seed + (model == "mim") * (far[z] + 0.02 * (-1) ** seed + 1e-3 * seed)
        )
    )


@pytest.mark.parametrize(
    ("sign", "margin", "verdict"),
    [
        (1, 0.4, "holds"),
        (1, 0.6, "fails"),
        (1, -0.4, "holds"),  # no worse than by 0.4
        (1, 0.5, "undecided"),
        (-1, -0.4, "fails"),
        (-1, -0.6, "holds"),
        (0, 0.6, "holds"),
        (0, 0.4, "fails"),
        (0, 0.5, "undecided"),
    ],
)
def test_by_how_much(sign: Any, margin: float, verdict: str) -> None:
    runs = apart(dict.fromkeys((2, 4, 8), 0.4945))
    judgement = one(compare(sign, margin=margin), runs)
    assert judgement.verdict == verdict
    assert judgement.cells[0].difference == pytest.approx(0.5, abs=0.01)


def test_two_of_three_cells() -> None:
    runs = apart({2: 0.5, 4: 0.5, 8: -0.5})
    assert one(compare(holds_in=(3, 3)), runs).verdict == "fails"
    some = one(compare(holds_in=(2, 3)), runs)
    assert (some.verdict, some.reason) == ("holds", "as claimed in 2 of 3 cells at least")
    assert some.p_holds == 2 * 2.0**-10
    assert some.p_fails == 1
    assert some.decisive is not None
    assert some.decisive.fields == {"z_dim": 4}
    against = one(compare(-1, holds_in=(2, 3)), runs)
    assert (against.verdict, against.p_fails) == ("fails", 2 * 2.0**-10)
    assert against.reason == "2 cells or more show the opposite"
    assert claim_text(some.claim).endswith("model = vae, in 2 of 3 cells")
    assert "weakest of 2 at z_dim = 4" in cell_text(some)


def test_a_claim_on_another_number_of_cells_is_undecided_and_weighs_on_no_other() -> None:
    other, own = judge([compare(holds_in=(9, 10)), compare()], planned(), TRUE)
    assert (other.verdict, other.p_holds) == ("undecided", 1)
    assert other.reason == "it speaks of 10 cells, and the sweep has 3"
    assert own.verdict == "holds"


MODELS = ("mim", "amim", "vae")


def ranked(*values: str, **more: Any) -> Claim:
    return Claim("c", "mi", 1, {}, ranks=values or MODELS, over="model", **more)


def ranks(claim: Claim, metric: Any, seeds: int = 10) -> Judgement:
    """A run's metric is a function of (model, z_dim, seed)."""
    rows = [
        {"model": model, "z_dim": z, "seed": seed, "warmup": 3 if model == "mim" else 25}
        for model in MODELS
        for z in (2, 4)
        for seed in range(seeds)
    ]
    plan = pd.DataFrame(rows).assign(run_key=[str(i) for i in range(len(rows))])
    values = [float(metric(row["model"], row["z_dim"], row["seed"])) for row in rows]
    (judgement,) = judge([claim], plan, plan[["run_key"]].assign(mi=values))
    return judgement


def test_ranks() -> None:
    height = {"mim": 2.0, "amim": 1.0, "vae": 0.0}
    judgement = ranks(ranked(), lambda model, z, seed: height[model] + seed * z)
    assert (judgement.verdict, judgement.pairs, len(judgement.cells)) == ("holds", 20, 2)
    assert judgement.p_holds == 3 * 2.0**-10  # Holm's of three pairs; Friedman's is smaller
    assert judgement.cells[0].fields == {"z_dim": 2}
    assert (judgement.cells[0].difference, judgement.cells[0].delta) == (pytest.approx(2), 1)
    turned = ranks(ranked("mim", "vae", "amim"), lambda model, z, seed: height[model] + seed)
    assert turned.verdict == "fails"
    assert turned.p_fails == 2 * 3 * 2.0**-10
    assert claim_text(turned.claim) == "mi ranks model mim > vae > amim"


def test_ranks_that_one_pair_does_not_show_are_undecided() -> None:
    judgement = ranks(ranked(), lambda model, z, seed: (model == "mim") + 0.1 * seed)
    assert judgement.verdict == "undecided"
    assert judgement.cells[0].p_holds == 1


def test_ranks_need_more_seeds_than_a_comparison() -> None:
    judgement = ranks(ranked(), lambda model, z, seed: -MODELS.index(model), seeds=4)
    (cell, _) = judgement.cells
    assert cell.p_holds == 3 * 2.0**-4
    judgement = ranks(ranked(), lambda model, z, seed: 0.0, seeds=4)
    assert judgement.cells[0].p_holds == 1
    few = ranks(ranked(), lambda model, z, seed: -MODELS.index(model), seeds=5)
    assert few.reason == "the seeds don't decide it either way: it needs 6 seeds at least"


def test_missing_and_infinite_values_of_ranks() -> None:
    judgement = ranks(
        ranked(), lambda model, z, seed: np.inf if (model, z, seed) == ("amim", 4, 3) else 1.0
    )
    assert judgement.reason == "mi is no finite number in 1 of 20 pairs"
