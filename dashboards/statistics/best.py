"""Which of several groups is best, and which can't be told from it, over runs of equal seeds.

The best has the best mean. Each other is compared with it, seed by seed, by Wilcoxon's signed-rank
test (two-sided; exact, ties and zeros included); Holm's correction runs over these comparisons. One
whose p isn't below 5 % is not statistically different: that is no proof that the two are equal, and
of fewer than six seeds none can be told from another.
"""

from collections.abc import Hashable, Mapping
from typing import Literal

import numpy as np
import pandas as pd

from mimsweep.dashboards.statistics.ranks import holm, signed_rank_two_sided
from mimsweep.dashboards.statistics.verdicts import ALPHA

Mark = Literal["best", "same", ""]


def marks(groups: Mapping[Hashable, pd.Series], sign: int) -> dict[Hashable, Mark]:
    """Returns a mark for each group: the best, those not different from it, the others.

    Args:
        groups: of each its values, in the metric's unit, by seed; those that are no finite number
            are left out.
        sign: 1 where more is better, −1 where less is, 0 where neither: then none has a mark.
    """
    finite = {name: values[np.isfinite(values)] for name, values in groups.items()}
    means = {name: sign * values.mean() for name, values in finite.items() if len(values)}
    found: dict[Hashable, Mark] = dict.fromkeys(groups, "")
    if not sign or len(means) < 2:
        return found
    best = max(means, key=lambda name: means[name])
    others = [name for name in means if name != best]
    p = holm([p_different(finite[best], finite[name]) for name in others])
    same = {name for name, each in zip(others, p, strict=True) if each >= ALPHA}
    return {**found, **dict.fromkeys(same, "same"), best: "best"}


def p_different(one: pd.Series, other: pd.Series) -> float:
    """Returns the two-sided p of the exact signed-rank test over the seeds that both have."""
    apart = (one - other).dropna().to_numpy(dtype=float)
    return signed_rank_two_sided(apart)
