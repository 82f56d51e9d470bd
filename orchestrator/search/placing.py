"""Where new runs train: in cohorts that train already, or in new ones."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.planning import PlannedCohort, agreement, by_agreement
from mimsweep.orchestrator.running.dispatch import Dispatcher


@dataclass
class _Stack:
    """A cohort to be: `number` if it trains already, with so many live runs."""

    number: int | None = None
    size: int = 0
    new: list[RunSpec] = field(default_factory=list)


def place(dispatcher: Dispatcher, runs: Sequence[RunSpec], limit: Callable[[RunSpec], int]) -> None:
    """Has runs trained, each in the smallest cohort that it may join.

    Free slots count as empty cohorts, so that the work is spread over all slots; where all cohorts
    are full, new ones wait for a slot.

    Args:
        dispatcher: gets them.
        runs: not in training yet.
        limit: says how many runs like a given one a cohort may have.
    """
    groups = by_agreement(runs)
    for index, group in enumerate(groups):
        stacks = _joinable(dispatcher, group[0])
        slots = math.ceil(max(dispatcher.idle, 0) / (len(groups) - index))
        stacks += [_Stack() for _ in range(slots)]
        _spread(group, stacks, limit(group[0]))
        for stack in stacks:
            if stack.number is not None and stack.new:
                dispatcher.join(stack.number, stack.new)
            elif stack.new:
                dispatcher.add(PlannedCohort(tuple(stack.new)))


def _joinable(dispatcher: Dispatcher, run: RunSpec) -> list[_Stack]:
    return [
        _Stack(number, len(live))
        for number, live in dispatcher.in_training().items()
        if live and agreement(live[0]) == agreement(run)
    ]


def _spread(runs: Sequence[RunSpec], stacks: list[_Stack], limit: int) -> None:
    for run in runs:
        room = [stack for stack in stacks if stack.size < limit]
        if not room:
            room = [_Stack()]
            stacks += room
        smallest = min(room, key=lambda stack: stack.size)
        smallest.new.append(run)
        smallest.size += 1
