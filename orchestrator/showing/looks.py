"""Seeds are added until a sweep's claims are decided: when they are judged, and at which level.

Claims are looked at when the sweep has the seeds of its file, twice as many, four times and so on,
and at last the most that it may have. All looks are known before the first, and at each of L looks
the level is 5 % / L (Bonferroni), to which Holm's correction over the claims is held. So the chance
that any claim is ever wrongly said to hold (or to fail) is at most 5 %, whenever one stops. The
first verdict on a claim counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.sweep import MAX_RUNS, Sweep
from mimsweep.orchestrator.showing.listing import open_list, others

if TYPE_CHECKING:
    import pandas as pd

    from mimsweep.dashboards.statistics.claims.claim import Judgement
    from mimsweep.orchestrator.running.policy import Options, Outcome


@dataclass(frozen=True)
class Looks:
    """When a sweep is looked at.

    Attributes:
        sweeps: the sweep with the seeds of each look.
    """

    sweeps: Sequence[Sweep]

    @property
    def level(self) -> float:
        """Of each."""
        from mimsweep.dashboards.statistics.verdicts import ALPHA

        return ALPHA / len(self.sweeps)

    @property
    def seeds(self) -> list[int]:
        """How many each has."""
        return [len(sweep.seeds) for sweep in self.sweeps]

    def judge(self, complete: pd.DataFrame, most: int | None = None) -> Verified:
        """Returns the first verdict on each claim, else that of the last look.

        Args:
            complete: a row per complete run. No look is taken whose runs are not all there, but
                the first.
            most: looks that are taken; by default all that can be.
        """
        from mimsweep.orchestrator.showing.judge import judge

        keys, taken = {*complete["run_key"]}, 0
        found: list[Judgement] = []
        for sweep in self.sweeps[:most]:
            whole = all(run.key_among(keys) in keys for run in sweep.runs)
            if taken and not (whole and could_be_decided(found)):
                break
            judged = judge(sweep, complete, self.level)
            before = found or judged
            found = [
                new if old.verdict == "undecided" else old
                for old, new in zip(before, judged, strict=True)
            ]
            taken += 1
        return Verified(self, found, taken, others(self.sweeps[taken - 1], keys))


@dataclass(frozen=True)
class Verified:
    """What `mimsweep verify` finds.

    Attributes:
        looks: at which the claims were judged.
        judgements: the verdict on each.
        taken: of the looks, from the first.
        lines: that are to be said beside.
    """

    looks: Looks
    judgements: Sequence[Judgement]
    taken: int
    lines: Sequence[str]

    @property
    def all_hold(self) -> bool:
        """Whether all claims do."""
        return all(each.verdict == "holds" for each in self.judgements)

    @property
    def line(self) -> str:
        """When they were judged, for people; empty of one look."""
        *first, last = map(str, self.looks.seeds)
        if not first:
            return ""
        level = f"{100 * self.looks.level:.2g} %"
        at = f"looks at {', '.join(first)} and {last} seeds, each at a level of {level}"
        return f"{at}; taken so far: {self.taken}"

    def to_json(self) -> dict[str, Any]:
        """Returns what `mimsweep verify --json` prints."""
        from mimsweep.orchestrator.showing.judge import to_json

        return {
            "sweep": self.looks.sweeps[0].name,
            "all_hold": self.all_hold,
            "level": self.looks.level,
            "looks": self.looks.seeds,
            "taken": self.taken,
            "claims": [to_json(each) for each in self.judgements],
        }


def could_be_decided(judgements: Sequence[Judgement]) -> bool:
    """Returns whether more seeds could decide a claim."""
    return any(each.seeds_could_decide for each in judgements)


def verify(sweep: Sweep, uri: str, most: int | None) -> Verified:
    """Returns the verdict on each claim of a sweep.

    Args:
        sweep: with claims.
        uri: of the store.
        most: seeds that it may have, if claims are judged as seeds are added.

    Raises:
        SpecError: it has no claims, or no seeds can be added.
        TrackingError: the store can't be read, or is not there.
    """
    looks = looks_at(sweep, most)
    return looks.judge(open_list(uri, needed=True).frame(sweep.name))


def looks_at(sweep: Sweep, most: int | None) -> Looks:
    """Returns when a sweep is looked at.

    Args:
        sweep: with claims.
        most: seeds that it may have; None for those of its file, and one look.

    Raises:
        SpecError: it has no claims or as many seeds already, or no seeds can be added.
    """
    from mimsweep.orchestrator.showing.judge import require_claims

    require_claims(sweep)
    if most is None:
        return Looks([sweep])
    count = len(sweep.seeds)
    if most <= count:
        what = f"--seeds-until-decided {most}: it must be more"
        raise SpecError(f"{sweep.name}: {what} than the {count} that the sweep has")
    if len(sweep.runs) // count * most > MAX_RUNS:
        raise SpecError(f"--seeds-until-decided {most}: these are more than {MAX_RUNS:,} runs")
    counts = [count]
    while counts[-1] < most:
        counts.append(min(2 * counts[-1], most))
    return Looks([sweep.with_seeds(each) for each in counts])


def run_until_decided(
    sweep: Sweep, most: int, options: Options, say: Callable[[str], object]
) -> tuple[Sweep, Outcome]:
    """Trains what is missing of a sweep, and more seeds until its claims are decided.

    Args:
        sweep: with claims.
        most: seeds that it may have.
        options: of the training.
        say: a line on each look.

    Returns:
        The sweep with the seeds of the last look, and what training it came to: no further look is
        taken if runs failed, or it was asked to stop.

    Raises:
        MimsweepError: as of `run_sweep` and `looks_at`.
    """
    from mimsweep.orchestrator.running.progress import view
    from mimsweep.orchestrator.running.run import run_sweep

    looks = looks_at(sweep, most)
    if options.fresh:
        raise SpecError(
            "--fresh and --seeds-until-decided: the second look would train the first one's seeds "
            f"once more; train all {most} anew before, by --set seed=… --fresh"
        )
    for taken, look in enumerate(looks.sweeps, start=1):
        with view() as shown:
            outcome = run_sweep(look, options, shown)
        if outcome.interrupted or outcome.failed:
            break
        complete = open_list(options.tracking_uri).frame(sweep.name)
        verified = looks.judge(complete, taken)  # later ones may be at runs that are stale
        found = verified.judgements
        left = sum(each.verdict == "undecided" for each in found)
        decided = f"{len(found) - left} of {len(found)} claims are decided"
        say(f"{sweep.name}: with {looks.seeds[verified.taken - 1]} seeds {decided}")
        if not could_be_decided(found):
            break
    return look, outcome
