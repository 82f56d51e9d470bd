"""What a claim says of a metric, and what a test has found of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Claim:
    """What is claimed of a metric.

    Attributes:
        text: the sentence.
        metric: the column it is about.
        sign: 1 where the group's values are greater, rise or rank as listed, −1 where they are
            less or fall, 0 where they differ by less than `margin`.
        group: fields and values that choose the runs; empty for a trend or ranks.
        than: likewise those they are compared with, or a number; None for a trend or ranks.
        along: the field that the metric rises or falls with; None for a comparison.
        where: conditions (field, operator, value) on all these runs.
        than_metric: the column of those they are compared with, where it isn't `metric`.
        margin: by how much at least they are greater or less, in the metric's unit.
        holds_in: at least how many cells of how many it speaks of; None for every one.
        ranks: the values of `over`, three or more, from that of the greatest metric to the least.
        over: the field that is ranked.
    """

    text: str
    metric: str
    sign: Literal[1, 0, -1]
    group: Mapping[str, Any]
    than: Mapping[str, Any] | float | None = None
    along: str | None = None
    where: Sequence[tuple[str, str, Any]] = ()
    than_metric: str | None = None
    margin: float = 0.0
    holds_in: tuple[int, int] | None = None
    ranks: tuple[Any, ...] = ()
    over: str = ""

    @property
    def metrics(self) -> list[str]:
        """The columns that it needs."""
        return [self.metric, *([self.than_metric] if self.than_metric else [])]

    @property
    def of_certain_seeds(self) -> bool:
        """Whether it is about seeds to which none can be added."""
        return any(field == "seed" and op in ("=", "<", "<=") for field, op, _ in self.where)


@dataclass(frozen=True)
class Cell:
    """The test of a claim in one cell.

    Attributes:
        fields: the values that make it.
        seeds: the number that each seed gives, in their order; of ranks its values, as listed.
        not_finite: seeds that have all their runs, with a value that is no finite number.
        planned: seeds of the sweep.
        difference: mean over seeds of group − other, in the metric's unit; of a trend, of the last
            value along the field − the first; of ranks, of the first − the last.
        low: of the 95 % bootstrap interval of `difference`.
        high: likewise.
        delta: effect size from −1 to 1: Cliff's δ; of a trend the mean of Kendall's τ, of ranks
            that of τ with the order listed.
        p_holds: of the test that it is as claimed here, not corrected.
        p_fails: of the test that it is the other way round.
    """

    fields: dict[str, Any]
    seeds: tuple[Any, ...]
    not_finite: int
    planned: int
    difference: float
    low: float
    high: float
    delta: float
    p_holds: float
    p_fails: float

    @property
    def pairs(self) -> int:
        """Seeds that have all their runs, with finite values."""
        return len(self.seeds)


@dataclass(frozen=True)
class Forecast:
    """With how many seeds an undecided claim would be decided; None if more than were tried."""

    seeds: int | None


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim; both p are corrected by Holm over the claims judged with it.

    Attributes:
        claim: that is judged.
        verdict: on it.
        reason: of the verdict, in words.
        p_holds: of the test that it is as claimed.
        p_fails: of the test that it is the other way round.
        cells: that it speaks of.
        tested: whether all runs are there that it speaks of, with finite values.
        forecast: of one that they don't decide.
    """

    claim: Claim
    verdict: Verdict
    reason: str
    p_holds: float
    p_fails: float
    cells: tuple[Cell, ...]
    tested: bool = False
    forecast: Forecast | None = None

    @property
    def seeds_could_decide(self) -> bool:
        """Whether it is undecided though all is there, and more seeds can be had."""
        return self.verdict == "undecided" and self.tested and not self.claim.of_certain_seeds

    @property
    def pairs(self) -> int:
        """Pairs in all cells."""
        return sum(cell.pairs for cell in self.cells)

    @property
    def missing(self) -> int:
        """Pairs that the sweep plans and that are not there."""
        return sum(cell.planned - cell.pairs for cell in self.cells) - self.not_finite

    @property
    def not_finite(self) -> int:
        """Pairs that are there, with a value that is no finite number."""
        return sum(cell.not_finite for cell in self.cells)

    @property
    def decisive(self) -> Cell | None:
        """The cell that says most.

        Of those that a claim needs the weakest; of one that fails, of those that it takes against
        it. Cells of equal p are told apart by their effect.
        """
        tested = [cell for cell in self.cells if cell.pairs]
        if not tested:
            return None
        count = len(self.cells)
        least = self.claim.holds_in[0] if self.claim.holds_in else count
        if self.verdict == "fails":
            return sorted(tested, key=lambda c: (c.p_fails, self._effect(c)))[count - least]
        strongest = sorted(tested, key=lambda c: (c.p_holds, -self._effect(c)))
        return strongest[min(least, len(tested)) - 1]

    def _effect(self, cell: Cell) -> float:
        sign = self.claim.sign
        return sign * cell.delta if sign else -abs(cell.difference)
