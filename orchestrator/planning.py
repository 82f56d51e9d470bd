"""The plan of a sweep: what is left to train, in which cohorts, in which order."""

import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from mimsweep.orchestrator.costs import (
    CPU_SPEED,
    FASTER,
    LIMITS,
    cohort_limit,
    image_epoch,
    image_likelihood,
    is_eager,
    stack_cost,
)
from mimsweep.orchestrator.defaults import ORDER, Order
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.files.spec import VARIES_IN_COHORT, RunSpec

_ours = attrgetter(*(name for name in RunSpec.model_fields if name not in VARIES_IN_COHORT))

PRICE = "2 to 50 times (alone in a stack up to 110)"
"""Of steps of a user's loss with the formula of `vae` (docs/performance.md)."""

_SLOWER = 4
"""How much slower than estimated a cohort may be that is alive: other work may share the device."""

_SHORTEST_SILENCE = 1800.0
"""Seconds that any cohort may take until the first sign of life: data may have to be made."""

_SHORT = 20_000_000_000
"""A cohort of two seconds or so: to split it would cost more than it gains."""


def agreement(run: RunSpec) -> tuple[object, ...]:
    """Returns what the runs of a cohort agree on, of a run."""
    return (*_ours(run), *run.declared.items())


def by_agreement(runs: Iterable[RunSpec]) -> list[list[RunSpec]]:
    """Returns runs in groups that agree in all fields but `VARIES_IN_COHORT`."""
    groups: dict[tuple[object, ...], list[RunSpec]] = {}
    for run in runs:
        groups.setdefault(agreement(run), []).append(run)
    return list(groups.values())


@dataclass(frozen=True)
class PlannedCohort:
    """Runs to be trained together, as one stack; on a GPU as several, side by side.

    The runs of a stack agree in all fields but `VARIES_IN_COHORT`.
    """

    runs: tuple[RunSpec, ...]

    @property
    def size(self) -> int:
        """The number of runs."""
        return len(self.runs)

    @property
    def seeds(self) -> list[int]:
        """The seed of each run, in the order of the runs."""
        return [run.seed for run in self.runs]

    @property
    def spec(self) -> dict[str, Any]:
        """The fields of their model, other than the seed, that all the runs share."""
        return {
            field: value
            for field, value in self.runs[0].own_fields().items()
            if field != "seed" and all(getattr(run, field, None) == value for run in self.runs)
        }

    @property
    def label(self) -> str:
        """What the runs are, and how many, in a few words."""
        first = self.runs[0]
        inv_h = " inv_h" if first.inv_h else ""
        shape = f"z{first.z_dim}" if first.of_images else f"z{first.z_dim} m{first.mid_dim}"
        others = len(by_agreement(self.runs)) - 1
        more = f" and {others} other shapes" if others else ""
        nets = {part: getattr(first, part) for part in ("encoder", "decoder")}
        chosen = {part: name for part, name in nets.items() if name != "mlp"} | first.declared
        own = "".join(f" {field} {value}" for field, value in chosen.items())
        return f"{first.model}{inv_h}{own} {first.dataset} {shape}{more} ×{self.size}"

    @property
    def cost(self) -> float:
        """How long it trains, in multiplications: an order of magnitude, good for sorting only.

        Epochs × items × parameters of each run, and what comes beside. Early stopping is not
        foreseen.
        """
        return sum(map(stack_cost, by_agreement(self.runs)))

    def longest_silence(self, device: str) -> float:
        """Returns seconds in which it ends an epoch or measures a run, even on a slow machine.

        Args:
            device: "cpu" or "cuda".
        """
        if self.runs[0].of_images:
            most = max(max(image_epoch(run), image_likelihood(run)) for run in self.runs)
        else:
            most = self.cost / max(run.epochs for run in self.runs)
        slow = _SLOWER * most / (CPU_SPEED * FASTER[device])
        return max(_SHORTEST_SILENCE, float(round(slow)))

    def halves(self) -> tuple["PlannedCohort", "PlannedCohort"]:
        """Returns the first and the second half of a cohort of two runs or more."""
        if self.size < 2:
            raise ValueError("a cohort of one run has no halves")
        middle = self.size // 2
        return PlannedCohort(self.runs[:middle]), PlannedCohort(self.runs[middle:])


@dataclass(frozen=True)
class Plan:
    """What an invocation of `run` would do.

    Attributes:
        sweep: the sweep's name.
        runs: all runs of the sweep.
        complete: those that are complete already.
        cohorts: the others, longest first; or first those that give an overview.
    """

    sweep: str
    runs: tuple[RunSpec, ...]
    complete: tuple[RunSpec, ...]
    cohorts: tuple[PlannedCohort, ...]

    def cpu_seconds(self, slots: int) -> float:
        """Returns how long it takes at most, about, on so many cores of a CPU.

        Most runs stop early, but other work may share the cores.
        """
        costs = [cohort.cost for cohort in self.cohorts]
        return max(sum(costs) / max(slots, 1), max(costs, default=0.0)) / CPU_SPEED

    @property
    def eager(self) -> str:
        """Lines on the runs that compiled steps can't train, and the price; "" if none is left."""
        left = [run for cohort in self.cohorts for run in cohort.runs]
        lines = []
        if runs := [run for run in left if run.users_loss]:
            names = ", ".join(sorted({run.model for run in runs}))
            lines.append(
                f"{self.sweep}: eager steps: a user's loss ({names}), in {len(runs)} runs; on a "
                f"CPU they take {PRICE} the time of compiled ones"
            )
        if runs := [run for run in left if run.users_networks]:
            names = ", ".join(sorted({name for run in runs for name in run.users_networks}))
            lines.append(
                f"{self.sweep}: eager steps: a user's network ({names}), in {len(runs)} runs"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Returns what `mimsweep plan --json` prints."""
        return {
            "sweep": self.sweep,
            "runs": len(self.runs),
            "complete": len(self.complete),
            "to_run": len(self.runs) - len(self.complete),
            "cohorts": [
                {"size": cohort.size, "spec": cohort.spec, "seeds": cohort.seeds}
                for cohort in self.cohorts
            ],
        }


def plan(
    sweep_name: str,
    runs: Sequence[RunSpec],
    complete: Collection[str],
    cohort_size: int | None,
    device: str = "cpu",
    slots: int = 1,
    order: Order = ORDER,
) -> Plan:
    """Groups the runs that are not complete into cohorts, longest first.

    Args:
        sweep_name: the sweep's name.
        runs: all runs of the sweep, each once.
        complete: the run keys of those that need no training; other keys do no harm.
        cohort_size: how many runs a cohort may have; None leaves it to `cohort_limit`.
        device: "cpu" or "cuda", for `cohort_limit`.
        slots: how many cohorts train at once, for `_balanced`.
        order: "overview" for a seed of every cell before all others.

    Raises:
        SpecError: the cohort size is less than 1.
    """
    if cohort_size is not None and cohort_size < 1:
        raise SpecError(f"cohort size: {cohort_size} is not allowed; it must be at least 1")
    done_keys = frozenset(complete)
    done = tuple(run for run in runs if run.run_key in done_keys)
    left = [run for run in runs if run.run_key not in done_keys]
    stages = _overview(left, done) if order == "overview" else [left]
    cohorts = [each for stage in stages for each in _cohorts(stage, cohort_size, device, slots)]
    return Plan(sweep_name, tuple(runs), done, tuple(cohorts))


def _overview(left: Sequence[RunSpec], done: Sequence[RunSpec]) -> list[list[RunSpec]]:
    """Returns a run of each cell that has none yet, and the others; in a cell seeds differ."""

    def cell(run: RunSpec) -> tuple[object, ...]:
        others = (getattr(run, field) for field in VARIES_IN_COHORT if field != "seed")
        return (*agreement(run), *others)

    shown = {cell(run) for run in done}
    first = {cell(run): run for run in reversed(left) if cell(run) not in shown}
    chosen = {*first.values()}
    return [[run for run in left if (run in chosen) is early] for early in (True, False)]


def _cohorts(
    runs: Sequence[RunSpec], cohort_size: int | None, device: str, slots: int
) -> list[PlannedCohort]:
    """Groups runs into cohorts, longest first."""
    cohorts = [
        PlannedCohort(chunk)
        for group in by_agreement(runs)
        for chunk in _chunks(group, cohort_size or cohort_limit(group[0], device))
    ]
    if cohort_size is None and device == "cpu" and slots > 1:
        cohorts = _balanced(cohorts, slots)
    cohorts.sort(key=lambda cohort: -cohort.cost)
    if cohort_size is None and device == "cuda":
        cohorts = _side_by_side(cohorts, slots)
    return cohorts


def plan_search(search: Search, complete: int) -> dict[str, Any]:
    """Returns what `mimsweep plan --json` prints of a search: what it costs at most.

    Trials that are pruned, or have runs that are there already, make it less.

    Args:
        search: the search.
        complete: how many of its runs are complete.
    """
    return {
        "search": search.name,
        "trials": search.goal,
        "seeds": list(search.seeds),
        "parallel": min(search.parallel, search.goal),
        "epochs": search.most("epochs"),
        "runs": search.most_runs,
        "complete": complete,
        "to_run": max(search.most_runs - complete, 0),
    }


def _chunks(runs: Sequence[RunSpec], limit: int) -> list[tuple[RunSpec, ...]]:
    """Splits runs into as few chunks as the limit allows, their sizes at most one apart."""
    count = math.ceil(len(runs) / limit)
    ends = [len(runs) * chunk // count for chunk in range(count + 1)]
    return [tuple(runs[a:b]) for a, b in itertools.pairwise(ends)]


def _balanced(cohorts: Sequence[PlannedCohort], slots: int) -> list[PlannedCohort]:
    """Halves cohorts until none takes more than a quarter of a slot's share of all the work.

    So no slot idles long at the end. A run costs as much in a small stack, on a CPU, but where
    `models.steps.cpu` has no steps for it.
    """
    most = max(sum(cohort.cost for cohort in cohorts) / (4 * slots), _SHORT)
    waiting, balanced = list(reversed(cohorts)), []
    while waiting:
        cohort = waiting.pop()
        if cohort.size > 1 and cohort.cost > most and not is_eager(cohort.runs[0]):
            waiting += reversed(cohort.halves())
        else:
            balanced.append(cohort)
    return balanced


def _side_by_side(cohorts: Sequence[PlannedCohort], slots: int) -> list[PlannedCohort]:
    """Deals cohorts, dearest first, to the slots of GPUs: each trains its own at once.

    Image models stay alone.
    """
    stacks = [cohort for cohort in cohorts if not cohort.runs[0].of_images]
    most = LIMITS["cuda"][1]
    rounds = math.ceil(sum(cohort.size for cohort in stacks) / (most * slots))
    hands = [stacks[hand :: rounds * slots] for hand in range(min(rounds * slots, len(stacks)))]
    dealt = [PlannedCohort(tuple(run for cohort in hand for run in cohort.runs)) for hand in hands]
    images = [cohort for cohort in cohorts if cohort.runs[0].of_images]
    return sorted([*dealt, *images], key=lambda cohort: -cohort.cost)
