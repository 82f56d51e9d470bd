"""How a search searches: Optuna's samplers and pruners, as a search file names them."""

import random
import zlib
from contextlib import suppress
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection

from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.files.space import Dimension

_PROPOSALS = 20
"""Of points that are known, before one is taken: its runs are there, so it costs nothing."""


def directions(search: Search) -> list[StudyDirection]:
    """Returns the direction of each objective."""
    return [StudyDirection[objective.direction.upper()] for objective in search.objectives]


def grid(search: Search) -> list[dict[str, Any]]:
    """Returns all points, in an order in which a part of them is spread over the space.

    Optuna's own grid sampler can't be told of trials that were enqueued, as those of a dead process
    are.
    """
    points: list[dict[str, Any]] = [{}]
    for name, dimension in search.space.items():
        points = [{**point, name: value} for point in points for value in dimension.grid or ()]
    random.Random(search.name).shuffle(points)  # noqa: S311
    return points


def new_point(
    study: optuna.Study,
    search: Search,
    distributions: dict[str, BaseDistribution],
    known: list[dict[str, Any]],
) -> dict[str, Any] | None:
    """Returns a point that the sampler proposes and that is not known, if it comes to one soon.

    A trial can't be taken back, so the sampler is asked in a copy of the study. What is proposed
    again stays running there, and samplers keep away from what runs: around a good value of an
    integer they would else propose the same one again and again, which shows nothing new.
    """
    if search.sampler == "qmc":
        return None  # its place in the sequence is kept in the study itself
    trials = study.get_trials(deepcopy=False)
    copy = optuna.create_study(
        study_name=study.study_name,
        directions=study.directions,
        sampler=sampler(search, len(trials)),  # a sampler may serve one study only
        pruner=study.pruner,
    )
    for trial in trials:
        with suppress(ValueError):  # at a point that a user has enqueued and the space hasn't
            copy.add_trial(trial)
    for _ in range(_PROPOSALS):
        point = search.point(copy.ask(distributions).params)
        if point not in known:
            return point
    return None


def distribution(dimension: Dimension) -> BaseDistribution:
    """Returns the values of a field as Optuna takes them."""
    if dimension.kind == "categorical":
        return CategoricalDistribution(dimension.values)
    low, high = dimension.values
    if dimension.kind == "int":
        return IntDistribution(low, high, log=dimension.log, step=int(dimension.step or 1))
    return FloatDistribution(low, high, log=dimension.log, step=dimension.step)


def sampler(search: Search, trials: int) -> optuna.samplers.BaseSampler:
    """Returns the sampler, at the seed of so many trials: going on must not repeat the start."""
    seed = zlib.crc32(search.name.encode())
    match search.sampler:
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed + trials, constant_liar=True)
        case "qmc":  # finds its place in its sequence by itself, if that is the same
            return optuna.samplers.QMCSampler(
                seed=seed, scramble=True, warn_independent_sampling=False
            )
        case "gp":
            return optuna.samplers.GPSampler(seed=seed + trials)
    return optuna.samplers.RandomSampler(seed=seed + trials)


def pruner(search: Search) -> optuna.pruners.BasePruner:
    """Returns what judges trials before their end.

    By epoch (median, hyperband) they are judged from the longest warm-up on that the search has:
    a run learns slower in its warm-up, so that long ones would look bad before it.
    """
    epochs = search.most("epochs")
    first = min(search.most("warmup"), epochs)
    match search.pruner:
        case "median":
            return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=first)
        case "hyperband":
            return optuna.pruners.HyperbandPruner(min_resource=first, max_resource=epochs)
        case "wilcoxon":
            return optuna.pruners.WilcoxonPruner()
    return optuna.pruners.NopPruner()
