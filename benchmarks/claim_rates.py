"""Simulates how often claims are wrongly said to hold or to fail, and how often true ones hold.

    python benchmarks/claim_rates.py [--draws 4000] [--json]

Each form of claim is tested, as `mimsweep verify` does, on drawn numbers of ten seeds. "Wrongly"
is at the border of what it claims, where it is hardest to be right: a difference that is the
margin; two neighbours that rank equally; of cells as many far on the right side as a claim that is
wrong can have, the others at 0. Numbers have spread 1 and, in all cells, a half of their variance
in common. "heavy": of Student's t with 3 degrees of freedom; "ties": rounded to quarters; "skewed":
exponential, at the border by their pseudomedian, which is what the test is of. Of several claims it
is wrong if any is, and where all are true their mean is told.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from machine import table
from numpy.typing import NDArray

from mimsweep.dashboards.statistics.claims.claim import Claim
from mimsweep.dashboards.statistics.claims.forms import in_cell, in_cells
from mimsweep.dashboards.statistics.ranks import holm
from mimsweep.dashboards.statistics.verdicts import ALPHA

Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]
SEEDS = (5, 10, 20)
LOOKS = (10, 20, 40)
LOOKED = ("`greater`, 1 cell", "`within: 1`", "`holds_in: 9 of 10 cells`")
FAR = 5.0
PSEUDOMEDIAN = 0.839  # of an exponential number: (1 + 2m) exp(-2m) = 1/2


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Returns numbers of spread 1."""
    return rng.normal(size=shape)


def heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Returns numbers with far outliers."""
    return rng.standard_t(3, size=shape)


def ties(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Returns numbers many of which are equal, or 0."""
    return np.round(4 * rng.normal(size=shape)) / 4


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Returns numbers whose differences from their pseudomedian are not symmetric."""
    return rng.exponential(size=shape) - PSEUDOMEDIAN


NOISES = {noise.__name__: noise for noise in (normal, heavy, ties, skewed)}


@dataclass(frozen=True)
class Case:
    """Claims of one form, and where the numbers of their cells lie.

    Attributes:
        name: of the form.
        claims: that are tested together.
        holds: of each cell, the shift at which it is only just wrong to say that they hold.
        fails: likewise, that they fail.
        true: where they hold.
    """

    name: str
    claims: list[Claim]
    holds: Sequence[Any]
    fails: Sequence[Any]
    true: Sequence[Any]


def claim(sign: Literal[1, 0, -1] = 1, **more: Any) -> Claim:  # noqa: ANN401
    """Returns a claim on differences."""
    return Claim("", "mi", sign, {}, **more)


def cases() -> list[Case]:
    """Returns a case for each form."""
    nine = claim(holds_in=(9, 10))
    three = claim(ranks=("a", "b", "c"), over="model")
    four = claim(ranks=("a", "b", "c", "d"), over="model")
    return [
        Case("`greater`, 1 cell", [claim()], [0.0], [0.0], [1.0]),
        Case("`greater`, 5 cells", [claim()], [0.0, *[FAR] * 4], [0.0] * 5, [1.0] * 5),
        Case("`greater_by: 0.5`", [claim(margin=0.5)], [0.5], [0.5], [1.5]),
        Case("`less_by: -0.5`", [claim(-1, margin=-0.5)], [0.5], [0.5], [-0.5]),
        Case("`within: 1`", [claim(0, margin=1.0)], [1.0], [1.0], [0.0]),
        Case("`within: 0.1`", [claim(0, margin=0.1)], [0.1], [0.1], [0.0]),
        Case("`holds_in: 9 of 10 cells`", [nine], [0.0] * 2 + [FAR] * 8, [-FAR] + [0.0] * 9,
             [1.0] * 10),
        Case("`ranks` of 3, equal", [three], [[0.0] * 3], [[0.0] * 3], [[2.0, 1.0, 0.0]]),
        Case("`ranks` of 4, two equal", [four], [[2 * FAR, FAR, 0.0, 0.0]],
             [[2 * FAR, FAR, 0.0, 0.0]], [[3.0, 2.0, 1.0, 0.0]]),
        Case("10 claims", [claim()] * 10, [0.0], [0.0], [1.0]),
    ]  # fmt: skip


def shares(
    case: Case, shifts: Sequence[Any], seeds: int, draws: int, noise: Noise
) -> tuple[float, float, float]:
    """Returns how often some claim of a case holds, some fails, and the share of them that hold."""
    rng, at = np.random.default_rng(0), np.array(shifts)
    found = np.zeros(3)
    for _ in range(draws):
        p = []
        for each in case.claims:
            numbers = noise(rng, (len(at), seeds, *at.shape[1:]))
            if len(at) > 1:
                numbers = (numbers + noise(rng, numbers.shape[1:])) / np.sqrt(2)
            cells = np.array([in_cell(each, cell) for cell in at[:, None] + numbers])
            p.append([float(value) for value in in_cells(each, *cells.T)])
        holds, fails = (np.array(holm(side)) <= ALPHA for side in zip(*p, strict=True))
        found += [holds.any(), fails.any(), holds.mean()]
    some_holds, some_fails, share = found / draws
    return float(some_holds), float(some_fails), float(share)


def rates(draws: int) -> list[dict[str, Any]]:
    """Returns the numbers of the table, a row per case."""
    rows = []
    for case in cases():
        row: dict[str, Any] = {"claim": case.name}
        for name, noise in NOISES.items():
            known = name != "skewed" or (len(case.holds) == 1 and not case.claims[0].ranks)
            row[f"holds_{name}"] = shares(case, case.holds, 10, draws, noise)[0] if known else None
        row["fails"] = shares(case, case.fails, 10, draws, normal)[1]
        for seeds in SEEDS:
            row[f"true_{seeds}"] = shares(case, case.true, seeds, draws, normal)[2]
        rows.append(row)
    return rows


def looked(case: Case, shifts: Sequence[Any], draws: int) -> tuple[float, float]:
    """Returns how often a claim holds at some look: at a share of the level each, and at 5 %."""
    (each,) = case.claims
    rng, at, found = np.random.default_rng(0), np.array(shifts), np.zeros(2)
    for _ in range(draws):
        numbers = normal(rng, (len(at), LOOKS[-1], *at.shape[1:]))
        if len(at) > 1:
            numbers = (numbers + normal(rng, numbers.shape[1:])) / np.sqrt(2)
        least = 1.0
        for seeds in LOOKS:
            cells = [in_cell(each, cell) for cell in (at[:, None] + numbers)[:, :seeds]]
            least = min(least, float(in_cells(each, *np.array(cells).T)[0]))
        found += [least <= ALPHA / len(LOOKS), least <= ALPHA]
    corrected, uncorrected = found / draws
    return float(corrected), float(uncorrected)


def looks(draws: int) -> list[dict[str, Any]]:
    """Returns the numbers of the table on seeds that are added until a claim is decided."""
    chosen = [case for case in cases() if case.name in LOOKED]
    rows = []
    for case in chosen:
        corrected, uncorrected = looked(case, case.holds, draws)
        true, _ = looked(case, case.true, draws)
        rows.append(
            {"claim": case.name, "corrected": corrected, "uncorrected": uncorrected, "true": true}
        )
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--json", action="store_true", help="for scripts")
    options = parser.parse_args()
    told = {"forms": rates(options.draws), "looks": looks(options.draws)}
    if options.json:
        print(json.dumps(told))
        return
    heads = ["", *(f"wrongly holds, {name}" for name in NOISES), "wrongly fails"]
    print_table([*heads, *(f"true: holds, {seeds} seeds" for seeds in SEEDS)], told["forms"])
    at = f"at {', '.join(map(str, LOOKS))} seeds"
    heads = ["", f"wrongly holds {at}, each at 5 % / {len(LOOKS)}", "each at 5 %", "true: holds"]
    print_table(heads, told["looks"])
    error = percent(np.sqrt(ALPHA * (1 - ALPHA) / options.draws))
    print(f"{options.draws} draws each; standard error of 5.0 %: {error}.")


def print_table(heads: list[str], rows: list[dict[str, Any]]) -> None:
    """Prints a table and an empty line."""
    print(table(heads, [[row["claim"], *map(percent, list(row.values())[1:])] for row in rows]))
    print()


def percent(share: float | None) -> str:
    """Returns a share for people."""
    return "–" if share is None else f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
